// Products wider than the contract suite's cases: sums in parts (cpp/kernels/axpy.h), several vectors of blocks, panels
// with tails. Bits are equal at 1, 2, 3 and 4 threads, for a row alone and among others, and for sparse and dense.
import { createReferenceBackend, type DType } from '@relufy/tensor';
import { buffer, expectClose, expectSameBits, type OpCase, runCase } from '@relufy/tensor/contract';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createNativeBackend, type NativeBackend, nativeAvailability } from '../dist/index.js';
import { provideBinary } from '../testing/binary.mjs';

const missing = (await provideBinary()) ?? (nativeAvailability().available ? undefined : nativeAvailability().reason);
const reference = createReferenceBackend();
const sentinel = 0.8125;

interface Shape {
  readonly inWidth: number;
  readonly outWidth: number;
  readonly rows: number;
  readonly density: number;
}

const shapes: readonly Shape[] = [
  { inWidth: 1024, outWidth: 64, rows: 1, density: 0.1 },
  { inWidth: 1030, outWidth: 71, rows: 3, density: 0.3 },
  { inWidth: 2100, outWidth: 200, rows: 7, density: 0.02 },
  { inWidth: 1500, outWidth: 97, rows: 20, density: 0.5 },
  { inWidth: 1100, outWidth: 33, rows: 5, density: 1 },
  { inWidth: 1056, outWidth: 130, rows: 37, density: 0 },
];

/** A dense product over a transposed weight, and the sparse one over the same numbers. */
function transposedCases(dtype: DType, { inWidth, outWidth, rows, density }: Shape): [OpCase, OpCase] {
  const x = buffer('x', 'f32', ['rows', inWidth], { kind: 'sparse', density });
  const operands = {
    x,
    w: buffer('w', dtype, [inWidth, outWidth], { kind: 'normal' }, true),
    bias: buffer('bias', 'f32', [outWidth], { kind: 'normal' }),
    residual: buffer('residual', 'f32', ['rows', outWidth], { kind: 'normal' }),
    out: buffer('out', 'f32', ['rows', outWidth], { kind: 'constant', value: sentinel }),
  };
  const active = buffer('active', 'i32', ['rows', inWidth], { kind: 'indicesOf', mask: x });
  const activeCount = buffer('activeCount', 'i32', ['rows'], { kind: 'countsOf', mask: x });
  const base = { rows, maxRows: rows + 1, attributes: {}, results: ['out'] };
  const name = `${dtype} [${rows}, ${inWidth}] -> ${outWidth}, density ${density}`;
  return [
    { ...base, name: `linear ${name}`, op: 'linear', operands },
    { ...base, name: `axpyRows ${name}`, op: 'axpyRows', operands: { ...operands, active, activeCount } },
  ];
}

function rowMajorCases(dtype: DType, { inWidth, outWidth, rows, density }: Shape): [OpCase, OpCase] {
  const x = buffer('x', 'f32', ['rows', inWidth], { kind: 'normal' });
  const blocks = Math.ceil(inWidth / 32);
  const input =
    dtype === 'int8' || dtype === 'int4'
      ? {
          x: buffer('x', 'i8', ['rows', blocks * 32], { kind: 'quantizedOf', source: x, part: 'values' }),
          xScales: buffer('xScales', 'f32', ['rows', blocks], { kind: 'quantizedOf', source: x, part: 'xScales' }),
          xSums: buffer('xSums', 'i32', ['rows', blocks], { kind: 'quantizedOf', source: x, part: 'xSums' }),
        }
      : { x };
  const mask = buffer('mask', 'f32', ['rows', outWidth], { kind: 'sparse', density });
  const operands = {
    ...input,
    w: buffer('w', dtype, [outWidth, inWidth], { kind: 'normal' }),
    bias: buffer('bias', 'f32', [outWidth], { kind: 'normal' }),
    out: buffer('out', 'f32', ['rows', outWidth], { kind: 'constant', value: sentinel }),
  };
  const active = buffer('active', 'i32', ['rows', outWidth], { kind: 'indicesOf', mask });
  const activeCount = buffer('activeCount', 'i32', ['rows'], { kind: 'countsOf', mask });
  const base = { rows, maxRows: rows + 1, attributes: {}, results: ['out'] };
  const name = `${dtype} [${rows}, ${inWidth}] -> ${outWidth}, density ${density}`;
  return [
    { ...base, name: `linear ${name}`, op: 'linear', operands },
    { ...base, name: `gemvRows ${name}`, op: 'gemvRows', operands: { ...operands, active, activeCount } },
  ];
}

const isas: Readonly<Record<string, readonly string[]>> = {
  x64: ['avx512', 'avx2', 'scalar'],
  arm64: ['neon', 'scalar'],
};

for (const isa of isas[process.arch] ?? [])
  describe.skipIf(missing !== undefined)(`wide products, ${isa}${missing ? ` (${missing})` : ''}`, () => {
    const backends: NativeBackend[] = [];
    let reason: string | undefined;
    beforeAll(async () => {
      process.env.RELUFY_NATIVE_ISA = isa;
      try {
        for (const threads of [1, 2, 3, 4]) backends.push(await createNativeBackend({ threads }));
      } catch (error) {
        reason = (error as Error).message;
      }
      delete process.env.RELUFY_NATIVE_ISA;
    });
    afterAll(async () => {
      for (const backend of backends) await backend.dispose();
    });

    for (const dtype of ['f32', 'bf16', 'int8', 'int4'] as const)
      for (const [layout, make] of [
        ['row-major', rowMajorCases],
        ['transposed', transposedCases],
      ] as const)
        it(`${dtype} ${layout}: ${shapes.length} shapes`, async (context) => {
          if (reason !== undefined) return context.skip(reason);
          for (const shape of shapes) {
            const [dense, sparse] = make(dtype, shape);
            const [expected, first] = [await runCase(reference, dense, 2), await runCase(backends[0]!, dense, 2)];
            expectClose(dense.name, first, expected, 2e-6);
            for (const backend of backends) {
              expectSameBits(dense.name, await runCase(backend, dense, 2), first);
              const out = (await runCase(backend, sparse, 2)).out as Float32Array;
              const wanted = (first.out as Float32Array).slice();
              if (layout === 'row-major')
                for (let i = 0; i < out.length; i++) if (out[i] === sentinel) wanted[i] = sentinel;
              expectSameBits(sparse.name, { out }, { out: wanted });
              const alone = (await runCase(backend, { ...sparse, rows: 1 }, 2)).out as Float32Array;
              const width = shape.outWidth;
              expectSameBits(
                `${sparse.name}, alone`,
                { out: alone.subarray(0, width) },
                { out: out.subarray(0, width) },
              );
            }
          }
          expect(backends).toHaveLength(4);
        });
  });
