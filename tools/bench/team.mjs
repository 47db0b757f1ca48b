// What the team costs beside the kernels: a step of no ops there and back, a barrier (between tiny ops), and how long the
// event loop of the host waits while steps run. `node tools/bench/team.mjs [--threads=1,2,3,8]`
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { design, fillRandom, median, onlyBackend, option } from './measure.mjs';

const limits = { maxRows: 1, maxOutputs: 1 };
const step = { rows: 1, outputs: 1 };
for (const threads of option('threads', '1,2,3,8').split(',').map(Number)) {
  const { backend } = await onlyBackend({ threads }, 'wasm');
  const tiny = design(limits, (declare, builder) => {
    const x = declare('x', 'f32', ['rows', 16]);
    for (let i = 0; i < 1000; i++) builder.op('activate', { x, out: x }, { kind: 0, threshold: 0 });
  });
  const session = await backend.createSession(tiny.decls, limits);
  const loaded = session.load(tiny.program);
  const time = async (from, to, repeats) => {
    const times = [];
    for (let i = 0; i < repeats; i++) {
      const before = performance.now();
      await loaded.run(step, from, to);
      times.push((performance.now() - before) * 1000);
    }
    return { least: Math.min(...times), median: median(times) };
  };
  await time(0, 1000, 20);
  const short = await time(0, 50, 2000);
  const empty = await time(0, 0, 300);
  const full = await time(0, 1000, 60);

  const work = design(limits, (declare, builder) => {
    const x = declare('x', 'f32', ['rows', 2048]);
    const w = declare('w', 'f32', [8192, 2048]);
    const out = builder.activation('out', ['rows', 8192]);
    for (let i = 0; i < 8; i++) builder.op('linear', { x, w, out });
  });
  const busy = await backend.createSession(work.decls, limits);
  fillRandom(busy.view('w'), 1);
  const decode = busy.load(work.program);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const end = performance.now() + 1500;
  while (performance.now() < end) await decode.run(step);
  delay.disable();
  console.log(
    `${threads} threads: empty step ${empty.least.toFixed(0)} us (median ${empty.median.toFixed(0)}), ` +
      `op and barrier ${((short.least - empty.least) / 50).toFixed(2)} us (median of long steps ${((full.median - empty.median) / 1000).toFixed(2)}), ` +
      `event loop delay p50 ${(delay.percentile(50) / 1e6).toFixed(1)} p99 ${(delay.percentile(99) / 1e6).toFixed(1)} ms (timer of 1 ms included)`,
  );
  await busy.dispose();
  await session.dispose();
  await backend.dispose();
}
