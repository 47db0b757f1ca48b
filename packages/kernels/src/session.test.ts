// Memory of a session: refusals before anything is allocated, growth with programs, views, and calls out of turn.
import { type BufferDecl, ProgramBuilder, type StepLimits } from '@relufy/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWasmBackend, type WasmBackend } from '../dist/node.js';

const limits: StepLimits = { maxRows: 4, maxOutputs: 1 };
const state = (name: string, shape: BufferDecl['shape'], dtype: BufferDecl['dtype'] = 'f32'): BufferDecl => ({
  name,
  kind: 'state',
  dtype,
  shape,
});

describe.each([{ threads: 2 }, { sharedMemory: false }])('session %o', (options) => {
  let backend: WasmBackend;
  beforeAll(async () => {
    backend = await createWasmBackend(options);
  });
  afterAll(() => backend.dispose());

  /** relu over x, `copies` times, every copy kept. */
  const relu = (name: string, x: BufferDecl, copies = 1, of = limits) => {
    const builder = new ProgramBuilder(name, of);
    builder.use(x);
    for (let i = 0; i < copies; i++) {
      const out = builder.activation(`out${i}`, x.shape);
      builder.op('activate', { x: x.name, out }, { kind: 0, threshold: 0 });
      builder.keep(out);
    }
    return builder.build();
  };

  it.each([
    ['f32', 70_000, '5.22 GiB', 'as int8 or int4, '],
    ['bf16', 140_000, '5.22 GiB', 'as int8 or int4, '],
    ['int8', 260_000, '5.16 GiB', 'as int4, '],
    ['int4', 500_000, '5.25 GiB', ''],
    ['uint4', 450_000, '5.26 GiB', 'as int4, '],
  ] as const)(
    'refuses %s weights that 32 bits cannot address, before it allocates',
    async (dtype, rows, size, smaller) => {
      const before = process.memoryUsage().rss;
      const weight: BufferDecl = { name: 'w', kind: 'weight', dtype, shape: [rows, 20_000] };
      const error = await backend.createSession([weight], limits).catch((reason) => reason);
      expect(error).toMatchObject({
        code: 'backend',
        message: `wasm backend: the model needs ${size}, expected at most 4 GiB. Load it ${smaller}with a smaller context or fewer slots, or use the native backend.`,
      });
      expect(process.memoryUsage().rss - before).toBeLessThan(50e6);
    },
  );

  it('refuses a program whose activations do not fit, and stays usable', async () => {
    const x = state('x', ['rows', 2 ** 20]);
    const session = await backend.createSession([x], limits);
    expect(() => session.load(relu('too large', x, 300))).toThrowError(
      expect.objectContaining({ code: 'backend', message: expect.stringContaining('the model needs 4.7') }),
    );
    const loaded = session.load(relu('fits', x));
    (session.view('x') as Float32Array).fill(-1).set([5], 3);
    await loaded.run({ rows: 4, outputs: 0 });
    expect([...loaded.view('out0').subarray(0, 5)]).toEqual([0, 0, 0, 5, 0]);
    await session.dispose();
  });

  it('grows with its programs, which share the memory of their activations', async () => {
    const [small, large] = [state('small', ['rows', 8]), state('large', ['rows', 300_000])];
    const session = await backend.createSession([small, large], limits);
    const first = session.load(relu('first', small));
    const before = session.memoryBytes;
    const second = session.load(relu('second', large));
    expect(session.memoryBytes - before).toBeGreaterThan(4 * 300_000 * 4 - 65536);
    const grown = session.memoryBytes;
    const third = session.load(relu('third', large));
    expect(session.memoryBytes - grown).toBeLessThanOrEqual(65536);
    (session.view('small') as Float32Array).fill(7);
    (session.view('large') as Float32Array).fill(9);
    for (const [program, value] of [
      [first, 7],
      [second, 9],
      [first, 7],
      [third, 9],
    ] as const) {
      await program.run({ rows: 4, outputs: 0 });
      expect(program.view('out0').every((number) => number === value)).toBe(true);
    }
    await session.dispose();
  });

  it('refuses programs and steps that do not fit the session', async () => {
    const x = state('x', ['rows', 8]);
    const session = await backend.createSession([x], limits);
    const refused = (load: () => unknown, message: string) =>
      expect(load).toThrowError(expect.objectContaining({ code: 'program', message }));
    refused(() => session.load(relu('p', state('y', ['rows', 8]))), 'program "p": buffer "y" is not in the session.');
    refused(
      () => session.load(relu('p', state('x', ['rows', 9]))),
      'program "p": buffer "x": expected f32 [rows, 8] as in the session, got f32 [rows, 9].',
    );
    refused(
      () => session.load(relu('p', x, 1, { maxRows: 5, maxOutputs: 1 })),
      'program "p": expected the session\'s limits, 4 rows and 1 outputs, got 5 and 1.',
    );
    const loaded = session.load(relu('p', x));
    await expect(loaded.run({ rows: 5, outputs: 0 })).rejects.toMatchObject({
      code: 'input',
      message: 'program "p": rows: expected an integer of 0 to 4, got 5.',
    });
    await expect(loaded.run({ rows: 1, outputs: 0 }, 2, 1)).rejects.toMatchObject({ code: 'input' });
    const running = loaded.run({ rows: 4, outputs: 0 });
    expect(() => session.load(relu('late', x))).toThrowError(expect.objectContaining({ code: 'state' }));
    await running;
    session.load(relu('late', x));
    await session.dispose();
  });
});
