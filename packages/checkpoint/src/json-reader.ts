// A pull reader of JSON for headers that strangers wrote. It differs from JSON.parse in three ways that matter there:
// a name given twice is an error (JSON.parse keeps the last), a value of the wrong kind is an error where it stands
// (so nothing large is built from a lie), and integers are exact or refused. What nobody reads may be NaN or Infinity,
// as Python writes them.
// Does not own: what the keys mean (the caller's `visit` reads the values).
import { show } from '@relufy/tensor';
import { malformed } from './malformed.js';

const maxDepth = 64;

export class JsonReader {
  readonly #where: string;
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(where: string, text: string) {
    this.#where = where;
    this.#text = text;
  }

  /** Calls `visit` once a name; it must read the value. */
  object(visit: (key: string) => void): void {
    const seen = new Set<string>();
    this.#list('{', '}', () => {
      const key = this.string();
      if (seen.has(key)) throw this.error(`name ${show(key)}, expected once, got it twice`);
      seen.add(key);
      this.#expect(':');
      visit(key);
    });
  }

  /** Calls `visit` once an element; it must read the element. */
  array(visit: (index: number) => void): void {
    let index = 0;
    this.#list('[', ']', () => visit(index++));
  }

  string(): string {
    this.#expect('"', 'a string');
    const start = this.#at;
    let end = this.#text.indexOf('"', start);
    let escaped = false;
    while (end > 0) {
      let backslashes = 0;
      while (this.#text.charCodeAt(end - 1 - backslashes) === 0x5c && end - 1 - backslashes >= start) backslashes++;
      if (backslashes % 2 === 0) break;
      end = this.#text.indexOf('"', end + 1);
    }
    if (end < 0) throw this.error('string, expected a closing quote, got the end of the text');
    this.#at = end + 1;
    const raw = this.#text.slice(start, end);
    escaped = raw.includes('\\');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids them bare inside strings.
    if (!escaped && !/[\u0000-\u001f]/.test(raw)) return raw;
    try {
      return JSON.parse(`"${raw}"`) as string;
    } catch {
      throw this.error(`string, expected valid escapes, got ${show(raw)}`);
    }
  }

  /** A non-negative integer that a number holds exactly. */
  size(what: string): number {
    this.#space();
    const [digits] = /^-?\d*/.exec(this.#text.slice(this.#at, this.#at + 32)) as RegExpExecArray;
    const next = this.#text[this.#at + digits.length] ?? '';
    const value = Number(digits);
    if (!/^(0|[1-9]\d*)$/.test(digits) || /[.eE\d]/.test(next) || !Number.isSafeInteger(value))
      throw this.error(`${what}, expected a non-negative integer below 2^53, got ${this.#excerpt()}`);
    this.#at += digits.length;
    return value;
  }

  /** Reads past one value of any kind. */
  skip(): void {
    this.#space();
    const first = this.#text[this.#at];
    if (first === '{') this.object(() => this.skip());
    else if (first === '[') this.array(() => this.skip());
    else if (first === '"') this.string();
    else {
      const token = /^(?:true|false|null|NaN|-?(?:Infinity|0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])/.exec(
        this.#text.slice(this.#at, this.#at + 400),
      );
      if (!token) throw this.error(`JSON, expected a value, got ${this.#excerpt()}`);
      this.#at += token[0].length;
    }
  }

  /** Nothing but white space may follow. */
  end(): void {
    this.#space();
    if (this.#at < this.#text.length) throw this.error(`JSON, expected its end, got ${this.#excerpt()}`);
  }

  #list(opening: string, closing: string, element: () => void): void {
    this.#expect(opening, opening === '{' ? 'an object' : 'an array');
    if (++this.#depth > maxDepth) throw this.error(`JSON, expected at most ${maxDepth} levels, got more`);
    this.#space();
    if (this.#text[this.#at] === closing) this.#at++;
    else
      for (;;) {
        element();
        this.#space();
        const next = this.#text[this.#at];
        if (next !== ',' && next !== closing)
          throw this.error(`JSON, expected "," or "${closing}", got ${this.#excerpt()}`);
        this.#at++;
        if (next === closing) break;
      }
    this.#depth--;
  }

  #expect(character: string, what = `"${character}"`): void {
    this.#space();
    if (this.#text[this.#at] !== character) throw this.error(`JSON, expected ${what}, got ${this.#excerpt()}`);
    this.#at++;
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #excerpt(): string {
    return this.#at >= this.#text.length ? 'the end of the text' : show(this.#text.slice(this.#at, this.#at + 24));
  }

  /** Of what stands where the reader is. */
  error(what: string): Error {
    return malformed(this.#where, `${what} at character ${this.#at}`);
  }
}
