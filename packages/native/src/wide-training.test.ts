// Training ops at widths where kernels go from one block to the next: several panels of a product in every direction,
// attention over several blocks of rows and chunks of keys. The contract suite stays below them. Blocks that are mostly
// zeros take another path, with the same bits.
import { createReferenceBackend } from '@relufy/tensor';
import { buffer, expectClose, expectSameBits, type OpCase, runCase } from '@relufy/tensor/contract';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createNativeBackend, type NativeBackend } from '../dist/index.js';
import { provideBinary } from '../testing/binary.mjs';

const missing = await provideBinary();
const reference = createReferenceBackend();

const normal = { kind: 'normal' } as const;
const matrix = (name: string, width: number, scale = 1) =>
  buffer(name, 'f32', ['rows', width], { kind: 'normal', scale });

/** Rows, inputs, outputs: each beyond a block in one of the products, with remainders. */
const products = [
  [290, 35, 21],
  [37, 270, 19],
  [19, 21, 530],
  [130, 70, 300],
] as const;

const cartesian = products.flatMap((shape) =>
  [false, true].flatMap((transposed) => [1, 0.15].map((density) => ({ shape, transposed, density }))),
);

function* productCases(): Generator<OpCase> {
  for (const { shape, transposed, density } of cartesian) {
    const [rows, inWidth, outWidth] = shape;
    const at = `${transposed ? 'transposed ' : ''}[${rows}, ${inWidth}] -> ${outWidth}, density ${density}`;
    const w = buffer('w', 'f32', transposed ? [inWidth, outWidth] : [outWidth, inWidth], normal, transposed);
    const base = { rows, maxRows: rows, attributes: {} };
    const few = (name: string, width: number) => buffer(name, 'f32', ['rows', width], { kind: 'sparse', density });
    const dy = few('dy', outWidth);
    yield {
      ...base,
      name: `linearBackward ${at}`,
      op: 'linearBackward',
      operands: { dy, w, residual: matrix('residual', inWidth), out: matrix('out', inWidth) },
      results: ['out'],
    };
    yield {
      ...base,
      name: `linearGradient ${at}`,
      op: 'linearGradient',
      operands: {
        x: transposed ? few('x', inWidth) : matrix('x', inWidth),
        dy,
        w,
        bias: buffer('bias', 'f32', [outWidth], normal),
      },
      results: ['w', 'bias'],
    };
  }
}

function* attentionCases(): Generator<OpCase> {
  for (const { heads, kvHeads, headDim, window, lengths } of [
    { heads: 4, kvHeads: 2, headDim: 32, window: 0, lengths: [140, 33] },
    { heads: 3, kvHeads: 1, headDim: 20, window: 50, lengths: [101, 70] },
    { heads: 2, kvHeads: 2, headDim: 80, window: 0, lengths: [7, 90] },
  ]) {
    const width = (heads + 2 * kvHeads) * headDim;
    const rows = lengths.reduce((a, b) => a + b);
    const capacity = Math.max(...lengths);
    const where = lengths.flatMap((length, slot) => Array.from({ length }, (_, position) => [position, slot] as const));
    const places = (name: string, values: readonly number[]) =>
      buffer(name, 'i32', ['rows'], { kind: 'values', values });
    const common = {
      x: matrix('x', width),
      positions: places(
        'positions',
        where.map(([position]) => position),
      ),
      slots: places(
        'slots',
        where.map(([, slot]) => slot),
      ),
      keyBias: buffer('keyBias', 'f32', [heads, capacity], normal),
      dy: matrix('dy', heads * headDim),
      out: matrix('out', width),
    };
    const cache = (name: string) => buffer(name, 'f32', [lengths.length, 1, kvHeads, capacity, headDim], normal);
    const base = { rows, maxRows: rows };
    const shape = { heads, window, scale: headDim ** -0.5 };
    const at = `${heads}/${kvHeads} heads of ${headDim}, window ${window}, sequences of ${lengths}`;
    yield {
      ...base,
      name: `attentionBackwardQuery ${at}`,
      op: 'attentionBackwardQuery',
      operands: { ...common, k: cache('k'), v: cache('v'), stats: matrix('stats', 2 * heads) },
      attributes: { ...shape, layer: 0 },
      results: ['out', 'stats'],
    };
    const [firstKey, firstValue] = [heads * headDim, (heads + kvHeads) * headDim];
    yield {
      ...base,
      name: `attentionBackwardKeyValue ${at}`,
      op: 'attentionBackwardKeyValue',
      operands: { ...common, stats: buffer('stats', 'f32', ['rows', 2 * heads], { kind: 'values', values: [6, 0.3] }) },
      attributes: { ...shape, kvHeads, headDim, firstKey, firstValue },
      results: ['out'],
    };
  }
}

