// Losses, penalties, HeLU, recomputation and the optimiser: what finite differences of one op cannot show.
import { describe, expect, it } from 'vitest';
import {
  activationCodes,
  appendGradients,
  type BufferDecl,
  createReferenceBackend,
  opDefinitions,
  ProgramBuilder,
  recordFields,
  recordWords,
  scheduleFields,
  trainingOpTable,
} from './index.js';

const limits = { maxRows: 3, maxOutputs: 3 };
const state = (name: string, shape: BufferDecl['shape'], dtype: BufferDecl['dtype'] = 'f32'): BufferDecl => ({
  name,
  kind: 'state',
  dtype,
  shape,
});

/** Runs one op over buffers with these numbers; gives what they hold afterwards. */
async function runOp(
  kind: Parameters<ProgramBuilder['op']>[0],
  buffers: readonly (readonly [BufferDecl, readonly number[]])[],
  attributes: Readonly<Record<string, number>> = {},
): Promise<Record<string, number[]>> {
  const session = await createReferenceBackend().createSession(
    buffers.map(([decl]) => decl),
    limits,
  );
  const builder = new ProgramBuilder(kind, limits);
  for (const [decl, values] of buffers) session.view(builder.use(decl)).set(values);
  builder.op(kind, Object.fromEntries(buffers.map(([{ name }]) => [name, name])), attributes);
  await session.load(builder.build()).run({ rows: 3, outputs: 3 });
  return Object.fromEntries(buffers.map(([{ name }]) => [name, [...session.view(name)]]));
}

describe('cross-entropy', () => {
  const logits = [0.3, -1, 0.8, 0.1, 2, 1, -0.4, 0.2, 0.5, -0.7, 0.9, 1.1];
  const weight = [0.5, 0, 0.25];
  const teacherWeight = [0, 0.8, 1.5];
  const logprobs = [0.5, 0.2, 0.1, 0.6, 0.3, 0.3].map(Math.log);
  const run = (values: readonly number[], taught: boolean) =>
    runOp('crossEntropy', [
      [state('logits', ['rows', 4]), values],
      [state('target', ['rows'], 'i32'), [2, 0, 1]],
      [state('weight', ['rows']), weight],
      [state('loss', ['rows']), []],
      ...(taught
        ? ([
            [state('teacherIds', ['rows', 2], 'i32'), [1, 3, 0, 2, 3, 1]],
            [state('teacherLogprobs', ['rows', 2]), logprobs],
            [state('teacherWeight', ['rows']), teacherWeight],
            [state('divergence', ['rows']), []],
          ] as const)
        : []),
    ]);

  it.each([false, true])('turns logits into the gradient of the loss, with a teacher: %s', async (taught) => {
    const total = async (values: readonly number[]): Promise<number> => {
      const { loss, divergence } = await run(values, taught);
      const sum = (terms: number[] | undefined, weights: number[]) =>
        (terms ?? []).reduce((all, term, r) => all + term * (weights[r] as number), 0);
      return sum(loss, weight) + sum(divergence, teacherWeight);
    };
    const { logits: gradient } = await run(logits, taught);
    for (let i = 0; i < logits.length; i++) {
      const moved = (by: number) => logits.map((value, j) => (j === i ? value + by : value));
      const slope = ((await total(moved(1e-2))) - (await total(moved(-1e-2)))) / 2e-2;
      expect(gradient?.[i]).toBeCloseTo(slope, 4);
    }
  });

  it('has the divergence of two distributions that are known in full', async () => {
    const p = [0.1, 0.2, 0.3, 0.4];
    const { divergence, logits: gradient } = await runOp('crossEntropy', [
      [state('logits', ['rows', 4]), Array.from({ length: 12 }, () => 0)],
      [state('target', ['rows'], 'i32'), [0, 0, 0]],
      [state('weight', ['rows']), [0, 0, 0]],
      [state('loss', ['rows']), []],
      [state('teacherIds', ['rows', 4], 'i32'), [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]],
      [state('teacherLogprobs', ['rows', 4]), [...p, ...p, ...p].map(Math.log)],
      [state('teacherWeight', ['rows']), [1, 1, 1]],
      [state('divergence', ['rows']), []],
    ]);
    expect(divergence?.[0]).toBeCloseTo(
      p.reduce((sum, share) => sum + share * Math.log(share / 0.25), 0),
      6,
    );
    p.forEach((share, i) => {
      expect(gradient?.[i]).toBeCloseTo(0.25 - share, 6);
    });
  });
});

