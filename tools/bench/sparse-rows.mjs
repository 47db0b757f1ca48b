// Sparse products of several rows: their share of the dense product's time, by number of rows and density. One thread,
// by CPU time, so that a busy machine does not matter. The break-evens of assembly/sparse.ts come from here.
// `node tools/bench/sparse-rows.mjs [--in=2048] [--out=4096] [--rows=1,2,4,8,16,32,128]`
import { design, fillRandom, numbers, onlyBackend, option, printMachine, processorTime } from './measure.mjs';

const inWidth = Number(option('in', 2048));
const neurons = Number(option('out', 4096));
const rowCounts = option('rows', '1,2,4,8,16,32,128').split(',').map(Number);
const limits = { maxRows: Math.max(...rowCounts), maxOutputs: 1 };

const { backend } = await onlyBackend({ threads: 1 }, 'wasm');
printMachine('sparse products of several rows, one thread', backend);
for (const dtype of ['f32', 'bf16'])
  for (const op of ['gemvRows', 'axpyRows']) {
    const transposed = op === 'axpyRows';
    const [from, to] = transposed ? [neurons, inWidth] : [inWidth, neurons];
    const build = (sparse) =>
      design(limits, (declare, builder) => {
        const x = declare('x', 'f32', ['rows', from]);
        const w = declare('w', dtype, [neurons, inWidth], transposed);
        const active = declare('active', 'i32', ['rows', neurons]);
        const activeCount = declare('count', 'i32', ['rows']);
        const out = declare('out', 'f32', ['rows', to]);
        builder.op(sparse ? op : 'linear', { x, w, ...(sparse ? { active, activeCount } : {}), out });
      });
    const [dense, sparse] = [build(false), build(true)];
    const sessions = {};
    for (const [name, { decls, program }] of Object.entries({ dense, sparse })) {
      const session = await backend.createSession(decls, limits);
      fillRandom(session.view('x'), 1);
      fillRandom(session.view('w'), 2);
      sessions[name] = { session, loaded: session.load(program) };
    }
    for (const rows of rowCounts) {
      const all = await processorTime(() => sessions.dense.loaded.run({ rows, outputs: 0 }));
      const shares = [];
      for (const density of [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.9, 1]) {
        drawLists(sessions.sparse.session, rows, density);
        const some = await processorTime(() => sessions.sparse.loaded.run({ rows, outputs: 0 }));
        shares.push(`${density}: ${(some / all).toFixed(2)}`);
      }
      console.log(`${dtype} ${op}, ${rows} rows, dense ${all.toFixed(1)} ms: ${shares.join('  ')}`);
    }
    for (const { session } of Object.values(sessions)) await session.dispose();
  }
await backend.dispose();

function drawLists(session, rows, density) {
  const [active, count] = [session.view('active'), session.view('count')];
  const next = numbers(rows + 1);
  for (let r = 0; r < rows; r++) {
    let n = 0;
    for (let i = 0; i < neurons; i++) if ((next() + 1) / 2 < density) active[r * neurons + n++] = i;
    count[r] = n;
  }
}
