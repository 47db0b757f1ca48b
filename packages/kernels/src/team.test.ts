// The team: several sessions, growth, death of a worker, disposal, and a process that ends by itself.
import { execFile, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type BufferDecl, ProgramBuilder, RelufyError, type Session, type StepLimits } from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import { createWasmBackend, streamBandwidth, type WasmBackend, type WasmProgram } from '../dist/node.js';

const limits: StepLimits = { maxRows: 2, maxOutputs: 2 };
const step = { rows: 2, outputs: 0 };
const width = 64;
const index: BufferDecl = { name: 'index', kind: 'input', dtype: 'i32', shape: ['rows'] };
const table: BufferDecl = { name: 'table', kind: 'weight', dtype: 'f32', shape: [8, width] };

/** A session with one program: `out` = rows of the table, through a few ops. An index out of the table traps. */
async function lookup(
  backend: WasmBackend,
  scale = 1,
): Promise<{ session: Session; program: WasmProgram; set(...at: number[]): void }> {
  const session = await backend.createSession([index, table], limits);
  const builder = new ProgramBuilder('lookup', limits);
  builder.use(index);
  builder.use(table);
  let x = builder.activation('x', ['rows', width]);
  builder.op('gather', { index: 'index', table: 'table', out: x });
  for (let i = 0; i < 20; i++) {
    const next = builder.activation(`x${i}`, ['rows', width]);
    builder.op('activate', { x, out: next }, { kind: 0, threshold: 0 });
    x = next;
  }
  const out = builder.activation('out', ['rows', width]);
  builder.op('activate', { x, out }, { kind: 0, threshold: 0 });
  builder.keep('out');
  const program = session.load(builder.build());
  const view = session.view('table');
  for (let i = 0; i < view.length; i++) view[i] = i * scale;
  return { session, program, set: (...at) => (session.view('index') as Int32Array).set(at) };
}

const backendError = (text: RegExp) =>
  expect.objectContaining({ code: 'backend', message: expect.stringMatching(text) });

