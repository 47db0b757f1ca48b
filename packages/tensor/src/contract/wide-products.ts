// Products wider than the other cases: sums in parts, several vectors of blocks, panels with tails, and more rows than any
// kernel takes at once. Each is a dense product and the sparse one over the same numbers.
import type { DType } from '../index.js';
import { buffer, type OpCase, sentinel } from './case.js';
import { quantizable } from './cases.js';

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

/** A dense product, and the sparse one by the non-zeros of x (transposed) or of a mask over the outputs. */
export function wideProducts(
  dtype: DType,
  transposed: boolean,
  { inWidth, outWidth, rows, density }: WideShape,
): [OpCase, OpCase] {
  const x = buffer('x', 'f32', ['rows', inWidth], transposed ? { kind: 'sparse', density } : { kind: 'normal' });
  const mask = transposed ? x : buffer('mask', 'f32', ['rows', outWidth], { kind: 'sparse', density });
  const operands = {
    ...quantizable(dtype, transposed, inWidth, x),
    w: buffer('w', dtype, transposed ? [inWidth, outWidth] : [outWidth, inWidth], { kind: 'normal' }, transposed),
    bias: buffer('bias', 'f32', [outWidth], { kind: 'normal' }),
    ...(transposed && { residual: buffer('residual', 'f32', ['rows', outWidth], { kind: 'normal' }) }),
    out: buffer('out', 'f32', ['rows', outWidth], { kind: 'constant', value: sentinel }),
  };
  const lists = {
    active: buffer('active', 'i32', mask.decl.shape, { kind: 'indicesOf', mask }),
    activeCount: buffer('activeCount', 'i32', ['rows'], { kind: 'countsOf', mask }),
  };
  const base = { rows, maxRows: rows + 1, attributes: {}, results: ['out'] };
  const name = `${dtype} [${rows}, ${inWidth}] -> ${outWidth}${transposed ? ' transposed' : ''}, density ${density}`;
  const sparse = transposed ? 'axpyRows' : 'gemvRows';
  return [
    { ...base, name: `linear ${name}`, op: 'linear', operands },
    { ...base, name: `${sparse} ${name}`, op: sparse, operands: { ...operands, ...lists } },
  ];
}