it('rounding passes gradients straight through', async () => {
  const builder = new ProgramBuilder('rounding', limits, { differentiable: true });
  const [x, w, dy] = [state('x', ['rows', 2]), state('w', [1, 2]), state('dy', ['rows', 1])];
  const session = await createReferenceBackend().createSession([x, w, dy], limits);
  for (const decl of [x, w, dy]) builder.use(decl);
  session.view('x').set([0.301, -2, 1, 5, -3, 0.2]);
  session.view('w').set([3, -4]);
  session.view('dy').set([1, 2, -1]);
  const [rounded, out] = [builder.activation('rounded', ['rows', 2]), builder.activation('out', ['rows', 1])];
  builder.op('roundRow', { x: 'x', out: rounded });
  builder.op('linear', { x: rounded, w: 'w', out });
  const tape = appendGradients(builder, { seeds: new Map([[out, 'dy']]), parameters: new Map() });
  const gradient = tape.of('x') as string;
  builder.keep(gradient);
  const loaded = session.load(builder.build());
  await loaded.run({ rows: 3, outputs: 3 });
  expect([...loaded.view(gradient)]).toEqual([3, -4, 6, -8, -3, 4]);
});

it.each([
  ['a step', 'activate', { thresholds: 'x' }, { kind: activationCodes.step }, 'activate by step'],
  ['the choice of the largest', 'keepTop', {}, { k: 1 }, 'keepTop'],
] as const)('%s has no gradient', (_, kind, operands, attributes, name) => {
  const builder = new ProgramBuilder('no gradient', limits);
  for (const decl of [state('x', ['rows', 2]), state('dy', ['rows', 2])]) builder.use(decl);
  const out = builder.activation('out', ['rows', 2]);
  builder.op(kind, { x: 'x', ...operands, out }, attributes);
  expect(() => appendGradients(builder, { seeds: new Map([[out, 'dy']]), parameters: new Map() })).toThrowError(
    expect.objectContaining({
      code: 'program',
      message: `gradient: expected ops that have one, got ${name}, which has no gradient. Train without it.`,
    }),
  );
});

describe('terms of a loss', () => {
  it('HeLU passes gradients to units just below the threshold', async () => {
    const attributes = { kind: activationCodes.relu, threshold: 0.5, slack: 0.2 };
    const x = [0.29, 0.31, 0.5, 0.51, -1, 2, 0, 0, 0];
    const { out } = await runOp(
      'activateBackward',
      [
        [state('x', ['rows', 3]), x],
        [state('dy', ['rows', 3]), x.map(() => 2)],
        [state('out', ['rows', 3]), []],
      ],
      attributes,
    );
    expect(out?.slice(0, 6)).toEqual([0, 2, 2, 2, 0, 2]);
  });

  it('penalty adds the sign, and counts what is active', async () => {
    const { out, norm, activeCount } = await runOp(
      'penalty',
      [
        [state('x', ['rows', 2]), [3, 0, -2, 1, 0, 0]],
        [state('coefficients', [2]), [9, 0.5]],
        [state('residual', ['rows', 2]), [1, 1, 1, 1, 1, 1]],
        [state('out', ['rows', 2]), []],
        [state('norm', ['rows']), []],
        [state('activeCount', ['rows'], 'i32'), []],
      ],
      { index: 1 },
    );
    expect(out).toEqual([1.5, 1, 0.5, 1.5, 1, 1]);
    expect(norm).toEqual([3, 3, 0]);
    expect(activeCount).toEqual([1, 2, 0]);
  });
});

