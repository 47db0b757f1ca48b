// The reader of a config.json for the GGUF that is written of it.
// Does not own: what a family needs of it (models does, in full; here only what GGUF writes down).
import { ConfigReader, parseJson, show } from '@relufy/tensor';
import { malformed } from '../malformed.js';
import type { JsonObject } from './architecture.js';

export class GgufConfig extends ConfigReader {
  readonly config: JsonObject;

  constructor(where: string, config: JsonObject) {
    super({ where, code: 'checkpoint' }, config);
    this.config = config;
  }

  optional(key: string): number | undefined {
    return this.has(key) ? this.size(key) : undefined;
  }

  /** Throws for a key whose value cannot be written. */
  refuse(key: string, expected: string): never {
    return this.fail(key, `${expected} for GGUF`, 'Convert to safetensors instead.');
  }
}

/** A JSON object, or an error. */
export function parseObject(where: string, text: string): JsonObject {
  try {
    const value: unknown = parseJson(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  } catch {}
  throw malformed(where, `expected a JSON object, got ${show(text.slice(0, 40))}`);
}
