// Dense products of few rows: their processor time over that of one row, by number of rows, shape and format. One thread, by
// processor time of interleaved rounds, so that a busy machine matters less. gemmBlockRows of block-linear.h comes from here.
// `node tools/bench/few-rows.mjs [--dtypes=int8,int4] [--shapes=576x1536,2048x5632] [--rows=1,2,3,4,6,8,12,16]`
import { design, dtypes, fillRandom, onlyBackend, option, printMachine, processorTime, rounds } from './measure.mjs';
import { quantized } from './products.mjs';

const rowCounts = option('rows', '1,2,3,4,6,8,12,16').split(',').map(Number);
const limits = { maxRows: Math.max(...rowCounts), maxOutputs: 1 };
const megabytes = 24;

const { backend } = await onlyBackend({ threads: 1 });
printMachine('dense products of few rows, one thread', backend);
for (const shape of option('shapes', '576x1536,1536x576,2048x5632').split(',')) {
  const [width, wide] = shape.split('x').map(Number);
  for (const dtype of dtypes.filter((one) => one === 'int8' || one === 'int4')) {
    const layers = Math.ceil((megabytes * 1e6) / (width * wide * (dtype === 'int8' ? 1.06 : 0.56)));
    const { decls, program } = design(limits, (declare, builder) => {
      declare('x', 'f32', ['rows', width]);
      const x = quantized(declare, builder, 'x', width, dtype, false);
      for (let i = 0; i < layers; i++) {
        const w = declare(`w${i}`, dtype, [wide, width]);
        builder.op('linear', { ...x, w, out: declare(`out${i}`, 'f32', ['rows', wide]) });
      }
    });
    const session = await backend.createSession(decls, limits);
    for (const [i, { name }] of decls.entries())
      if (/^x$|^w/.test(name))
        fillRandom(session.view(name), i + 1, { dtype: name.startsWith('w') ? dtype : 'f32', columns: width });
    const loaded = session.load(program);
    const least = rowCounts.map(() => Number.POSITIVE_INFINITY);
    for (let round = 0; round < rounds; round++)
      for (const [i, rows] of rowCounts.entries()) {
        least[i] = Math.min(least[i], await processorTime(() => loaded.run({ rows, outputs: 0 }), 1));
      }
    const macs = layers * width * wide;
    const told = rowCounts.map(
      (rows, i) => `${rows}: ${(least[i] / least[0]).toFixed(2)} (${((2 * macs * rows) / least[i] / 1e6).toFixed(0)})`,
    );
    console.log(`${dtype} ${shape}, ${least[0].toFixed(1)} ms; over one row (GFLOP/s): ${told.join('  ')}`);
    await session.dispose();
  }
}
await backend.dispose();