describe('adamW', () => {
  it('takes the first step of the formula', async () => {
    const schedule = Object.keys(scheduleFields).map(() => 0);
    schedule[scheduleFields.learningRate] = 0.1;
    schedule[scheduleFields.correction1] = 0.1;
    schedule[scheduleFields.correction2] = 0.05;
    schedule[scheduleFields.averageDecay] = 0.75;
    const { parameter, gradient, average } = await runOp(
      'adamW',
      [
        [state('parameter', [2]), [1, -2]],
        [state('gradient', [2]), [4, -0.5]],
        [state('m', [2]), []],
        [state('v', [2]), []],
        [state('average', [2]), [1, -2]],
        [state('schedule', [5]), schedule],
        [state('clip', [2]), [0, 1]],
      ],
      { beta1: 0.9, beta2: 0.95, eps: 1e-8, decay: 0.1, rate: 1 },
    );
    // the first step of Adam is the sign of the gradient
    expect(parameter?.[0]).toBeCloseTo(1 * (1 - 0.01) - 0.1, 5);
    expect(parameter?.[1]).toBeCloseTo(-2 * (1 - 0.01) + 0.1, 5);
    expect(average?.[0]).toBeCloseTo(0.75 * 1 + 0.25 * 0.89, 5);
    expect(gradient).toEqual([0, 0]);
  });
});

describe('recomputation', () => {
  const buffers = [state('x', ['rows', 8]), state('w', [8, 8]), state('dy', ['rows', 8])];
  const gradient = state('w.gradient', [8, 8]);

  async function gradients(recompute: boolean): Promise<{ values: number[]; clones: number }> {
    const session = await createReferenceBackend().createSession([...buffers, gradient], limits);
    const builder = new ProgramBuilder('recomputation', limits, { differentiable: true });
    for (const [seed, decl] of buffers.entries()) {
      const view = session.view(builder.use(decl));
      for (let i = 0; i < view.length; i++) view[i] = Math.sin(i * 0.9 + seed);
    }
    const segments: [number, number][] = [];
    let x = 'x';
    for (let layer = 0; layer < 3; layer++) {
      const from = builder.ops.length;
      const of = (name: string) => builder.activation(`${name}.${layer}`, ['rows', 8]);
      const [up, down, next] = [of('up'), of('down'), of('next')];
      builder.op('linear', { x, w: 'w', out: up });
      builder.op('headNorm', { x: up }, { heads: 2, headDim: 4, centred: 0, eps: 1e-3 });
      builder.op('activate', { x: up, out: down }, { kind: activationCodes.silu, threshold: 0 });
      builder.op('linear', { x: down, w: 'w', residual: x, out: next });
      segments.push([from, builder.ops.length]);
      x = next;
    }
    appendGradients(builder, {
      seeds: new Map([[x, 'dy']]),
      parameters: new Map([['w', gradient]]),
      recomputed: recompute ? segments : [],
    });
    const program = builder.build();
    await session.load(program).run({ rows: 3, outputs: 3 });
    return {
      values: [...session.view('w.gradient')],
      clones: [...program.buffers.keys()].filter((name) => /^(?!gradient|stats).*\.again(\.saved)?$/.test(name)).length,
    };
  }

  it('gives the same bits', async () => {
    const [kept, again] = [await gradients(false), await gradients(true)];
    expect(again.clones).toBe(3 * 3);
    expect(again.values).toEqual(kept.values);
    expect(kept.values.some((value) => value !== 0)).toBe(true);
  });
});

it('ops of training have codes of their own, and fit a record', () => {
  const all = Object.values(opDefinitions);
  expect(new Set(all.map(({ code }) => code)).size).toBe(all.length);
  for (const kind of Object.keys(trainingOpTable) as (keyof typeof trainingOpTable)[])
    expect(recordFields(kind).length, kind).toBeLessThan(recordWords);
});