const cases = [...productCases(), ...attentionCases()];

/**
 * Products over a matrix [rows][width] whose first row, or column, has few non-zeros and is the same each time, while the
 * rest is full of numbers or empty: what is left of it must have the same bits.
 */
function companions(op: 'linearBackward' | 'linearGradient', transposed: boolean, full: boolean): OpCase {
  const [rows, inWidth, outWidth] = op === 'linearBackward' ? [40, 300, 530] : [530, 40, 300];
  const own = (i: number) => (i % 5 === 0 ? Math.sin(i) : 0);
  const [count, width] =
    transposed || op === 'linearBackward' ? [rows, op === 'linearBackward' ? outWidth : inWidth] : [rows, outWidth];
  const values = Array.from({ length: count * width }, (_, at) => {
    const [r, c] = [Math.floor(at / width), at % width];
    if (op === 'linearBackward' ? r === 0 : c === 0) return own(op === 'linearBackward' ? c : r);
    return full ? Math.cos(at) : 0;
  });
  const chosen = (name: string) => buffer(name, 'f32', ['rows', width], { kind: 'values', values });
  const w = buffer('w', 'f32', transposed ? [inWidth, outWidth] : [outWidth, inWidth], normal, transposed);
  const operands =
    op === 'linearBackward'
      ? { dy: chosen('dy'), w, out: matrix('out', inWidth) }
      : transposed
        ? { x: chosen('x'), dy: matrix('dy', outWidth), w }
        : { x: matrix('x', inWidth), dy: chosen('dy'), w };
  const results = op === 'linearBackward' ? ['out'] : ['w'];
  return { name: op, op, rows, maxRows: rows, attributes: {}, operands, results };
}

const isas: Readonly<Record<string, readonly string[]>> = {
  x64: ['avx512', 'avx2', 'scalar'],
  arm64: ['neon', 'scalar'],
};

for (const isa of isas[process.arch] ?? [])
  describe.skipIf(missing !== undefined)(`wide training ops, ${isa}${missing ? ` (${missing})` : ''}`, () => {
    const backends: NativeBackend[] = [];
    let reason: string | undefined;
    beforeAll(async () => {
      process.env.RELUFY_NATIVE_ISA = isa;
      try {
        for (const threads of [1, 2, 3]) backends.push(await createNativeBackend({ threads, everyThread: true }));
      } catch (error) {
        reason = (error as Error).message;
      }
      delete process.env.RELUFY_NATIVE_ISA;
    });
    afterAll(async () => {
      for (const backend of backends) await backend.dispose();
    });

    for (const opCase of cases)
      it(opCase.name, async (context) => {
        if (reason !== undefined) return context.skip(reason);
        const expected = await runCase(reference, opCase, 3);
        const first = await runCase(backends[0] as NativeBackend, opCase, 3);
        expectClose(opCase.name, first, expected, 2e-6);
        for (const backend of backends) expectSameBits(opCase.name, await runCase(backend, opCase, 3), first);
        expect(backends).toHaveLength(3);
      });

    for (const [op, transposed] of [
      ['linearBackward', false],
      ['linearGradient', false],
      ['linearGradient', true],
    ] as const)
      it(`${op}${transposed ? ' transposed' : ''} has the same bits among full and among empty rows`, async (context) => {
        if (reason !== undefined) return context.skip(reason);
        const firstRow = async (full: boolean): Promise<Float32Array> => {
          const opCase = companions(op, transposed, full);
          const result = Object.values(await runCase(backends[0] as NativeBackend, opCase, 3))[0] as Float32Array;
          return result.slice(0, op === 'linearBackward' || transposed ? 300 : 40);
        };
        const row = await firstRow(true);
        expect(row.some((value) => value !== 0)).toBe(true);
        expectSameBits(op, { row: await firstRow(false) }, { row });
      });
  });
