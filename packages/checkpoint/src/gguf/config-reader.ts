// Typed access to a config.json, with errors that name the key.
// Does not own: what a family needs of it (models does, in full; here only what GGUF writes down).
import { parseJson, show } from '@relufy/tensor';
import { malformed } from '../malformed.js';
import type { ConfigReader, JsonObject } from './architecture.js';

export function configReader(where: string, config: JsonObject): ConfigReader {
  const optional = (key: string): number | undefined => {
    const value = config[key];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value <= 0)
      throw malformed(
        `${where} ${show(key)}`,
        `expected a positive integer, got ${show(value)}`,
        'Correct the config.',
      );
    return value;
  };
  return {
    config,
    optional,
    size(key) {
      const value = optional(key);
      if (value === undefined)
        throw malformed(`${where} ${show(key)}`, 'expected a positive integer, got none', 'Add it to the config.');
      return value;
    },
    refuse(key, expected) {
      throw malformed(
        `${where} ${show(key)}`,
        `expected ${expected} for GGUF, got ${show(config[key])}`,
        'Convert to safetensors instead.',
      );
    },
  };
}

/** A JSON object, or an error. */
export function parseObject(where: string, text: string): JsonObject {
  try {
    const value: unknown = parseJson(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  } catch {}
  throw malformed(where, `expected a JSON object, got ${show(text.slice(0, 40))}`);
}
