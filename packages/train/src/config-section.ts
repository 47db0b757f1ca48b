// Reads a run's config key by key, with types and bounds, and words the error when one does not fit. Keys that nobody
// asked for are refused, with the ones that exist. Does not know what a run is (config.ts).
import { RelufyError, show } from '@relufy/tensor';
import { todaysKey } from './config-names.js';

export class Section {
  readonly #name: string;
  readonly #path: string;
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #asked = new Set<string>();

  /** `name` is the file's; `path` ends in a dot unless it is empty. */
  constructor(name: string, values: unknown, path = '') {
    this.#name = name;
    this.#path = path;
    if (typeof values !== 'object' || values === null || Array.isArray(values)) {
      const where = path === '' ? name : `${name} "${path.slice(0, -1)}"`;
      throw new RelufyError('option', `${where}: expected keys and values, got ${show(values)}.`);
    }
    this.#values = values as Readonly<Record<string, unknown>>;
    for (const key of Object.keys(values)) {
      const now = todaysKey(`${path}${key}`);
      if (now !== undefined)
        throw new RelufyError(
          'option',
          `${name} "${path}${key}": expected the name "${now}", got "${key}". Rename it.`,
        );
    }
  }

  has(key: string): boolean {
    this.#asked.add(key);
    return this.#values[key] !== undefined && this.#values[key] !== null;
  }

  raw(key: string): unknown {
    return this.has(key) ? this.#values[key] : undefined;
  }

  fail(key: string, expected: string, remedy = ''): never {
    const got = this.has(key) ? show(this.raw(key)) : 'nothing';
    throw new RelufyError(
      'option',
      `${this.#name} "${this.#path}${key}": expected ${expected}, got ${got}.${remedy && ` ${remedy}`}`,
    );
  }

  /** Without a default the key is required. */
  whole(key: string, byDefault?: number, least = 1): number {
    const value = this.raw(key) ?? byDefault;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least)
      this.fail(key, `a whole number >= ${least}`);
    return value;
  }

  /** A number within bounds, the lower one included. */
  number(key: string, byDefault?: number, least = 0, most = Number.POSITIVE_INFINITY): number {
    const value = this.raw(key) ?? byDefault;
    if (typeof value !== 'number' || !Number.isFinite(value) || value < least || value > most)
      this.fail(key, most === Number.POSITIVE_INFINITY ? `a number >= ${least}` : `a number from ${least} to ${most}`);
    return value;
  }

  text(key: string, byDefault?: string): string {
    const value = this.raw(key) ?? byDefault;
    if (typeof value !== 'string' || value === '') this.fail(key, 'a text');
    return value;
  }

  flag(key: string, byDefault: boolean): boolean {
    const value = this.raw(key) ?? byDefault;
    if (typeof value !== 'boolean') this.fail(key, 'true or false');
    return value;
  }

  choice<Word extends string>(key: string, words: readonly Word[], byDefault?: Word): Word {
    const value = this.raw(key) ?? byDefault;
    if (!words.includes(value as Word)) this.fail(key, words.join(', '));
    return value as Word;
  }

  section(key: string): Section | undefined {
    return this.has(key) ? new Section(this.#name, this.raw(key), `${this.#path}${key}.`) : undefined;
  }

  list(key: string): readonly Section[] {
    const value = this.raw(key) ?? [];
    if (!Array.isArray(value)) this.fail(key, 'a list');
    return value.map((item, i) => new Section(this.#name, item, `${this.#path}${key}.${i}.`));
  }

  /** @throws RelufyError `option` for a key that was never asked for. */
  end(): void {
    for (const key of Object.keys(this.#values))
      if (!this.#asked.has(key))
        throw new RelufyError(
          'option',
          `${this.#name} "${this.#path}${key}": unknown. Expected one of ${[...this.#asked].join(', ')}.`,
        );
  }
}
