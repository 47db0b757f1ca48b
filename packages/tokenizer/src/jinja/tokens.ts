// The tokens of a template as its parsers go through them, with what both of them ask.
import { syntaxError, type Token, type TokenType } from './lexer.js';

/** How deep tags and brackets may nest. */
const DEPTH = 150;

export class Tokens {
  #at = 0;
  #depth = 0;
  /** How many loops are open, macros between them or not. */
  loops = 0;
  /** The names read so far in the bodies of macros that are open; each is a set of its own. */
  readonly used: Set<string>[] = [];

  constructor(readonly list: readonly Token[]) {}

  get current(): Token {
    return this.list[this.#at]!;
  }
  get following(): Token {
    return this.list[Math.min(this.#at + 1, this.list.length - 1)]!;
  }
  next(): Token {
    const token = this.current;
    if (token.type !== 'eof') this.#at++;
    return token;
  }
  is(type: TokenType, ...values: string[]): boolean {
    const { current } = this;
    return current.type === type && (values.length === 0 || values.includes(current.value));
  }
  take(type: TokenType, ...values: string[]): boolean {
    const found = this.is(type, ...values);
    if (found) this.next();
    return found;
  }
  expect(type: TokenType, ...values: string[]): Token {
    if (!this.is(type, ...values))
      throw this.fail(`expected ${values[0] === undefined ? label(type) : `"${values[0]}"`}, got ${this.got()}`);
    return this.next();
  }
  got(): string {
    const { type, value } = this.current;
    return type === 'name' || type === 'operator' ? `"${value}"` : label(type);
  }
  fail(what: string): SyntaxError {
    return syntaxError(this.current.line, what);
  }
  nested<T>(parse: () => T): T {
    if (++this.#depth > DEPTH) throw this.fail(`it nests deeper than ${DEPTH}`);
    try {
      return parse();
    } finally {
      this.#depth--;
    }
  }
  /** Remembers a name for the macro that reads it. */
  use(name: string): void {
    this.used.at(-1)?.add(name);
  }
}

const labels: Partial<Record<TokenType, string>> = {
  data: 'text',
  name: 'a name',
  string: 'a string',
  integer: 'a number',
  float: 'a number',
  variable_begin: '"{{"',
  variable_end: '"}}"',
  block_begin: '"{%"',
  block_end: '"%}"',
  eof: 'the end of the template',
};
const label = (type: TokenType): string => labels[type] ?? type;
