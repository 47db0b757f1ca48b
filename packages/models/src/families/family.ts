// What a family owes: a parser from config.json to a spec, and where each buffer's numbers lie in a checkpoint.
// Owns the types, and the vocabulary to describe fused and stacked tensors. The families are data beside this file.
import type { ConfigReader } from '@relufy/tensor';
import { isQkv, projections, type QkvRole, qkvRows, type Role } from '../decoder/projections.js';
import { headRows, type ModelSpec } from '../spec.js';

/** A run of rows of a checkpoint tensor. A 1-d tensor counts as one column. */
export interface WeightPart {
  readonly tensor: string;
  /** Rows that the tensor must have in all. */
  readonly tensorRows: number;
  readonly firstRow: number;
  readonly rows: number;
  /** Of a vector that is stored as something else, such as [1, 1, width]. */
  readonly shape?: readonly number[];
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
  /** The config's key of the activation. Default: `hidden_act`. */
  readonly activationKey?: string;
  /** Of its types those that mean FATReLU models, which `transformers` does not know. */
  readonly fatreluTypes?: readonly string[];
  /** `parse` reads `quantization_config` itself; in other families any such key is refused. */
  readonly readsQuantization?: true;
  readonly parse: (config: ConfigReader) => ModelSpec;
  readonly weights: (spec: ModelSpec) => WeightMap;
  /** Whether the config leaves it to the checkpoint if there are gates: without any, the FFN is a plain one. */
  readonly gateIsOptional?: (config: ConfigReader) => boolean;
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

/** The tensors of a block's linear layers, but for queries, keys and values. */
export type LinearTensors = Readonly<Partial<Record<Exclude<Role, QkvRole>, string>>>;

/** The linear layers of one block: one tensor each, and `qkv` as the family stores it. */
export function linears(
  map: Map<string, readonly WeightPart[]>,
  spec: ModelSpec,
  layer: string,
  tensors: LinearTensors,
  qkv: (part: 'weight' | 'bias') => readonly WeightPart[],
): void {
  for (const { role, out, bias } of projections(spec))
    if (isQkv(role)) {
      const { first, count } = qkvRows(spec, role);
      map.set(`${layer}.${role}.weight`, cutRows(qkv('weight'), first, count));
      if (bias) map.set(`${layer}.${role}.bias`, cutRows(qkv('bias'), first, count));
    } else {
      const tensor = tensors[role];
      if (tensor === undefined) throw new Error(`internal: the family names no tensor for "${role}"`);
      affine(map, `${layer}.${role}`, tensor, out, { bias });
    }
}

/** Rows [first, first + count) of what the parts make up together. */
function cutRows(parts: readonly WeightPart[], first: number, count: number): readonly WeightPart[] {
  let at = 0;
  return parts.flatMap((part) => {
    const from = Math.max(first, at);
    const to = Math.min(first + count, at + part.rows);
    const firstRow = part.firstRow + from - at;
    at += part.rows;
    return from < to ? [{ ...part, firstRow, rows: to - from }] : [];
  });
}

/** Queries, keys and values in tensors of their own; `tensor` names each. */
export function separateQkv(spec: ModelSpec, tensor: (part: 'q' | 'k' | 'v') => string): readonly WeightPart[] {
  const { q, kv } = headRows(spec);
  return [slice(tensor('q'), q, 0, q), slice(tensor('k'), kv, 0, kv), slice(tensor('v'), kv, 0, kv)];
}
