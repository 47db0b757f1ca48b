// One test case of the contract suite: a program of one op over seeded data. The cases themselves are in cases.ts.
import type { BufferDecl, Dim, OpKind } from '../index.js';

/** How a buffer's numbers are drawn. */
export type Fill =
  | { readonly kind: 'normal'; readonly scale?: number }
  /** Normal numbers, all but a share of them exactly zero; in row-first order. */
  | { readonly kind: 'sparse'; readonly density: number }
  | { readonly kind: 'integers'; readonly below: number }
  /** As `fill` says, but for the first number. */
  | { readonly kind: 'stray'; readonly value: number; readonly fill: Fill }
  /** 0, 1, 2, ...: positions of consecutive tokens. */
  | { readonly kind: 'ascending' }
  | { readonly kind: 'values'; readonly values: readonly number[] }
  /** The ascending indices of a mask's non-zeros, row by row, and how many there are. `also`: every so many-th as well. */
  | { readonly kind: 'indicesOf' | 'countsOf'; readonly mask: CaseBuffer; readonly also?: number }
  /** What `quantize` makes of another operand's numbers. */
  | { readonly kind: 'quantizedOf'; readonly source: CaseBuffer; readonly part: 'values' | 'xScales' | 'xSums' }
  /** The sign bits of a matrix. */
  | { readonly kind: 'signsOf'; readonly weight: CaseBuffer }
  /**
   * Multiples of 1/4 from a few, so that scores tie and meet their thresholds; one number in eight is 0, -0, NaN or
   * infinite. `coarsePositive`: thresholds, of which one in eight is infinite.
   */
  | { readonly kind: 'coarse' | 'coarsePositive' }
  /** A sentinel that the op must overwrite, or must leave alone. */
  | { readonly kind: 'constant'; readonly value: number };

export interface CaseBuffer {
  readonly decl: BufferDecl;
  readonly fill: Fill;
}

export interface OpCase {
  readonly name: string;
  readonly op: OpKind;
  readonly rows: number;
  readonly maxRows: number;
  readonly operands: Readonly<Record<string, CaseBuffer>>;
  readonly attributes: Readonly<Record<string, number>>;
  /** Operands to compare after the run, with the number of leading elements that count. */
  readonly results: readonly string[];
  /** The reference's bits are demanded, NaN included: the op computes nothing that is rounded. */
  readonly exact?: true;
}

/** Shorthand: an operand of a case. Everything is `input`/`state` so that the host can fill and read it. */
export function buffer(
  name: string,
  dtype: BufferDecl['dtype'],
  shape: readonly Dim[],
  fill: Fill,
  transposed = false,
): CaseBuffer {
  return { decl: { name, kind: 'state', dtype, shape, ...(transposed ? { transposed } : {}) }, fill };
}

/** What an output holds before the run: of the size of the results, so that it does not widen a tolerance, and never one of them. */
export const sentinel = 0.8125;
