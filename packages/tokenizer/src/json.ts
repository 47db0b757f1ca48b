// Reading of untrusted JSON: parse a file's text and take typed fields out of it.
// Every complaint names the tokenizer, the file and the key, so that callers need no checks of their own.
// What the fields mean is not known here.
import { parseJson, RelufyError, show } from '@relufy/tensor';

export type JsonObject = { readonly [key: string]: unknown };

/** Where a value comes from, for error messages: `tokenizer "gpt2": tokenizer.json`. */
export interface Source {
  readonly name: string;
  readonly file: string;
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A `RelufyError` with code `tokenizer`, worded `tokenizer "name": file what. Remedy.` */
export function malformed(source: Source, what: string, remedy = 'Download it again.', cause?: unknown): RelufyError {
  const message = `tokenizer ${show(source.name)}: ${source.file} ${what}. ${remedy}`;
  return new RelufyError('tokenizer', message, cause === undefined ? {} : { cause });
}

export const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export function parseObject(text: unknown, source: Source): JsonObject {
  if (typeof text !== 'string') {
    throw malformed(source, `must be given as text, got ${text === null ? 'null' : typeof text}`, 'Pass its content.');
  }
  let value: unknown;
  try {
    value = parseJson(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (error) {
    throw malformed(source, `is not JSON (${reason(error)})`, 'Download it again.', error);
  }
  if (!isObject(value)) throw malformed(source, `must hold an object, got ${show(value)}`);
  return value;
}

/** Typed access to the fields of one object of a file; `path` is its place there, for example `model.`. */
export class Fields {
  constructor(
    readonly object: JsonObject,
    readonly source: Source,
    readonly path = '',
  ) {}

  /** An own value: a key such as `constructor` must not reach the prototype. `null` counts as absent. */
  get(key: string): unknown {
    return Object.hasOwn(this.object, key) ? (this.object[key] ?? undefined) : undefined;
  }

  fail(key: string, expected: string): RelufyError {
    return malformed(this.source, `"${this.path}${key}": expected ${expected}, got ${show(this.get(key))}`);
  }

  string(key: string): string;
  string<T>(key: string, fallback: T): string | T;
  string<T>(key: string, ...fallback: T[]): string | T {
    const value = this.get(key);
    if (typeof value === 'string') return value;
    if (value === undefined && fallback.length > 0) return fallback[0] as T;
    throw this.fail(key, 'a string');
  }

  boolean<T>(key: string, fallback: T): boolean | T {
    const value = this.get(key) ?? fallback;
    if (typeof value !== 'boolean' && value !== fallback) throw this.fail(key, 'true or false');
    return value as boolean | T;
  }

  /** A whole number from 0 on. */
  count(key: string, fallback?: number): number {
    const value = this.get(key) ?? fallback;
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw this.fail(key, 'a whole number from 0 on');
    return value as number;
  }

  choice<T extends string>(key: string, allowed: readonly T[], fallback?: T): T {
    const value = this.get(key) ?? fallback;
    const found = allowed.find((word) => word === value);
    if (found === undefined) throw this.fail(key, allowed.join(', '));
    return found;
  }

  array(key: string): readonly unknown[] {
    const value = this.get(key);
    if (!Array.isArray(value)) throw this.fail(key, 'a list');
    return value;
  }

  fields(key: string): Fields {
    const value = this.get(key);
    if (!isObject(value)) throw this.fail(key, 'an object');
    return new Fields(value, this.source, `${this.path}${key}.`);
  }

  optional(key: string): Fields | undefined {
    return this.get(key) === undefined ? undefined : this.fields(key);
  }

  /** A list of objects. */
  list(key: string): Fields[] {
    return this.array(key).map((value, i) => {
      if (!isObject(value)) {
        throw malformed(this.source, `"${this.path}${key}[${i}]": expected an object, got ${show(value)}`);
      }
      return new Fields(value, this.source, `${this.path}${key}[${i}].`);
    });
  }
}
