// What a family owes: a parser from config.json to a spec, and where each buffer's numbers lie in a checkpoint.
// Owns the types, and the vocabulary to describe fused and stacked tensors. The families are data beside this file.
import type { ModelSpec } from '../spec.js';
import type { ConfigReader } from './config-reader.js';

/** A run of rows of a checkpoint tensor. A 1-d tensor counts as one column. */
export interface WeightPart {
  readonly tensor: string;
  /** Rows that the tensor must have in all. */
  readonly tensorRows: number;
  readonly firstRow: number;
  readonly rows: number;
  /** Added to every number: of norm weights that are stored less 1. */
  readonly plus?: number;
}

/** Buffer name -> the parts whose rows, one after the other, make it up (before any transposition). */
export type WeightMap = ReadonlyMap<string, readonly WeightPart[]>;

export interface Family {
  /** Values of `model_type` that mean this family. */
  readonly modelTypes: readonly string[];
  /** Class names that mean this family in a config without `model_type`. */
  readonly architectures?: readonly string[];
  /** `parse` reads `quantization_config` itself; in other families any such key is refused. */
  readonly readsQuantization?: true;
  readonly parse: (config: ConfigReader) => ModelSpec;
  readonly weights: (spec: ModelSpec) => WeightMap;
  /** A prefix that tensor names may lack, as in checkpoints saved from the bare model. */
  readonly optionalPrefix: string;
  /** Tensors that may be there and mean nothing: buffers that older versions saved. */
  readonly ignored: RegExp;
}

/** The whole of a tensor. */
export function whole(tensor: string, rows: number): readonly WeightPart[] {
  return [{ tensor, tensorRows: rows, firstRow: 0, rows }];
}

/** Some rows of a tensor. */
export function slice(tensor: string, tensorRows: number, firstRow: number, rows: number): WeightPart {
  return { tensor, tensorRows, firstRow, rows };
}

/** The weight, and the bias when there is one, of a linear layer or a norm. */
export function affine(
  map: Map<string, readonly WeightPart[]>,
  buffer: string,
  tensor: string,
  rows: number,
  has: { weight?: boolean; bias: boolean },
): void {
  if (has.weight !== false) map.set(`${buffer}.weight`, whole(`${tensor}.weight`, rows));
  if (has.bias) map.set(`${buffer}.bias`, whole(`${tensor}.bias`, rows));
}

/** Rows of queries, keys and values, per head. */
export interface HeadRows {
  readonly q: number;
  readonly kv: number;
  readonly all: number;
}

export function headRows({ attention }: ModelSpec): HeadRows {
  const q = attention.numAttentionHeads * attention.headDim;
  const kv = attention.numKeyValueHeads * attention.headDim;
  return { q, kv, all: q + 2 * kv };
}
