// The reference executor against formulas worked out by hand, and against itself through the contract suite.
import { describe, expect, it } from 'vitest';
import { runBackendSuite } from '../contract/index.js';
import { createReferenceBackend, ProgramBuilder, RelufyError } from '../index.js';
import { erf } from './erf.js';
import { activationFunctions } from './kernels.js';

runBackendSuite({
  name: 'reference',
  create: async () => createReferenceBackend(),
  threads: [1],
  tolerance: 0,
  wide: false,
});

describe('formulas', () => {
  it('erf has the tabulated values', () => {
    // Abramowitz and Stegun, table 7.1
    expect(erf(0)).toBe(0);
    expect(erf(0.5)).toBeCloseTo(0.5204998778130465, 14);
    expect(erf(1)).toBeCloseTo(0.8427007929497149, 14);
    expect(erf(-2)).toBeCloseTo(-0.9953222650189527, 14);
    expect(erf(3)).toBeCloseTo(0.9999779095030014, 14);
    expect(erf(3.5)).toBeCloseTo(0.9999992569016276, 14);
    expect(erf(10)).toBe(1);
  });

  it('activations have their published values', () => {
    expect(activationFunctions.relu(0.5, 0.4)).toBeCloseTo(0.1, 12);
    expect(activationFunctions.relu(0.3, 0.4)).toBe(0);
    expect(activationFunctions.relu2(-3, 0)).toBe(0);
    expect(activationFunctions.relu2(3, 0)).toBe(9);
    expect(activationFunctions.fatrelu(0.3, 0.3)).toBe(0);
    expect(activationFunctions.fatrelu(0.31, 0.3)).toBe(0.31);
    expect(activationFunctions.silu(1, 0)).toBeCloseTo(0.7310585786300049, 14);
    expect(activationFunctions.gelu(1, 0)).toBeCloseTo(0.8413447460685429, 14);
    expect(activationFunctions.geluTanh(1, 0)).toBeCloseTo(0.8411919906082768, 12);
  });

  it('runs a program of three ops by hand', async () => {
    const limits = { maxRows: 2, maxOutputs: 1 };
    const table = { name: 'table', kind: 'weight', dtype: 'f32', shape: [3, 2] } as const;
    const w = { name: 'w', kind: 'weight', dtype: 'f32', shape: [2, 2], transposed: true } as const;
    const ids = { name: 'ids', kind: 'input', dtype: 'i32', shape: ['rows'] } as const;
    const session = await createReferenceBackend().createSession([table, w, ids], limits);
    const builder = new ProgramBuilder('by hand', limits);
    const x = builder.activation('x', ['rows', 2]);
    const y = builder.activation('y', ['rows', 2]);
    builder.op('gather', { index: builder.use(ids), table: builder.use(table), out: x });
    builder.op('linear', { x, w: builder.use(w), residual: x, out: y });
    builder.keep(y);
    const program = session.load(builder.build());
    (session.view('table') as Float32Array).set([1, 2, 3, 4, 5, 6]);
    (session.view('w') as Float32Array).set([10, 20, 30, 40]);
    (session.view('ids') as Int32Array).set([2, 0]);
    await program.run({ rows: 2, outputs: 0 });
    // x = [5, 6]: x + [5*10 + 6*30, 5*20 + 6*40]; x = [1, 2]: x + [1*10 + 2*30, 1*20 + 2*40]
    expect([...program.view('y')]).toEqual([235, 346, 71, 102]);
  });
});

describe('validation', () => {
  const limits = { maxRows: 2, maxOutputs: 1 };
  const weight = { name: 'w', kind: 'weight', dtype: 'f32', shape: [4, 3] } as const;
  const input = { name: 'in', kind: 'input', dtype: 'f32', shape: ['rows', 3] } as const;

  const failing = (build: (builder: ProgramBuilder) => void): string => {
    const builder = new ProgramBuilder('broken', limits);
    try {
      build(builder);
      builder.build();
    } catch (error) {
      if (RelufyError.is(error) && error.code === 'program') return error.message;
      throw error;
    }
    throw new Error('expected a program error');
  };

  it('names the op, the operand, what was expected and what came', () => {
    expect(
      failing((b) => b.op('linear', { x: b.use(input), w: b.use(weight), out: b.activation('out', ['rows', 5]) })),
    ).toBe('program "broken": op 0 linear "w": expected [5, 3], got "w" f32 [4, 3].');
    expect(
      failing((b) =>
        b.op('rmsNorm', { x: b.activation('a', ['rows', 3]), out: b.activation('o', ['rows', 3]) }, { eps: 1 }),
      ),
    ).toBe('program "broken": op 0 rmsNorm "x": buffer "a" is read before an op writes it.');
    expect(failing((b) => b.op('rmsNorm', { x: b.use(input), out: b.activation('o', ['rows', 3]) }))).toBe(
      'program "broken": op 0 rmsNorm attribute "eps": expected a number, got undefined.',
    );
    expect(
      failing((b) => b.op('activate', { x: b.use(input), out: b.use(input) }, { kind: 0, threshold: 0 })),
    ).toContain('expected an activation or state to write, got input "in"');
    expect(failing((b) => b.op('multiply', { a: b.use(input), out: b.activation('o', ['rows', 3]) }))).toBe(
      'program "broken": op 0 multiply "b": expected a buffer, got none.',
    );
    expect(failing((b) => b.keep('nothing'))).toBe('program "broken": kept buffer "nothing" is never written.');
  });
});
