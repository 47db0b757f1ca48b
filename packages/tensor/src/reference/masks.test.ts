// Masks and choices against numbers worked out by hand, with the published tie rules, and what their ops refuse.
import { describe, expect, it, test } from 'vitest';
import { activationCodes, createReferenceBackend, type OpKind, ProgramBuilder, RelufyError } from '../index.js';

const limits = { maxRows: 2, maxOutputs: 1 };
const { NaN: nan, POSITIVE_INFINITY: infinite } = Number;

type Given = Readonly<Record<string, readonly number[]>>;

/** Runs one op over rows of `x` (or a, b, c); vectors are operands of the given name. */
async function run(op: OpKind, rows: Given, vectors: Given, attributes: Record<string, number>, width: number) {
  const count = (Object.values(rows)[0]?.length ?? 0) / (op === 'concat' ? 1 : width);
  const builder = new ProgramBuilder('by hand', { ...limits, maxRows: count });
  const decls = [
    ...Object.entries(rows).map(([name, numbers]) => ({ name, shape: ['rows' as const, numbers.length / count] })),
    ...Object.entries(vectors).map(([name, numbers]) => ({
      name,
      shape: name === 'strength' ? ['rows' as const] : [numbers.length],
    })),
  ].map((decl) => ({ ...decl, kind: 'state' as const, dtype: 'f32' as const }));
  const session = await createReferenceBackend().createSession(decls, { ...limits, maxRows: count });
  const operands = Object.fromEntries(decls.map((decl) => [decl.name, builder.use(decl)]));
  const out = builder.activation('result', ['rows', width]);
  builder.op(op, { ...operands, out }, attributes);
  builder.keep(out);
  const program = session.load(builder.build());
  for (const [name, numbers] of Object.entries({ ...rows, ...vectors }))
    (session.view(name) as Float32Array).set(numbers);
  await program.run({ rows: count, outputs: 0 });
  return [...program.view(out)];
}

describe('masks', () => {
  const x = [0.5, -0.5, 0.75, -2, 0, nan, infinite, 0.25];
  const all = (kind: keyof typeof activationCodes, vectors: Given) =>
    run('activate', { x }, vectors, { kind: activationCodes[kind] }, 8);

  test.each([
    ['magnitude', [0, 0, 0.75, -2, 0, nan, infinite, 0]],
    ['remainder', [0.5, -0.5, 0, 0, 0, 0, 0, 0.25]],
    ['magnitudeOrEqual', [0.5, -0.5, 0.75, -2, 0, nan, infinite, 0]],
    ['step', [0, 0, 1, 0, 0, 0, 1, 0]],
  ] as const)('%s at one half: what is as large as its threshold', async (kind, expected) => {
    expect(await all(kind, { thresholds: [0.5] })).toEqual(expected);
  });

  it('takes a threshold a column, and infinity keeps nothing', async () => {
    const thresholds = [0.25, infinite, 0.75, 1.5, 0, 0, infinite, infinite];
    expect(await all('magnitude', { thresholds })).toEqual([0.5, 0, 0, -2, 0, nan, 0, 0]);
  });

  it('scales the thresholds of a row, and passes rows of strength 0 whole', async () => {
    const pair = { x: [1, 3, 5, 1, 3, 5] };
    const strength = (kind: keyof typeof activationCodes, rows: readonly number[]) =>
      run('activate', pair, { thresholds: [2], strength: rows }, { kind: activationCodes[kind] }, 3);
    expect(await strength('magnitude', [0, 2])).toEqual([1, 3, 5, 0, 0, 5]);
    expect(await strength('remainder', [0, 2])).toEqual([0, 0, 0, 1, 3, 0]);
    expect(await strength('step', [0, 1])).toEqual([1, 1, 1, 0, 1, 1]);
  });
});

