// GBNF, the notation of llama.cpp: `root ::= "yes" | "no" [a-z]{1,3}`. Rules, texts, classes, groups, repetitions, comments.
// Does not own what a grammar does (grammar.ts, automaton.ts).
import { RelufyError } from '@relufy/tensor';
import {
  type CharRange,
  chars,
  choice,
  complement,
  type Expression,
  type Grammar,
  repeat,
  rule,
  sequence,
  text,
} from './grammar.js';

const lineEnd: CharRange = [0x0a, 0x0a];
const escapes: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  '\\': '\\',
  '"': '"',
  '[': '[',
  ']': ']',
};
const deepest = 200;

/** @throws RelufyError `option` that tells the line, for what is no grammar. */
export function parseGbnf(where: string, source: string): Grammar {
  return new GbnfReader(where, source).read();
}

class GbnfReader {
  readonly #where: string;
  readonly #source: string;
  #at = 0;

  constructor(where: string, source: string) {
    this.#where = where;
    this.#source = source;
  }

  read(): Grammar {
    const rules = new Map<string, Expression>();
    this.#space();
    while (this.#at < this.#source.length) {
      const name = this.#definition();
      if (name === undefined) throw this.#refused('a rule, as name ::= "text"');
      if (rules.has(name)) throw this.#refused(`one rule "${name}"`);
      rules.set(name, this.#choice(0));
    }
    if (!rules.has('root')) throw this.#refused('a rule "root"');
    return { root: 'root', rules };
  }

  /** `name ::=`, or nothing where the next is something else. */
  #definition(): string | undefined {
    const found = this.#match(/([A-Za-z0-9_-]+)[ \t]*::=/y);
    if (found) this.#space();
    return found?.[1];
  }

  #choice(depth: number): Expression {
    if (depth > deepest) throw this.#refused(`groups up to ${deepest} deep`);
    const parts = [this.#sequence(depth)];
    while (this.#take('|')) parts.push(this.#sequence(depth));
    return choice(...parts);
  }

  #sequence(depth: number): Expression {
    const parts: Expression[] = [];
    for (let part = this.#part(depth); part !== undefined; part = this.#part(depth)) parts.push(this.#repeated(part));
    return sequence(...parts);
  }

  #part(depth: number): Expression | undefined {
    const next = this.#source[this.#at];
    if (next === undefined || next === '|' || next === ')') return undefined;
    if (next === '"') return this.#text();
    if (next === '[') return this.#class();
    if (this.#take('.')) return chars(...complement([lineEnd]));
    if (this.#take('(')) {
      const inner = this.#choice(depth + 1);
      if (!this.#take(')')) throw this.#refused('")"');
      return inner;
    }
    const before = this.#at;
    if (this.#definition() !== undefined) {
      this.#at = before; // the next rule begins
      return undefined;
    }
    const name = this.#match(/[A-Za-z0-9_-]+/y)?.[0];
    if (name === undefined) throw this.#refused('a text, a class, a group or the name of a rule');
    return rule(name);
  }

  #repeated(part: Expression): Expression {
    const braces = this.#match(/\{[ \t]*(\d{1,5})[ \t]*(,?)[ \t]*(\d{0,5})[ \t]*\}/y);
    this.#space();
    if (braces) {
      const min = Number(braces[1]);
      const max = braces[3] ? Number(braces[3]) : braces[2] ? Number.POSITIVE_INFINITY : min;
      if (max < min) throw this.#refused(`at least ${min} as the second number`);
      return this.#repeated(repeat(part, min, max));
    }
    if (this.#take('*')) return this.#repeated(repeat(part, 0));
    if (this.#take('+')) return this.#repeated(repeat(part, 1));
    if (this.#take('?')) return this.#repeated(repeat(part, 0, 1));
    return part;
  }

  #text(): Expression {
    this.#at++;
    let of = '';
    while (this.#source[this.#at] !== '"') of += this.#character('"');
    this.#at++;
    return text(of);
  }

  #class(): Expression {
    this.#at++;
    const ranges: CharRange[] = [];
    const isNegated = this.#source[this.#at] === '^';
    if (isNegated) this.#at++;
    while (this.#source[this.#at] !== ']') {
      const first = this.#character(']').codePointAt(0) as number;
      const isRange = this.#source[this.#at] === '-' && this.#source[this.#at + 1] !== ']';
      if (isRange) this.#at++;
      const last = isRange ? (this.#character(']').codePointAt(0) as number) : first;
      if (last < first) throw this.#refused('a range from low to high');
      ranges.push([first, last]);
    }
    this.#at++;
    return chars(...(isNegated ? complement(ranges) : ranges));
  }

  #character(end: string): string {
    const point = this.#source.codePointAt(this.#at);
    if (point === undefined) throw this.#refused(`'${end}'`);
    const character = String.fromCodePoint(point);
    this.#at += character.length;
    if (character !== '\\') return character;
    const coded = this.#match(/x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})/y);
    if (coded) {
      const value = Number.parseInt((coded[1] ?? coded[2] ?? coded[3]) as string, 16);
      if (value <= 0x10ffff && !(value >= 0xd800 && value <= 0xdfff)) return String.fromCodePoint(value);
    }
    const known = escapes[this.#source[this.#at] ?? ''];
    if (coded || known === undefined) throw this.#refused('an escape as \\n, \\", \\x41 or \\u0041');
    this.#at++;
    return known;
  }

  #take(wanted: string): boolean {
    if (this.#source[this.#at] !== wanted) return false;
    this.#at++;
    this.#space();
    return true;
  }

  #space(): void {
    this.#match(/(?:\s|#[^\n]*)*/y);
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source);
    if (found) this.#at = pattern.lastIndex;
    return found;
  }

  #refused(expected: string): RelufyError {
    const line = this.#source.slice(0, this.#at).split('\n').length;
    const got = this.#source.slice(this.#at, this.#at + 20);
    return new RelufyError(
      'option',
      `${this.#where} line ${line}: expected ${expected}, got ${got === '' ? 'the end' : JSON.stringify(got)}. Correct the grammar.`,
    );
  }
}
