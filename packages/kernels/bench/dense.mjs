// Dense decode: one row over more than 1 GB of weights, in GB/s and as % of the peak read bandwidth measured in
// the same rounds. `node bench/dense.mjs [--threads=2]`
import { bf16ToF32 } from '@relufy/tensor';
import { createWasmBackend, streamBandwidth } from '../dist/node.js';
import { argument, checkClose, design, fillRandom, leastTimes, printMachine, threads } from './measure.mjs';

const [width, wide] = [2048, 2048];
const limits = { maxRows: 1, maxOutputs: 1 };
const step = { rows: 1, outputs: 1 };

printMachine('dense decode');
const backend = await createWasmBackend({ threads });
for (const dtype of argument('dtype', 'f32,bf16').split(','))
  for (const transposed of [false, true]) {
    const layers = dtype === 'f32' ? 64 : 128;
    const { decls, program } = design(limits, (declare, builder) => {
      declare('x', 'f32', ['rows', width]);
      for (let i = 0; i < layers; i++) {
        const w = declare(`w${i}`, dtype, transposed ? [width, wide] : [wide, width], transposed);
        builder.op('linear', { x: 'x', w, out: declare(`out${i}`, 'f32', ['rows', wide]) });
      }
    });
    const session = await backend.createSession(decls, limits);
    for (const [i, { name }] of decls.entries()) fillRandom(session.view(name), i + 1);
    const loaded = session.load(program);
    await loaded.run(step);
    check(session, layers - 1, dtype, transposed);

    const bytes = layers * width * wide * (dtype === 'f32' ? 4 : 2);
    let stream = 0;
    const rounds = Number(argument('rounds', 8));
    const { decode } = await leastTimes(
      {
        decode: () => loaded.profile(step),
        stream: async () => {
          stream = Math.max(stream, await streamBandwidth(backend, 2 ** 30));
          return [0];
        },
      },
      rounds,
    );
    const speed = bytes / decode / 1e6;
    console.log(
      `${dtype}${transposed ? ' transposed' : ''}: ${speed.toFixed(1)} GB/s, ` +
        `${((100 * speed) / stream).toFixed(0)} % of peak ${stream.toFixed(1)} GB/s`,
    );
    await session.dispose();
  }
await backend.dispose();

function check(session, layer, dtype, transposed) {
  const [x, w, out] = ['x', `w${layer}`, `out${layer}`].map((name) => session.view(name));
  for (const n of [0, 7, wide / 2 + 1, wide - 1]) {
    let sum = 0;
    for (let k = 0; k < width; k++) {
      const value = w[transposed ? k * wide + n : n * width + k];
      sum += x[k] * (dtype === 'f32' ? value : bf16ToF32(value));
    }
    checkClose(`output ${n}`, out[n], sum);
  }
}
