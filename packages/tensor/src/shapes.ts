// The vocabulary in which the op table states its shape rules, and the check of products, rows and caches.
// Owns comparing declarations. Every check words its own error through `problem`; what a rule demands is the op table's.
import { blockSize, blocksOf, isBlockDType } from './block-format.js';
import { type BufferDecl, type Dim, rowBytes } from './buffer.js';
import type { DType } from './dtype.js';

/** What a shape rule sees of an op: its operands' declarations and its attributes. */
export interface OpView {
  /** The declaration behind an operand; absent optional operands are undefined. */
  readonly operands: Readonly<Record<string, BufferDecl | undefined>>;
  readonly attributes: Readonly<Record<string, number>>;
}

/** Which run-time count an op loops over, as encoded. */
export const countCodes = { rows: 0, outputs: 1 } as const;

export const dtypeCodes: Readonly<Record<DType, number>> = {
  f32: 0,
  bf16: 1,
  i32: 2,
  i8: 3,
  int8: 4,
  int4: 5,
  f16: 6,
  uint4: 7,
};

/** The shape rules' vocabulary. Every check words its own error through `problem`. */
export class Shapes {
  readonly attributes: Readonly<Record<string, number>>;
  readonly #operands: OpView['operands'];
  readonly #problem: (operand: string, expected: string) => never;

  constructor(view: OpView, problem: (operand: string, expected: string) => never) {
    this.attributes = view.attributes;
    this.#operands = view.operands;
    this.#problem = problem;
  }

  #get(operand: string): BufferDecl {
    return this.#operands[operand] ?? this.#problem(operand, 'an operand');
  }

  require(condition: boolean, operand: string, expected: string): void {
    if (!condition) this.#problem(operand, expected);
  }

  has(operand: string): boolean {
    return this.#operands[operand] !== undefined;
  }

  rank(operand: string): number {
    return this.#get(operand).shape.length;
  }

  /** How many numbers an operand holds that has no run-time dimension. */
  size(operand: string): number {
    return this.#get(operand).shape.reduce<number>((product, dim) => product * this.fixed(operand, dim), 1);
  }

  /** A negative axis counts from the last. */
  dim(operand: string, axis: number): Dim {
    return (
      this.#get(operand).shape.at(axis) ?? this.#problem(operand, `at least ${axis < 0 ? -axis : axis + 1} dimensions`)
    );
  }

  /** The two dimensions of an operand. */
  matrix(operand: string): readonly [Dim, Dim] {
    const { shape } = this.#get(operand);
    if (shape.length !== 2) this.#problem(operand, 'two dimensions');
    return [shape[0] as Dim, shape[1] as Dim];
  }

  /** Exactly this shape; an absent optional operand passes. */
  expect(operand: string, shape: readonly Dim[]): void {
    const found = this.#operands[operand];
    if (found === undefined) return;
    const same = found.shape.length === shape.length && shape.every((dim, axis) => found.shape[axis] === dim);
    if (!same) this.#problem(operand, `[${shape.join(', ')}]`);
  }

  expectLayout(operand: string, transposed: boolean): void {
    if (this.transposed(operand) !== transposed)
      this.#problem(operand, transposed ? 'a transposed weight [in, out]' : 'a row-major weight [out, in]');
  }

  transposed(operand: string): boolean {
    return this.#get(operand).transposed === true;
  }

  fixed(operand: string, dim: Dim): number {
    return typeof dim === 'number' ? dim : this.#problem(operand, 'a fixed number of columns');
  }

  count(dim: Dim): number {
    return typeof dim === 'number' ? this.#problem('out', 'rows or outputs as first dimension') : countCodes[dim];
  }

  dtype(operand: string): number {
    return dtypeCodes[this.#get(operand).dtype];
  }

  /** Bytes of a row of a matrix as it is stored; 0 where there is none. */
  rowBytes(operand: string): number {
    return this.has(operand) ? rowBytes(this.#get(operand).dtype, this.fixed(operand, this.dim(operand, -1))) : 0;
  }

  /** x and out share their shape; the vectors have its width. */
  rowwise(x: string, out: string, vectors: readonly string[]): { count: number; width: number } {
    const [count, width] = this.matrix(x);
    this.expect(out, [count, width]);
    for (const vector of vectors) this.expect(vector, [width]);
    return { count: this.count(count), width: this.fixed(x, width) };
  }

  /** out = w x, with the bias and residual that fit. x is f32, or quantised where the weight wants it so. */
  product(x: string, w: string, out: string): { count: number; inWidth: number; outWidth: number; dtype: number } {
    const [count, xWidth] = this.matrix(x);
    const [outCount, outWidth] = this.matrix(out);
    this.require(outCount === count, out, `[${count}, ...]`);
    const quantized = isBlockDType(this.#get(w).dtype) && !this.transposed(w);
    const inWidth = quantized ? this.matrix(w)[1] : xWidth;
    // with a table of places, w holds some of the rows, in any order
    const rows = this.has('table') ? this.dim(w, 0) : this.transposed(w) ? inWidth : outWidth;
    this.expect(w, this.transposed(w) ? [rows, outWidth] : [rows, inWidth]);
    this.expect('table', [this.transposed(w) ? inWidth : outWidth]);
    if (quantized) {
      const blocks = blocksOf(this.fixed(w, inWidth));
      this.require(this.#get(x).dtype === 'i8', x, 'quantised activations (i8)');
      this.expect(x, [count, blocks * blockSize]);
      for (const operand of ['xScales', 'xSums']) {
        this.require(this.#operands[operand] !== undefined, operand, 'what quantize gives with x');
        this.expect(operand, [count, blocks]);
      }
    } else this.require(this.#get(x).dtype === 'f32', x, 'f32');
    this.expect('bias', [outWidth]);
    this.expect('residual', [count, outWidth]);
    return {
      count: this.count(count),
      inWidth: this.fixed(w, inWidth),
      outWidth: this.fixed(out, outWidth),
      dtype: this.dtype(w),
    };
  }

  /** A KV cache: both buffers [slots, layers, kvHeads, capacity, headDim]. */
  cache(k: string, v: string): { layers: number; kvHeads: number; capacity: number; headDim: number } {
    const { shape, dtype } = this.#get(k);
    this.require(this.#get(v).dtype === dtype, v, dtype);
    if (shape.length !== 5) this.#problem(k, '[slots, layers, kvHeads, capacity, headDim]');
    this.expect(v, shape);
    const [, layers, kvHeads, capacity, headDim] = shape.map((dim) => this.fixed(k, dim)) as [
      number,
      number,
      number,
      number,
      number,
    ];
    const { layer } = this.attributes as { layer: number };
    this.require(layer >= 0 && layer < layers, k, `more than ${layer} layers`);
    return { layers, kvHeads, capacity, headDim };
  }
}