describe('team', () => {
  it('serves several sessions and backends at once', async () => {
    const backends = await Promise.all([1, 2, 5].map((threads) => createWasmBackend({ threads, everyThread: true })));
    const models = await Promise.all(
      backends.flatMap((backend, i) => [lookup(backend, i + 1), lookup(backend, i + 10)]),
    );
    const jobs: Promise<void>[] = [];
    for (let round = 0; round < 30; round++)
      for (const [i, model] of models.entries()) {
        if (round === 0) model.set(i, i + 1);
        jobs.push(model.program.run(step));
      }
    await Promise.all(jobs);
    for (const [i, model] of models.entries()) {
      const scale = (i >> 1) + (i % 2 === 0 ? 1 : 10);
      expect(model.program.view('out')[3]).toBe((i * width + 3) * scale);
      expect(model.program.view('out')[width]).toBe((i + 1) * width * scale);
    }
    for (const { session } of models) await session.dispose();
    for (const backend of backends) await backend.dispose();
  });

  it('more threads than cores stay correct and do not collapse', async () => {
    const backend = await createWasmBackend({ threads: 12, everyThread: true });
    const { session, program, set } = await lookup(backend);
    set(1, 2);
    const before = performance.now();
    for (let i = 0; i < 10; i++) await program.run(step);
    expect(program.view('out')[0]).toBe(width);
    expect(performance.now() - before).toBeLessThan(20_000);
    await session.dispose();
    await backend.dispose();
  });

  it('threads that come and go between steps give the same bits, beside busy loops that come and go', async () => {
    const loop =
      'for (;;) { const end = Date.now() + 30; while (Date.now() < end); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20); }';
    const busy = Array.from({ length: availableParallelism() + 1 }, () => spawn(process.execPath, ['-e', loop]));
    const [one, many] = [await createWasmBackend({ threads: 1 }), await createWasmBackend({ threads: 2 })];
    try {
      const [alone, together] = [await lookup(one, 0.37), await lookup(many, 0.37)];
      const until = performance.now() + 3000;
      for (let i = 0; performance.now() < until; i++) {
        for (const { set } of [alone, together]) set(i % 8, (i * 3) % 8);
        // several in the queue: the next begins while who took part in the last is still on its way home
        await Promise.all([alone, together, together].map(({ program }) => program.run(step)));
        const [want, got] = [alone, together].map(
          ({ program }) => new Uint32Array((program.view('out') as Float32Array).slice().buffer),
        );
        expect(got).toEqual(want);
      }
      await alone.session.dispose();
      await together.session.dispose();
    } finally {
      for (const child of busy) child.kill();
      await one.dispose();
      await many.dispose();
    }
  });

  it('threads beyond the processors are not started', async () => {
    const backend = await createWasmBackend({ threads: 256 });
    expect(backend.threads).toBe(Math.min(256, availableParallelism()));
    expect(backend.description).toMatch(new RegExp(`, ${backend.threads} threads?$`));
    await backend.dispose();
  });

  it('a worker that dies rejects what runs and what waits, and a new backend starts afresh', async () => {
    const backend = await createWasmBackend({ threads: 3, everyThread: true });
    const [bad, good] = [await lookup(backend), await lookup(backend)];
    bad.set(50_000_000, 0);
    const results = await Promise.allSettled([
      bad.program.run(step),
      good.program.run(step),
      bad.program.profile(step),
    ]);
    const died = backendError(
      /^wasm backend: worker \d of the team died: .*memory access out of bounds.* Create the backend again\.$/,
    );
    for (const result of results) expect(result).toEqual({ status: 'rejected', reason: died });
    await expect(good.program.run(step)).rejects.toEqual(died);
    await expect(backend.createSession([table], limits)).rejects.toEqual(died);
    await good.session.dispose();
    await bad.session.dispose();

    const fresh = await createWasmBackend({ threads: 2 });
    const model = await lookup(fresh);
    model.set(3, 4);
    await model.program.run(step);
    expect(model.program.view('out')[0]).toBe(3 * width);
    await model.session.dispose();
    await fresh.dispose();
    await backend.dispose();
  });

  it('dispose waits for the step that runs; later calls are state errors', async () => {
    const backend = await createWasmBackend({ threads: 2 });
    const { session, program, set } = await lookup(backend);
    set(1, 1);
    const running = program.run(step);
    await Promise.all([session.dispose(), session.dispose()]);
    await running;
    await expect(program.run(step)).rejects.toMatchObject({ code: 'state' });
    expect(() => session.view?.('table')).toThrowError(expect.objectContaining({ code: 'state' }));
    expect(session.memoryBytes).toBe(0);
    await backend.dispose();
    await expect(backend.createSession([table], limits)).rejects.toMatchObject({ code: 'state' });
  });

  it('gives the time of every op', async () => {
    for (const options of [{ threads: 2 }, { sharedMemory: false }]) {
      const backend = await createWasmBackend(options);
      const { session, program, set } = await lookup(backend);
      set(1, 2);
      const times = await program.profile(step);
      expect(times).toHaveLength(program.program.ops.length);
      expect(times.every((ms) => ms >= 0 && ms < 20_000)).toBe(true);
      expect(program.view('out')[0]).toBe(width);
      await session.dispose();
      await backend.dispose();
    }
  });

  it('measures streaming bandwidth', async () => {
    expect(await streamBandwidth(2, 2 ** 24)).toBeGreaterThan(0.1);
    expect(await streamBandwidth(1, 2 ** 24 + 1, { of: 'median' })).toBeGreaterThan(0.1);
    await expect(streamBandwidth(1, 2 ** 20, { of: 'worst' as 'best' })).rejects.toThrow(
      'streamBandwidth option "of": expected best or median, got worst.',
    );
  });

  it('frees the memory of a disposed session in all threads', async () => {
    const backend = await createWasmBackend({ threads: 2 });
    const buffer: BufferDecl = { name: 'large', kind: 'state', dtype: 'f32', shape: [2 ** 25] };
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 4; i++) {
      const session = await backend.createSession([buffer], limits);
      session.view('large').fill(1);
      await session.dispose();
    }
    await expect.poll(() => process.memoryUsage().rss - before).toBeLessThan(300e6);
    await backend.dispose();
  });

  it('waits for a step at the top level of a program, and lets it end by itself', async () => {
    const script = `
      import { createWasmBackend } from ${JSON.stringify(new URL('../dist/node.js', import.meta.url).href)};
      import { ProgramBuilder } from '@relufy/tensor';
      const limits = { maxRows: 1, maxOutputs: 1 };
      const x = { name: 'x', kind: 'state', dtype: 'f32', shape: ['rows', 16] };
      const backend = await createWasmBackend({ threads: 2 });
      const session = await backend.createSession([x], limits);
      const builder = new ProgramBuilder('p', limits);
      builder.use(x);
      for (let i = 0; i < 5000; i++) builder.op('activate', { x: 'x', out: 'x' }, { kind: 0, threshold: 0 });
      const program = session.load(builder.build());
      await program.run({ rows: 1, outputs: 0 });
      console.log('done');`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      timeout: 50_000,
    });
    expect(stdout).toBe('done\n');
  });

  it('names wrong options', async () => {
    for (const [options, message] of [
      [{ threads: 0 }, 'createWasmBackend option "threads": expected a whole number from 1 to 1023, got 0.'],
      [
        { thread: 2 },
        'createWasmBackend option "thread": unknown. Expected one of threads, everyThread, sharedMemory, relaxedSimd.',
      ],
      [{ sharedMemory: 'no' }, 'createWasmBackend option "sharedMemory": expected true or false, got "no".'],
      [null, 'createWasmBackend options: expected an object, got null.'],
    ] as const) {
      const error = await createWasmBackend(options as object).catch((reason) => reason);
      expect(RelufyError.is(error) && [error.code, error.message]).toEqual(['option', message]);
    }
  });
});
