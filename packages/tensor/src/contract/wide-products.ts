// Products wider than the other cases: sums in parts, several vectors of blocks, panels with tails, and more rows than any
// kernel takes at once. Each is a dense product and the sparse one over the same numbers.
import type { DType } from '../index.js';
import { buffer, type OpCase, sentinel } from './case.js';

export interface WideShape {
  readonly inWidth: number;
  readonly outWidth: number;
  readonly rows: number;
  readonly density: number;
}

export const wideShapes: readonly WideShape[] = [
  { inWidth: 1024, outWidth: 64, rows: 1, density: 0.1 },
  { inWidth: 1030, outWidth: 71, rows: 3, density: 0.3 },
  { inWidth: 2100, outWidth: 100, rows: 7, density: 0.02 },
  { inWidth: 1500, outWidth: 65, rows: 12, density: 0.5 },
  { inWidth: 1100, outWidth: 33, rows: 5, density: 1 },
  { inWidth: 1056, outWidth: 36, rows: 37, density: 0 },
  { inWidth: 1031, outWidth: 10, rows: 70, density: 0.3 },
  { inWidth: 1024, outWidth: 8, rows: 131, density: 0.7 },
];

function transposedProducts(dtype: DType, { inWidth, outWidth, rows, density }: WideShape): [OpCase, OpCase] {
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
  const name = `${dtype} [${rows}, ${inWidth}] -> ${outWidth} transposed, density ${density}`;
  return [
    { ...base, name: `linear ${name}`, op: 'linear', operands },
    { ...base, name: `axpyRows ${name}`, op: 'axpyRows', operands: { ...operands, active, activeCount } },
  ];
}

function rowMajorProducts(dtype: DType, { inWidth, outWidth, rows, density }: WideShape): [OpCase, OpCase] {
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

export const wideProducts = { 'row-major': rowMajorProducts, transposed: transposedProducts } as const;
