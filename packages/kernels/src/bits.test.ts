// Invariants of the products, bit for bit, at sizes that reach every path: one row against many, sparse against dense,
// and one thread against several. The contract suite covers the small shapes; here rows and widths cross the thresholds.
import type { BufferDecl, HostBackend, StepLimits, WeightDType } from '@relufy/tensor';
import {
  blockRowBytes,
  blockSize,
  blocksOf,
  f32ToBf16,
  isBlockDType,
  ProgramBuilder,
  quantizeRow,
  weightDTypes,
} from '@relufy/tensor';
import { normal, uniform } from '@relufy/tensor/contract';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWasmBackend } from '../dist/node.js';

interface Product {
  readonly op: 'linear' | 'gemvRows' | 'axpyRows';
  readonly dtype: WeightDType;
  readonly transposed: boolean;
  readonly inWidth: number;
  readonly outWidth: number;
  /** Share of the mask (of x for axpyRows) that is not zero. */
  readonly density: number;
}

const maxRows = 40;
const limits: StepLimits = { maxRows, maxOutputs: 1 };

/** Runs a product of `rows` rows, the data of each row depending on the row alone; gives out. */
async function run(backend: HostBackend, product: Product, rows: number): Promise<Uint32Array> {
  const { op, dtype, transposed, inWidth, outWidth, density } = product;
  const state = (name: string, type: BufferDecl['dtype'], shape: BufferDecl['shape'], flip = false): BufferDecl => ({
    name,
    kind: 'state',
    dtype: type,
    shape,
    ...(flip ? { transposed: true } : {}),
  });
  const decls = {
    x: state('x', 'f32', ['rows', inWidth]),
    w: state('w', dtype, transposed ? [inWidth, outWidth] : [outWidth, inWidth], transposed),
    mask: state('mask', 'f32', ['rows', op === 'gemvRows' ? outWidth : inWidth]),
    bias: state('bias', 'f32', [outWidth]),
    out: state('out', 'f32', ['rows', outWidth]),
  };
  const session = await backend.createSession(Object.values(decls), limits);
  const builder = new ProgramBuilder('product', limits);
  for (const decl of Object.values(decls)) builder.use(decl);
  const input: Record<string, string> = { x: 'x' };
  if (isBlockDType(dtype) && !transposed) {
    const blocks = blocksOf(inWidth);
    input.x = builder.activation('values', ['rows', blocks * blockSize], 'i8');
    input.xScales = builder.activation('xScales', ['rows', blocks]);
    input.xSums = builder.activation('xSums', ['rows', blocks], 'i32');
    builder.op('quantize', { x: 'x', values: input.x, xScales: input.xScales, xSums: input.xSums });
  }
  if (op === 'linear') builder.op('linear', { ...input, w: 'w', bias: 'bias', out: 'out' });
  else {
    const active = builder.activation('active', decls.mask.shape, 'i32');
    const activeCount = builder.activation('count', ['rows'], 'i32');
    builder.op('selectActive', { x: 'mask', active, activeCount });
    builder.op(op, { ...input, w: 'w', active, activeCount, bias: 'bias', out: 'out' });
  }
  const loaded = session.load(builder.build());
  const next = uniform(inWidth + outWidth);
  const w = session.view('w');
  if (isBlockDType(dtype)) {
    const [columns, bytes] = [decls.w.shape[1] as number, blockRowBytes(dtype, decls.w.shape[1] as number)];
    const row = new Float32Array(columns);
    for (let at = 0; at < w.length; at += bytes) {
      for (let i = 0; i < columns; i++) row[i] = normal(next);
      quantizeRow(dtype, row, (w as Uint8Array).subarray(at, at + bytes));
    }
  } else for (let i = 0; i < w.length; i++) w[i] = dtype === 'bf16' ? f32ToBf16(normal(next)) : normal(next);
  const [x, mask, bias, out] = ['x', 'mask', 'bias', 'out'].map((name) => session.view(name) as Float32Array);
  for (let i = 0; i < bias!.length; i++) bias![i] = normal(next);
  const maskWidth = decls.mask.shape[1] as number;
  for (let r = 0; r < maxRows; r++) {
    const [ofMask, ofX] = [uniform(r + 1), uniform(r + 1000)];
    for (let i = 0; i < maskWidth; i++) mask![r * maskWidth + i] = ofMask() < density ? 1 : 0;
    for (let i = 0; i < inWidth; i++) {
      const value = normal(ofX);
      x![r * inWidth + i] = op === 'gemvRows' || mask![r * maskWidth + i] !== 0 ? value : 0;
    }
  }
  out!.fill(sentinel);
  await loaded.run({ rows, outputs: 0 });
  const bits = new Uint32Array(out!.buffer, out!.byteOffset, rows * outWidth).slice();
  await session.dispose();
  return bits;
}

const layouts = weightDTypes.flatMap((dtype) => [false, true].map((transposed) => ({ dtype, transposed })));
const sentinel = 0.8125;
const sentinelBits = new Uint32Array(new Float32Array([sentinel]).buffer)[0];

describe('bits', () => {
  const backends: HostBackend[] = [];
  beforeAll(async () => {
    for (const threads of [1, 2, 3]) backends.push(await createWasmBackend({ threads, everyThread: true }));
  });
  afterAll(async () => {
    for (const backend of backends) await backend.dispose();
  });

  for (const { dtype, transposed } of layouts) {
    const layout = `${dtype}${transposed ? ' transposed' : ''}`;

    it.each([
      [1029, 70],
      [2061, 37],
      [3100, 21],
      [300, 530],
    ])(
      `${layout} %i -> %i: a row has the same bits among 1 to 40 rows, at 1, 2 and 3 threads`,
      async (inWidth, outWidth) => {
        const product: Product = { op: 'linear', dtype, transposed, inWidth, outWidth, density: 1 };
        const all = await run(backends[0]!, product, 40);
        for (const [i, rows] of [40, 40, 1, 3, 9, 17].entries())
          expect(await run(backends[(i + 1) % 3]!, product, rows)).toEqual(all.subarray(0, rows * outWidth));
      },
    );

    it.each([0, 0.05, 0.3, 0.6, 1])(
      `${layout}: sparse equals dense at density %d, for 1 to 40 rows`,
      async (density) => {
        const op = transposed ? 'axpyRows' : 'gemvRows';
        const [inWidth, outWidth] = [521, 140];
        const product: Product = { op, dtype, transposed, inWidth, outWidth, density };
        const dense = await run(backends[0]!, { ...product, op: 'linear', density: transposed ? density : 1 }, 40);
        for (const [i, rows] of [40, 1, 2, 5, 12].entries()) {
          const sparse = await run(backends[i % 3]!, product, rows);
          if (transposed) expect(sparse).toEqual(dense.subarray(0, sparse.length));
          else {
            // outputs that are not listed are left alone
            expect(sparse.every((word, at) => word === sentinelBits || word === dense[at])).toBe(true);
            const listed = sparse.reduce((sum, word) => sum + (word === sentinelBits ? 0 : 1), 0);
            expect(Math.abs(listed / sparse.length - density)).toBeLessThan(0.15);
          }
        }
      },
    );
  }
});
