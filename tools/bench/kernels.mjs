// Each product kernel on weights that stay in cache, one thread: what the arithmetic alone can do, in GB/s of weights
// (one row) and GFLOP/s (many). `node tools/bench/kernels.mjs [--threads=1] [--rows=1,8,128,512]`
import { rowBytes } from '../../packages/tensor/dist/index.js';
import { design, dtypes, fillRandom, leastTimes, onlyBackend, option, printMachine } from './measure.mjs';
import { checkLinear, quantized } from './products.mjs';

const [width, wide] = [Number(option('in', 1024)), Number(option('out', 512))];
const { backend } = await onlyBackend({ threads: Number(option('threads', 1)) });
printMachine(`kernels in cache: ${width} -> ${wide}`, backend);
for (const rows of option('rows', '1,2,4,8,16,128,512').split(',').map(Number)) {
  const line = [];
  for (const dtype of dtypes)
    for (const transposed of [false, true]) {
      const limits = { maxRows: rows, maxOutputs: 1 };
      const columns = transposed ? wide : width;
      const { decls, program } = design(limits, (declare, builder) => {
        declare('x', 'f32', ['rows', width]);
        const x = quantized(declare, builder, 'x', width, dtype, transposed);
        declare('w', dtype, transposed ? [width, wide] : [wide, width], transposed);
        declare('out', 'f32', ['rows', wide]);
        for (let i = 0; i < Math.max(3, 100 / rows); i++) builder.op('linear', { ...x, w: 'w', out: 'out' });
      });
      const session = await backend.createSession(decls, limits);
      for (const [i, { name, dtype: own }] of decls.entries())
        fillRandom(session.view(name), i + 1, { dtype: own, columns });
      const loaded = session.load(program);
      let least = Number.POSITIVE_INFINITY;
      await leastTimes({
        run: async () => {
          const times = await loaded.profile({ rows, outputs: 0 });
          for (let i = program.ops.length - 1; program.ops[i]?.kind === 'linear'; i--)
            least = Math.min(least, times[i]);
          return times;
        },
      });
      checkLinear(session, { w: 'w', out: 'out', dtype, transposed, width, wide, row: rows - 1 });
      const bytes = rowBytes(dtype, columns) * (transposed ? width : wide);
      const speed =
        rows === 1
          ? `${(bytes / least / 1e6).toFixed(1)} GB/s`
          : `${((2 * rows * width * wide) / least / 1e6).toFixed(0)} GFLOP/s`;
      line.push(`${dtype}${transposed ? 'T' : ''} ${speed}`);
      await session.dispose();
    }
  console.log(`${String(rows).padStart(4)} rows: ${line.join(', ')}`);
}
await backend.dispose();
