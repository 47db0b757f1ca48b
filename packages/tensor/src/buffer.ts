// Declarations of the named buffers that programs work on, and their sizes.
// Owns: dimensions, kinds, byte counts. Does not own memory (backends do) or offsets (plan.ts does).
import { blockDTypes, blockRowBytes, isBlockDType } from './block-format.js';
import { bytesPerElement, type DType } from './dtype.js';

/**
 * A dimension: a fixed size, or one that is known when a step runs. `rows` is the number of tokens in the step,
 * `outputs` the number of those tokens whose logits are wanted; both are bounded by the program.
 */
export type Dim = number | 'rows' | 'outputs';

/**
 * - `weight`: comes from a checkpoint, written once, when a model is loaded;
 * - `stored`: a weight whose rows stay in a file of this machine; `fetchRows` alone reads them, and `announceRows` says which it will (stored-rows.ts);
 * - `constant`: computed when a model is loaded (tables of positions);
 * - `state`: lives between steps (the KV cache);
 * - `input`: written by the host before a step (token ids, positions);
 * - `activation`: lives within one step, planned into an arena.
 */
export type BufferKind = 'weight' | 'stored' | 'constant' | 'state' | 'input' | 'activation';

/** Formats of weight matrices. */
export const weightDTypes = ['f32', 'bf16', ...blockDTypes] as const;
export type WeightDType = (typeof weightDTypes)[number];

export interface BufferDecl {
  readonly name: string;
  readonly kind: BufferKind;
  readonly dtype: DType;
  /** Row-major. A matrix weight is `[out, in]`, or `[in, out]` when `transposed`. */
  readonly shape: readonly Dim[];
  /** The weight is stored `[in, out]`: a row is what one input channel adds to the outputs (`axpyRows`). */
  readonly transposed?: boolean;
}

export interface StepLimits {
  readonly maxRows: number;
  readonly maxOutputs: number;
}

/** The size of a dimension when a step is as large as it may be. */
export function dimSize(dim: Dim, limits: StepLimits): number {
  return dim === 'rows' ? limits.maxRows : dim === 'outputs' ? limits.maxOutputs : dim;
}

/** Elements of a buffer at its largest. */
export function elementCount(buffer: Pick<BufferDecl, 'shape'>, limits: StepLimits): number {
  return buffer.shape.reduce<number>((product, dim) => product * dimSize(dim, limits), 1);
}

/** Bytes of a row of `columns` numbers. */
export function rowBytes(dtype: DType, columns: number): number {
  return isBlockDType(dtype) ? blockRowBytes(dtype, columns) : columns * bytesPerElement[dtype];
}

/** Bytes of a buffer at its largest. Rows of block formats are padded. */
export function byteCount(buffer: Pick<BufferDecl, 'shape' | 'dtype'>, limits: StepLimits): number {
  const columns = dimSize(buffer.shape.at(-1) ?? 1, limits);
  return elementCount({ shape: buffer.shape.slice(0, -1) }, limits) * rowBytes(buffer.dtype, columns);
}

/** What a session holds of a stored buffer: a cache line that says where its rows lie. */
const storedBytes = 64;

/** Bytes of a buffer in a session's memory. */
export function heldBytes(buffer: BufferDecl, limits: StepLimits): number {
  return buffer.kind === 'stored' ? storedBytes : byteCount(buffer, limits);
}

/** `bf16 [1024, 256]T`, as programs print it. */
export function describeBuffer(buffer: BufferDecl): string {
  return `${buffer.dtype} [${buffer.shape.join(', ')}]${buffer.transposed ? 'T' : ''}`;
}
