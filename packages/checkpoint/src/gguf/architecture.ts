// What a GGUF architecture is to this package: data that says how it maps to the Hugging Face layout, in both directions.
// Data in llama.ts, llama-relatives.ts and falcon.ts; shared code reads these facts and never asks for a name.
import { show } from '@relufy/tensor';
import { malformed } from '../malformed.js';
import { falcon } from './falcon.js';
import type { GgufConfig } from './gguf-config.js';
import { llama } from './llama.js';
import * as relatives from './llama-relatives.js';
import type { GgufFields } from './metadata.js';

/** Which row of the stored tensor is row `row` of the Hugging Face tensor, and back. */
export interface RowOrder {
  /** How many rows the tensor must have. */
  readonly rows: number;
  toStored(row: number): number;
  toHuggingFace(row: number): number;
}

/** A value of a GGUF file with its type. */
export type GgufField =
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'uint32' | 'int32' | 'float32'; readonly value: number }
  | { readonly type: 'string[]'; readonly value: readonly string[] }
  | { readonly type: 'int32[]' | 'float32[]'; readonly value: readonly number[] };

export type JsonObject = Record<string, unknown>;

export interface Architecture {
  /** `general.architecture` */
  readonly name: string;
  /** Values of `model_type` in config.json that it can hold; reading gives the first. */
  readonly modelTypes: readonly [string, ...string[]];
  /** GGUF name -> Hugging Face name; `{n}` stands for the block's number. The first fitting pair counts. */
  readonly names: (facts: TensorFacts) => readonly (readonly [gguf: string, huggingFace: string])[];
  /** GGUF tensors that describe the model instead of being weights of it. */
  readonly described: readonly string[];
  /** config.json from metadata. `tensors` is undefined for a file that holds a vocabulary only. */
  readonly config: (fields: GgufFields, tensors: TensorFacts | undefined) => JsonObject;
  /** Metadata from config.json, for writing. */
  readonly fields: (config: GgufConfig) => readonly (readonly [key: string, field: GgufField])[];
  /** Whether a tensor's rows lie in another order. */
  readonly rowOrder: (huggingFaceName: string, config: GgufConfig) => RowOrder | undefined;
  /** What a config.json that does not say `tie_word_embeddings` means. Default: false. */
  readonly tiedByDefault?: boolean;
  /** What the file's numbers are more than Hugging Face's. */
  readonly storedPlus?: (huggingFaceName: string) => number;
}

/** What an architecture may ask about the tensors of a file. */
export interface TensorFacts {
  has(ggufName: string): boolean;
  rows(ggufName: string): number | undefined;
  /** The values of a small tensor that was read beforehand (those in `described`). */
  values(ggufName: string): Float32Array | undefined;
}

const architectures: readonly Architecture[] = [llama, falcon, ...Object.values(relatives)];

/** The architecture that a file names. */
export function architectureOf(fields: GgufFields): Architecture {
  const name = fields.required('general.architecture', fields.string('general.architecture'));
  const found = architectures.find((architecture) => architecture.name === name);
  if (found) return found;
  throw malformed(
    fields.where,
    `metadata "general.architecture", expected ${architectures.map((a) => a.name).join(', ')}, got ${show(name)}`,
    'Take the model in safetensors, if its family is supported.',
  );
}

/** The architecture that can hold a Hugging Face model. */
export function architectureFor(where: string, modelType: unknown): Architecture {
  // SparseLM's types are their base model's with another activation, which is kept in `relufy.config`.
  const base = String(modelType).replace(/_sparse_relu$/, '');
  const found = architectures.find((architecture) => architecture.modelTypes.includes(base));
  if (found) return found;
  throw malformed(
    where,
    `"model_type", expected ${architectures.flatMap((a) => a.modelTypes).join(', ')} for GGUF, got ${show(modelType)}`,
    'Convert to safetensors instead.',
  );
}
