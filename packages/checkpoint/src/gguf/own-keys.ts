// What GGUF has no key for, in keys of our own: JSON laid over the files that its other keys give. Other software
// ignores them. `relufy.config`: an activation, for example. `relufy.generation_config`: more than three ids that end a
// generation, and generation settings. `relufy.tokenizer` and `relufy.tokenizer_config`: flags of added tokens, a
// decoder, the order of merges, roles that other ids have.
// Does not own: finding what must go into them (not-in-gguf.ts, export.ts).
import { show } from '@relufy/tensor';
import { malformed } from '../malformed.js';
import type { JsonObject } from './architecture.js';
import { parseObject } from './gguf-config.js';
import type { GgufFields } from './metadata.js';

export const configKey = 'relufy.config';
export const generationKey = 'relufy.generation_config';
export const tokenizerKey = 'relufy.tokenizer';
export const tokenizerConfigKey = 'relufy.tokenizer_config';

/** `made` with what our own key says instead. */
export function laidOver(fields: GgufFields, key: string, made: JsonObject): JsonObject {
  return { ...made, ...ourOwn(fields, key) };
}

/** A tokenizer.json with what our own key says instead; of its `model`, key by key, and of the merges, a stretch. */
export function tokenizerLaidOver(fields: GgufFields, made: JsonObject): JsonObject {
  const { model = {}, merges, ...parts } = ourOwn(fields, tokenizerKey);
  const madeModel = { ...asObject(made.model), ...asObject(model) };
  if (merges !== undefined) madeModel.merges = spliced(fields.where, madeModel.merges as readonly unknown[], merges);
  return { ...made, ...parts, model: madeModel };
}

/** A stretch of a list that reads otherwise. */
export interface Stretch<T> {
  readonly at: number;
  readonly remove: number;
  readonly insert: readonly T[];
}

function spliced(where: string, list: readonly unknown[], stretch: unknown): readonly unknown[] {
  const { at, remove, insert } = asObject(stretch);
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  if (!isCount(at) || !isCount(remove) || !Array.isArray(insert) || at + remove > list.length)
    throw malformed(
      where,
      `metadata "${tokenizerKey}", expected a stretch of ${list.length} merges, got ${show(stretch)}`,
    );
  return [...list.slice(0, at), ...(insert as unknown[]), ...list.slice(at + remove)];
}

function ourOwn(fields: GgufFields, key: string): JsonObject {
  const text = fields.string(key);
  return text === undefined ? {} : parseObject(`${fields.where}: metadata "${key}"`, text);
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
export const asObject = (value: unknown): JsonObject => (isObject(value) ? value : {});