describe('keepTop', () => {
  const top = (x: readonly number[], attributes: Record<string, number>, vectors: Given = {}) =>
    run('keepTop', { x }, vectors, attributes, x.length);

  it('keeps the largest, of equals those that come first', async () => {
    expect(await top([1, -3, 2, 3, 3], { k: 2 })).toEqual([0, -3, 0, 3, 0]);
    expect(await top([1, 1, 1], { k: 0 })).toEqual([0, 0, 0]);
    expect(await top([1, 1, 1], { k: 9 })).toEqual([1, 1, 1]);
    expect(await top([infinite, nan, 4, nan], { k: 2 })).toEqual([0, nan, 0, nan]);
  });

  it('scores by scale', async () => {
    expect(await top([1, -3, 2], { k: 1 }, { scale: [7, 1, 3] })).toEqual([1, 0, 0]);
  });

  it('keeps 2 of every 4, and groups whole', async () => {
    expect(await top([1, 2, 3, 4, 8, 7, 6, 5], { k: 2, within: 4 })).toEqual([0, 0, 3, 4, 8, 7, 0, 0]);
    expect(await top([5, 0, 3, 3, 1, 1], { k: 1, groupSize: 2 })).toEqual([0, 0, 3, 3, 0, 0]);
    expect(await top([5, 0, 3, 3, 1, 0, 0, 2], { k: 1, groupSize: 2, within: 4 })).toEqual([0, 0, 3, 3, 0, 0, 0, 2]);
  });

  it('passes rows of strength 0 whole', async () => {
    expect(await run('keepTop', { x: [1, 2, 1, 2] }, { strength: [0, 3] }, { k: 1 }, 2)).toEqual([1, 2, 0, 2]);
  });
});

test('concat puts rows side by side', async () => {
  const rows = { a: [1], b: [2, 3], c: [4] };
  expect(await run('concat', rows, {}, {}, 4)).toEqual([1, 2, 3, 4]);
});

describe('refused', () => {
  const f32 = (name: string, shape: readonly (number | 'rows')[]) =>
    ({ name, kind: 'input', dtype: 'f32', shape }) as const;
  const [x, one, two, four] = [f32('x', ['rows', 4]), f32('one', [1]), f32('two', [2]), f32('four', [4])];
  const { magnitude, relu } = activationCodes;

  test.each([
    ['activate', {}, { kind: magnitude }, '"thresholds": expected [1] or [4], got none'],
    ['activate', { thresholds: two }, { kind: magnitude }, '"thresholds": expected [1] or [4], got "two" f32 [2]'],
    ['activate', { thresholds: one }, { kind: relu }, '"thresholds": expected none, since the code is not a mask, got'],
    ['activate', { strength: four }, { kind: relu }, '"strength": expected none'],
    ['activate', { thresholds: one, strength: four }, { kind: magnitude }, '"strength": expected [rows], got'],
    [
      'activate',
      { thresholds: one },
      { kind: magnitude, threshold: 0.5 },
      '"threshold": expected 0, since a mask takes the operand "thresholds", got 0.5',
    ],
    ['activate', {}, { kind: 99 }, '"kind": expected a code of activationCodes, got 99'],
    ['activate', {}, { kind: relu, treshold: 1 }, 'has no attribute "treshold"'],
    ['keepTop', {}, {}, 'attribute "k": expected a number, got undefined'],
    ['keepTop', {}, { k: -1 }, '"k": expected an integer from 0 on, got -1'],
    ['keepTop', {}, { k: 1.5 }, '"k": expected an integer from 0 on, got 1.5'],
    ['keepTop', {}, { k: 1, groupSize: 3 }, '"groupSize": expected a divisor of 4, got 3'],
    ['keepTop', {}, { k: 1, groupSize: 0 }, '"groupSize": expected a divisor of 4, got 0'],
    ['keepTop', {}, { k: 1, within: 3 }, '"within": expected 0, or a divisor of 4 that is a multiple of 1, got 3'],
    ['keepTop', {}, { k: 1, within: 2, groupSize: 4 }, '"within": expected 0, or a divisor of 4'],
    ['keepTop', { scale: two }, { k: 1 }, '"scale": expected [4], got "two" f32 [2]'],
  ] as const)('%s %o %o', (op, operands, attributes, message) => {
    const builder = new ProgramBuilder('broken', limits);
    const named = Object.fromEntries(Object.entries(operands).map(([operand, decl]) => [operand, builder.use(decl)]));
    builder.op(op, { x: builder.use(x), ...named, out: builder.activation('out', ['rows', 4]) }, attributes);
    expect(() => builder.build()).toThrowError(
      expect.objectContaining({ code: 'program', message: expect.stringContaining(message) }),
    );
  });

  it('concat of what does not fit', () => {
    const builder = new ProgramBuilder('broken', limits);
    builder.op('concat', { a: builder.use(x), b: builder.use(x), out: builder.activation('out', ['rows', 9]) });
    expect(() => builder.build()).toThrowError(RelufyError);
  });
});
