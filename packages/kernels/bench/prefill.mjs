// Products of many rows: GFLOP/s (a multiply and an add count as two) by number of rows, for both formats and layouts.
// `node bench/prefill.mjs [--threads=2] [--rows=1,2,4,8,32,128] [--in=2048] [--out=2048]`
import { bf16ToF32 } from '@relufy/tensor';
import { createWasmBackend } from '../dist/node.js';
import { argument, checkClose, design, fillRandom, leastTimes, printMachine, threads } from './measure.mjs';

const inWidth = Number(argument('in', 2048));
const outWidth = Number(argument('out', 2048));
const rowCounts = argument('rows', '1,2,3,4,6,8,16,32,128,256').split(',').map(Number);
const limits = { maxRows: Math.max(...rowCounts), maxOutputs: 1 };

printMachine(`prefill, [rows, ${inWidth}] -> ${outWidth}`);
const backend = await createWasmBackend({ threads });
for (const dtype of argument('dtype', 'f32,bf16').split(','))
  for (const transposed of [false, true]) {
    const { decls, program } = design(limits, (declare, builder) => {
      declare('x', 'f32', ['rows', inWidth]);
      declare('w', dtype, transposed ? [inWidth, outWidth] : [outWidth, inWidth], transposed);
      declare('out', 'f32', ['rows', outWidth]);
      builder.op('linear', { x: 'x', w: 'w', out: 'out' });
    });
    const session = await backend.createSession(decls, limits);
    for (const [i, { name }] of decls.entries()) fillRandom(session.view(name), i + 1);
    const loaded = session.load(program);
    const line = [];
    for (const rows of rowCounts) {
      const { product } = await leastTimes({ product: () => loaded.profile({ rows, outputs: 1 }) }, 20);
      check(session, rows - 1, dtype, transposed);
      line.push(`${rows}: ${((2 * rows * inWidth * outWidth) / product / 1e6).toFixed(1)}`);
    }
    console.log(`${dtype}${transposed ? ' transposed' : ''}: ${line.join('  ')} GFLOP/s`);
    await session.dispose();
  }
await backend.dispose();

function check(session, row, dtype, transposed) {
  const [x, w, out] = ['x', 'w', 'out'].map((name) => session.view(name));
  for (const n of [0, 7, (outWidth >> 1) + 1, outWidth - 1]) {
    let sum = 0;
    for (let k = 0; k < inWidth; k++) {
      const value = w[transposed ? k * outWidth + n : n * inWidth + k];
      sum += x[row * inWidth + k] * (dtype === 'f32' ? value : bf16ToF32(value));
    }
    checkClose(`row ${row}, output ${n}`, out[row * outWidth + n], sum);
  }
}
