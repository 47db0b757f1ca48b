// Reads a config.json key by key, with types and bounds, and words the error when one does not fit.
// Owns checks of single keys. Does not know any family: what a key means is each family's business.
import { RelufyError, show } from '@relufy/tensor';
import type { Activation } from '../spec.js';

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json | undefined;
}

export class ConfigReader {
  readonly #family: string;
  readonly #config: JsonObject;
  readonly #path: string;

  constructor(family: string, config: JsonObject, path = '') {
    this.#family = family;
    this.#config = config;
    this.#path = path;
  }

  /** The same config with values for keys that it lacks. */
  withDefaults(defaults: JsonObject): ConfigReader {
    const given = Object.entries(this.#config).filter(([, value]) => value !== undefined && value !== null);
    return new ConfigReader(this.#family, { ...defaults, ...Object.fromEntries(given) }, this.#path);
  }

  /** null counts as absent, as in the checkpoints' own configs. */
  has(key: string): boolean {
    return this.#config[key] !== undefined && this.#config[key] !== null;
  }

  raw(key: string): Json | undefined {
    return this.#config[key] ?? undefined;
  }

  fail(key: string, expected: string, remedy = ''): never {
    const got = this.has(key) ? show(this.raw(key)) : 'nothing';
    throw new RelufyError(
      'config',
      `${this.#family} config "${this.#path}${key}": expected ${expected}, got ${got}.${remedy && ` ${remedy}`}`,
    );
  }

  /** A whole number in 1..limit. Without a default the key is required. */
  size(key: string, byDefault?: number, limit = 1 << 24): number {
    const value = this.raw(key) ?? byDefault;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > limit)
      this.fail(key, `a whole number from 1 to ${limit}`);
    return value;
  }

  /** A positive finite number. */
  positive(key: string, byDefault?: number): number {
    const value = this.raw(key) ?? byDefault;
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) this.fail(key, 'a positive number');
    return value;
  }

  flag(key: string, byDefault: boolean): boolean {
    const value = this.raw(key) ?? byDefault;
    if (typeof value !== 'boolean') this.fail(key, 'true or false');
    return value;
  }

  object(key: string): ConfigReader | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    if (!isObject(value)) this.fail(key, 'an object');
    return new ConfigReader(this.#family, value, `${this.#path}${key}.`);
  }

  /** The key must be absent or have a value that changes nothing; anything else would change the arithmetic. */
  neutral(key: string, neutral: (value: Json) => boolean, expected: string, remedy = ''): void {
    const value = this.raw(key);
    if (value !== undefined && !neutral(value)) this.fail(key, expected, remedy);
  }

  /** An activation by the names that Hugging Face configs use; `parameterKey` holds the bar of fatrelu. */
  activation(key: string, byDefault: string, parameterKey = 'hidden_act_param'): Activation {
    const name = this.raw(key) ?? byDefault;
    switch (name) {
      case 'relu':
      case 'relu2':
      case 'gelu':
        return { kind: name, threshold: 0 };
      case 'silu':
      case 'swish':
        return { kind: 'silu', threshold: 0 };
      case 'gelu_new':
      case 'gelu_fast':
      case 'gelu_pytorch_tanh':
        return { kind: 'geluTanh', threshold: 0 };
      case 'fatrelu':
      case 'shifted_relu': {
        const threshold = this.raw(parameterKey);
        if (typeof threshold !== 'number' || !Number.isFinite(threshold) || threshold < 0)
          this.fail(parameterKey, `a number >= 0 for ${name}`);
        return { kind: name === 'fatrelu' ? 'fatrelu' : 'relu', threshold };
      }
      case 'swish_beta':
        return { kind: 'swish', threshold: this.positive(parameterKey) };
      default:
        return this.fail(key, 'relu, relu2, fatrelu, shifted_relu, silu, swish_beta, gelu or gelu_pytorch_tanh');
    }
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Keys of any family that would change the arithmetic in a way that is not implemented. */
export function refuseUnsupported(config: ConfigReader, readsQuantization = false): void {
  config.neutral(
    'quantization_config',
    () => readsQuantization,
    'no quantised weights',
    'Use the original checkpoint, or a GGUF of it.',
  );
  config.neutral('rope_interleaved', (value) => value === false, 'false');
  config.neutral('attn_logit_softcapping', () => false, 'no soft-capped attention');
  config.neutral('num_local_experts', (value) => value === 0 || value === 1, 'a dense model');
  config.neutral('num_experts', (value) => value === 0 || value === 1, 'a dense model');
  config.neutral('is_encoder_decoder', (value) => value === false, 'a decoder-only model');
  config.neutral('add_cross_attention', (value) => value === false, 'a decoder-only model');
}
