// Products of many rows: GFLOP/s (a multiply and an add count as two) by number of rows, for both formats and layouts.
// `node tools/bench/prefill.mjs [--threads=2] [--rows=1,2,4,8,32,128] [--in=2048] [--out=2048]`
import { design, fillRandom, leastTimes, onlyBackend, option, printMachine, threads } from './measure.mjs';
import { checkLinear } from './products.mjs';

const inWidth = Number(option('in', 2048));
const outWidth = Number(option('out', 2048));
const rowCounts = option('rows', '1,2,3,4,6,8,16,32,128,256').split(',').map(Number);
const limits = { maxRows: Math.max(...rowCounts), maxOutputs: 1 };

const { backend } = await onlyBackend({ threads }, 'wasm');
printMachine(`prefill, [rows, ${inWidth}] -> ${outWidth}`, backend);
for (const dtype of option('dtype', 'f32,bf16').split(','))
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
      checkLinear(session, { w: 'w', out: 'out', dtype, transposed, width: inWidth, wide: outWidth, row: rows - 1 });
      line.push(`${rows}: ${((2 * rows * inWidth * outWidth) / product / 1e6).toFixed(1)}`);
    }
    console.log(`${dtype}${transposed ? ' transposed' : ''}: ${line.join('  ')} GFLOP/s`);
    await session.dispose();
  }
await backend.dispose();
