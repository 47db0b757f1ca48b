// Reads a config key by key, with types, bounds and defaults, and words the error when a value does not fit. Of a config
// that others wrote, keys that nobody asks for are left alone; of one that people write for us, `end` refuses them.
// Does not know what a key means: that is the business of whoever reads it.
import { aBoolean, aNumber, aWhole, type Rule } from './checks.js';
import { type ErrorCode, RelufyError, show } from './errors.js';

/** Where a config comes from, for its errors. */
export interface ConfigSource {
  /** What an error begins with, before the key: `llama config`, or a file's name. */
  readonly where: string;
  readonly code: ErrorCode;
  /** The name that a key has today, for one that is refused because it had another; `path` is all of it. */
  readonly renamed?: (path: string) => string | undefined;
}

type Values = Readonly<Record<string, unknown>>;

/** The most that a size of a model may be. */
const mostSize = 1 << 24;

export class ConfigReader {
  readonly #source: ConfigSource;
  readonly #values: Values;
  readonly #path: string;
  readonly #asked = new Set<string>();

  /**
   * `path` ends in a dot unless it is empty.
   * @throws RelufyError for anything but an object, and for a key that has another name today.
   */
  constructor(source: ConfigSource, values: unknown, path = '') {
    this.#source = source;
    this.#path = path;
    if (!isKeyed(values)) {
      const where = path === '' ? source.where : `${source.where} "${path.slice(0, -1)}"`;
      throw new RelufyError(source.code, `${where}: expected keys and values, got ${show(values)}.`);
    }
    this.#values = values;
    for (const key of source.renamed ? Object.keys(values) : []) {
      const now = source.renamed?.(`${path}${key}`);
      if (now !== undefined) throw this.#error(key, `expected the name "${now}", got "${key}". Rename it.`);
    }
  }

  /** The same config with values for keys that it lacks. */
  withDefaults(defaults: Values): ConfigReader {
    const given = Object.entries(this.#values).filter(([, value]) => value !== undefined && value !== null);
    return new ConfigReader(this.#source, { ...defaults, ...Object.fromEntries(given) }, this.#path);
  }

  /** null counts as absent, as in the checkpoints' own configs. */
  has(key: string): boolean {
    this.#asked.add(key);
    return this.#values[key] !== undefined && this.#values[key] !== null;
  }

  raw(key: string): unknown {
    return this.has(key) ? this.#values[key] : undefined;
  }

  fail(key: string, expected: string, remedy = ''): never {
    const got = this.has(key) ? show(this.raw(key)) : 'nothing';
    throw this.#error(key, `expected ${expected}, got ${got}.${remedy && ` ${remedy}`}`);
  }

  /** A value that fits the rule. Without a default the key is required. */
  value(key: string, rule: Rule, byDefault?: unknown): unknown {
    const value = this.raw(key) ?? byDefault;
    return rule.fits(value) ? value : this.fail(key, rule.expected);
  }

  /** A whole number from 1 to `most`: how many there are of something in a model. */
  size(key: string, byDefault?: number, most = mostSize): number {
    return this.value(key, aWhole(1, most), byDefault) as number;
  }

  whole(key: string, byDefault?: number, least = 1): number {
    return this.value(key, aWhole(least), byDefault) as number;
  }

  /** A number within bounds, both included. */
  number(key: string, byDefault?: number, least = 0, most = Number.POSITIVE_INFINITY): number {
    return this.value(key, aNumber(least, most), byDefault) as number;
  }

  /** A finite number above 0. */
  positive(key: string, byDefault?: number): number {
    return this.value(key, aPositive, byDefault) as number;
  }

  flag(key: string, byDefault: boolean): boolean {
    return this.value(key, aBoolean, byDefault) as boolean;
  }

  /** Not an empty one. */
  text(key: string, byDefault?: string): string {
    return this.value(key, someText, byDefault) as string;
  }

  choice<Word extends string>(key: string, words: readonly Word[], byDefault?: Word): Word {
    const expected = words.join(', ');
    return this.value(key, { expected, fits: (value) => words.includes(value as Word) }, byDefault) as Word;
  }

  object(key: string): ConfigReader | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    return isKeyed(value) ? this.#within(key, value) : this.fail(key, 'an object');
  }

  /** The same, without keys where it is absent. */
  section(key: string): ConfigReader {
    return this.object(key) ?? this.#within(key, {});
  }

  /** Objects; none where the key is absent. */
  list(key: string): readonly ConfigReader[] {
    const value = this.raw(key) ?? [];
    if (!Array.isArray(value)) this.fail(key, 'a list');
    return value.map((item, i) => this.#within(`${key}.${i}`, item));
  }

  /** The key must be absent or have a value that changes nothing; anything else would change the arithmetic. */
  neutral(key: string, neutral: (value: unknown) => boolean, expected: string, remedy = ''): void {
    const value = this.raw(key);
    if (value !== undefined && !neutral(value)) this.fail(key, expected, remedy);
  }

  /** @throws RelufyError for a key that was never asked for. */
  end(): void {
    for (const key of Object.keys(this.#values))
      if (!this.#asked.has(key)) throw this.#error(key, `unknown. Expected one of ${[...this.#asked].join(', ')}.`);
  }

  #within(key: string, values: unknown): ConfigReader {
    return new ConfigReader(this.#source, values, `${this.#path}${key}.`);
  }

  #error(key: string, what: string): RelufyError {
    return new RelufyError(this.#source.code, `${this.#source.where} "${this.#path}${key}": ${what}`);
  }
}

const aPositive: Rule = {
  expected: 'a positive number',
  fits: (value) => typeof value === 'number' && Number.isFinite(value) && value > 0,
};
const someText: Rule = { expected: 'a text', fits: (value) => typeof value === 'string' && value !== '' };

function isKeyed(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
