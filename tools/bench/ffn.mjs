// A feed-forward block at one row, sparse against dense, with a fresh random active set for every token, over weights
// far larger than the caches. Gated: gate dense, the rows of up and down active only. Plain: up dense, down active only.
// Both run the same weights, and their outputs are compared bit for bit before anything is timed.
// `node tools/bench/ffn.mjs [--threads=2] [--dtype=bf16] [--hidden=2048] [--ffn=8192] [--rounds=8]`
import { design, fillRandom, leastTimes, numbers, onlyBackend, option, printMachine, threads } from './measure.mjs';

const hidden = Number(option('hidden', 2048));
const ffn = Number(option('ffn', 8192));
const rounds = Number(option('rounds', 8));
const densities = option('densities', '0.05,0.1,0.2,0.3,0.5,0.7,0.9,1').split(',').map(Number);
const limits = { maxRows: 1, maxOutputs: 1 };
const step = { rows: 1, outputs: 1 };

const { backend } = await onlyBackend({ threads }, 'wasm');
printMachine(`feed-forward block, hidden ${hidden}, ffn ${ffn}`, backend);
for (const dtype of option('dtype', 'f32,bf16').split(','))
  for (const gated of [true, false]) {
    const matrices = gated ? 3 : 2;
    const layerBytes = matrices * hidden * ffn * (dtype === 'f32' ? 4 : 2);
    const layers = Math.ceil(768e6 / layerBytes);
    const { decls, sparse, dense } = programs(dtype, gated, layers);
    const session = await backend.createSession(decls, limits);
    for (const [i, { name }] of decls.entries()) fillRandom(session.view(name), i + 1, { scale: 0.1 });
    const runs = { dense: session.load(dense), sparse: session.load(sparse) };
    const next = numbers(7);
    const draw = (density) => {
      for (let i = 0; i < layers; i++) drawMask(session.view(`mask${i}`), density, next);
    };

    for (const density of densities) {
      draw(density);
      await runs.dense.run(step);
      const expected = bits(session, layers);
      for (let i = 0; i < layers; i++) session.view(`out${i}`).fill(0);
      await runs.sparse.run(step);
      if (bits(session, layers).some((word, i) => word !== expected[i]))
        throw new Error('sparse is not dense, bit for bit');
      const times = await leastTimes(
        {
          dense: () => runs.dense.profile(step),
          sparse: () => {
            draw(density);
            return runs.sparse.profile(step);
          },
        },
        rounds,
      );
      const read = ((matrices - 1) * density + 1) * (layerBytes / matrices) * layers;
      console.log(
        `${dtype} ${gated ? 'gated' : 'plain'} density ${density}: dense ${times.dense.toFixed(1)} ms ` +
          `(${((layerBytes * layers) / times.dense / 1e6).toFixed(1)} GB/s), sparse ${times.sparse.toFixed(1)} ms ` +
          `(${(read / times.sparse / 1e6).toFixed(1)} GB/s), ratio ${(times.sparse / times.dense).toFixed(3)}, bytes ${(read / layerBytes / layers).toFixed(3)}`,
      );
    }
    await session.dispose();
  }
await backend.dispose();

/** The active set comes from a mask that the host draws, so that every token's set is random and of known size. */
function programs(dtype, gated, layers) {
  const build = (isSparse) =>
    design(limits, (declare, builder) => {
      declare('x', 'f32', ['rows', hidden]);
      for (let i = 0; i < layers; i++) {
        const mask = declare(`mask${i}`, 'f32', ['rows', ffn]);
        const first = declare(`first${i}`, dtype, [ffn, hidden]);
        const down = declare(`down${i}`, dtype, [ffn, hidden], true);
        const out = declare(`out${i}`, 'f32', ['rows', hidden]);
        const h = builder.activation(`h${i}`, ['rows', ffn]);
        const product = builder.activation(`product${i}`, ['rows', ffn]);
        const list = isSparse && {
          active: builder.activation(`active${i}`, ['rows', ffn], 'i32'),
          activeCount: builder.activation(`count${i}`, ['rows'], 'i32'),
        };
        builder.op('linear', { x: 'x', w: first, out: h });
        if (isSparse) builder.op('selectActive', { x: mask, ...list });
        if (gated) {
          const up = declare(`up${i}`, dtype, [ffn, hidden]);
          const u = builder.activation(`u${i}`, ['rows', ffn]);
          if (isSparse) builder.op('gemvRows', { x: 'x', w: up, ...list, out: u });
          else builder.op('linear', { x: 'x', w: up, out: u });
          builder.op('multiply', { a: mask, b: u, out: product });
        } else builder.op('multiply', { a: mask, b: h, out: product });
        if (isSparse) builder.op('axpyRows', { x: product, w: down, ...list, out });
        else builder.op('linear', { x: product, w: down, out });
      }
    });
  const { decls, program: sparse } = build(true);
  return { decls, sparse, dense: rename(build(false).program, decls) };
}

/** The same program over the other's declarations. */
function rename(program, decls) {
  const buffers = new Map(
    [...program.buffers].map(([name, decl]) => [name, decls.find((d) => d.name === name) ?? decl]),
  );
  return { ...program, buffers };
}

function drawMask(view, density, next) {
  const count = Math.round(view.length * density);
  view.fill(0);
  view.fill(1, 0, count);
  for (let i = view.length - 1; i > 0; i--) {
    const j = Math.floor(((next() + 1) / 2) * (i + 1));
    const value = view[i];
    view[i] = view[j];
    view[j] = value;
  }
}

function bits(session, layers) {
  return Array.from({ length: layers }, (_, i) => {
    const out = session.view(`out${i}`);
    return [...new Uint32Array(out.buffer, out.byteOffset, out.length)];
  }).flat();
}
