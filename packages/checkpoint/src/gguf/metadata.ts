// The metadata of a GGUF file, and typed access to it: a wrong kind of value is an error that names the key.
// Does not own: reading it from bytes (header.ts), what the keys mean (llama.ts, falcon.ts, tokenizer.ts).
import { show } from '@relufy/tensor';
import { malformed } from '../malformed.js';

export type GgufNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

/** A text whose bytes are not UTF-8 (an author's name in Latin-1): an error for whoever reads it, and for nobody else. */
export class UndecodedText {
  constructor(readonly bytes: Uint8Array) {}

  toJSON(): string {
    return `${this.bytes.byteLength} bytes that are not UTF-8`;
  }
}

/** Numbers are exact: a 64-bit integer beyond 2^53 is a bigint. An array of bool is a Uint8Array of 0 and 1. */
export type GgufValue = string | UndecodedText | number | bigint | boolean | GgufNumbers | readonly GgufValue[];

export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** Typed access for one file; `where` names it in errors. */
export class GgufFields {
  constructor(
    readonly where: string,
    readonly metadata: GgufMetadata,
  ) {}

  string(key: string): string | undefined {
    return this.#optional(key, 'text', (value) => (typeof value === 'string' ? value : undefined));
  }

  boolean(key: string): boolean | undefined {
    return this.#optional(key, 'true or false', (value) => (typeof value === 'boolean' ? value : undefined));
  }

  number(key: string): number | undefined {
    return this.#optional(key, 'a number', (value) => (typeof value === 'number' ? value : undefined));
  }

  /** A non-negative integer. */
  size(key: string): number | undefined {
    return this.#optional(key, 'a non-negative integer', (value) =>
      typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined,
    );
  }

  strings(key: string): readonly string[] | undefined {
    return this.#optional(key, 'a list of texts', (value) => {
      if (!Array.isArray(value)) return undefined;
      const other = value.findIndex((text) => typeof text !== 'string');
      if (value[other] instanceof UndecodedText)
        throw malformed(this.where, `metadata ${show(key)}, expected UTF-8, got other bytes in text ${other}`);
      return other < 0 ? (value as readonly string[]) : undefined;
    });
  }

  /** Numbers of one kind; not 64-bit integers. */
  numbers(key: string): ArrayLike<number> | undefined {
    return this.#optional(key, 'a list of numbers', (value) =>
      ArrayBuffer.isView(value) && !(value instanceof BigUint64Array) && !(value instanceof BigInt64Array)
        ? (value as Exclude<GgufNumbers, BigUint64Array | BigInt64Array>)
        : undefined,
    );
  }

  /** For keys without which the file is useless. */
  required<T>(key: string, value: T | undefined): T {
    if (value === undefined) throw malformed(this.where, `metadata ${show(key)}, expected a value, got none`);
    return value;
  }

  #optional<T>(key: string, expected: string, read: (value: GgufValue) => T | undefined): T | undefined {
    const value = this.metadata.get(key);
    if (value === undefined) return undefined;
    const result = read(value);
    if (result === undefined)
      throw malformed(this.where, `metadata ${show(key)}, expected ${expected}, got ${showValue(value)}`);
    return result;
  }
}

function showValue(value: GgufValue): string {
  return ArrayBuffer.isView(value)
    ? `${value.length} numbers`
    : Array.isArray(value)
      ? `a list of ${value.length}`
      : show(value);
}
