// Accuracy of the elementary functions, which the contract suite bounds only against the largest output.
import { type ActivationKind, activationCodes, activationFunctions, ProgramBuilder } from '@relufy/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWasmBackend, type WasmBackend } from '../dist/node.js';

const count = 40_000;
const limits = { maxRows: 1, maxOutputs: 1 };

describe('activation accuracy', () => {
  let backend: WasmBackend;
  beforeAll(async () => {
    backend = await createWasmBackend({ threads: 1 });
  });
  afterAll(() => backend.dispose());

  it.each(Object.keys(activationFunctions) as ActivationKind[])('%s: within 2e-7 of x, everywhere', async (kind) => {
    const threshold = { softcap: 30, scale: 1.5 }[kind as string] ?? 0;
    const decls = ['x', 'out'].map((name) => ({ name, kind: 'state', dtype: 'f32', shape: ['rows', count] }) as const);
    const session = await backend.createSession(decls, limits);
    const builder = new ProgramBuilder('accuracy', limits);
    for (const decl of decls) builder.use(decl);
    builder.op('activate', { x: 'x', out: 'out' }, { kind: activationCodes[kind], threshold });
    const program = session.load(builder.build());
    const [x, out] = [session.view('x') as Float32Array, session.view('out') as Float32Array];
    for (let i = 0; i < count; i++) x[i] = -100 + (200 * i) / count;
    await program.run({ rows: 1, outputs: 0 });
    for (let i = 0; i < count; i++) {
      const exact = activationFunctions[kind](x[i]!, threshold);
      const bound = 2e-7 * Math.max(Math.abs(x[i]!), Math.abs(exact));
      if (!(Math.abs(out[i]! - exact) <= bound)) expect.fail(`${kind}(${x[i]}) = ${out[i]}, expected ${exact}`);
    }
    // far away they saturate as the formula does, and NaN stays NaN where the formula says so
    const corners = [Number.POSITIVE_INFINITY, 1e30, -1e30, Number.NaN];
    x.set(corners);
    await program.run({ rows: 1, outputs: 0 });
    for (const [i, corner] of corners.entries()) {
      const exact = Math.fround(activationFunctions[kind](corner, threshold));
      if (Number.isNaN(exact)) expect(out[i]).toBeNaN();
      else expect(out[i]! === exact || Math.abs(out[i]! / exact - 1) < 1e-6).toBe(true);
    }
    await session.dispose();
  });
});
