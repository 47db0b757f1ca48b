// Sparse decode of feed-forward layers (2048 -> 5632 -> 2048): up as gemvRows, down as axpyRows, a fresh random set of
// neurons for every layer and step, at several densities; beside them the dense products over the same weights.
// Times are compared with the time that the bytes read take at the streaming bandwidth of the same run.
// `node tools/bench/sparse.mjs [--threads=2] [--dtypes=int8,int4] [--densities=1,5,10,20,50,100]`
import { rowBytes } from '../../packages/tensor/dist/index.js';
import {
  checkClose,
  design,
  dtypes,
  fillRandom,
  leastTimes,
  numbers,
  onlyBackend,
  option,
  printMachine,
  threads,
} from './measure.mjs';
import { quantized, weightRow } from './products.mjs';

const [hidden, ffn] = [2048, 5632];
const limits = { maxRows: 1, maxOutputs: 1 };
const step = { rows: 1, outputs: 1 };
const densities = option('densities', '1,5,10,20,50,100').split(',').map(Number);

const { backend, bandwidth } = await onlyBackend({ threads });
printMachine('sparse feed-forward decode', backend);
for (const dtype of dtypes) {
  const neuronBytes = rowBytes(dtype, hidden);
  const layers = Math.ceil((Number(option('gb', 0.4)) * 1e9) / (2 * ffn * neuronBytes));
  const [sparse, dense] = [designLayers(dtype, layers, true), designLayers(dtype, layers, false)];
  const session = await backend.createSession(sparse.decls, limits);
  sparse.decls.forEach(({ name, dtype: own }, i) => {
    if (own !== 'i32' && own !== 'i8') fillRandom(session.view(name), i + 1, { dtype: own, columns: hidden });
  });
  const [runSparse, runDense] = [session.load(sparse.program), session.load(dense.program)];
  const next = numbers(7);
  const of = (times, ...kinds) => [...times].map((ms, op) => (kinds.includes(sparse.program.ops[op].kind) ? ms : 0));
  let stream = 0;
  for (const density of densities) {
    choose(session, layers, density, next);
    await runSparse.run(step);
    check(session, dtype);
    let last;
    const times = await leastTimes({
      gemvRows: async () => {
        choose(session, layers, density, next);
        last = await runSparse.profile(step);
        return of(last, 'gemvRows');
      },
      axpyRows: async () => of(last, 'axpyRows'),
      dense: async () => of(await runDense.profile(step), 'gemvRows', 'axpyRows'),
      stream: async () => {
        stream = Math.max(stream, await bandwidth(2 ** 28));
        return [0];
      },
    });
    const bytes = (2 * layers * ffn * neuronBytes * density) / 100;
    const total = times.gemvRows + times.axpyRows;
    const speed = (ms) => (bytes / 2 / ms / 1e6).toFixed(1);
    console.log(
      `${dtype} ${String(density).padStart(3)} %: ${(total / layers).toFixed(3)} ms a layer, ` +
        `${(bytes / total / 1e6).toFixed(1)} GB/s (gemvRows ${speed(times.gemvRows)}, axpyRows ${speed(times.axpyRows)}), ` +
        `${(total / (bytes / stream / 1e6)).toFixed(2)} x the bytes at ${stream.toFixed(1)} GB/s, ${(total / times.dense).toFixed(2)} x dense`,
    );
  }
  await session.dispose();
}
await backend.dispose();

function designLayers(dtype, layers, isSparse) {
  return design(limits, (declare, builder) => {
    declare('x', 'f32', ['rows', hidden]);
    const x = quantized(declare, builder, 'x', hidden, dtype, false);
    for (let i = 0; i < layers; i++) {
      const up = declare(`up${i}`, dtype, [ffn, hidden]);
      const down = declare(`down${i}`, dtype, [ffn, hidden], true);
      const [h, u] = [declare(`h${i}`, 'f32', ['rows', ffn]), declare(`u${i}`, 'f32', ['rows', ffn])];
      const active = declare(`active${i}`, 'i32', ['rows', ffn]);
      const activeCount = declare(`count${i}`, 'i32', ['rows']);
      const out = declare(`out${i}`, 'f32', ['rows', hidden]);
      if (isSparse) {
        builder.op('gemvRows', { ...x, w: up, active, activeCount, out: u });
        builder.op('axpyRows', { x: h, w: down, active, activeCount, out });
      } else {
        builder.op('linear', { ...x, w: up, out: u });
        builder.op('linear', { x: h, w: down, out });
      }
    }
  });
}

function choose(session, layers, density, next) {
  for (let i = 0; i < layers; i++) {
    const [active, count, h] = [session.view(`active${i}`), session.view(`count${i}`), session.view(`h${i}`)];
    let n = 0;
    for (let k = 0; k < ffn; k++) {
      const on = density >= 100 || (next() + 1) * 50 < density;
      h[k] = on ? next() : 0;
      if (on) active[n++] = k;
    }
    count[0] = n;
  }
}

function check(session, dtype) {
  const [h, active, out] = ['h0', 'active0', 'out0'].map((name) => session.view(name));
  const sums = [0, 0];
  for (let i = 0; i < session.view('count0')[0]; i++) {
    const row = weightRow(session.view('down0'), active[i], dtype, hidden);
    sums[0] += h[active[i]] * row[5];
    sums[1] += h[active[i]] * row[hidden - 1];
  }
  checkClose('output 5', out[5], sums[0], 1e-3);
  checkClose('last output', out[hidden - 1], sums[1], 1e-3);
}
