// A template's source as tokens, by the rules of jinja2's lexer: what is text and what is a tag, which blanks tags take
// away (`-`, `+`, trim_blocks, lstrip_blocks), and the words of expressions. What they mean is expressions.ts and statements.ts.
import { isBlank, SPACE } from './text.js';

export interface Whitespace {
  /** A line end right after a block is dropped. */
  readonly trimBlocks: boolean;
  /** Blanks between the start of a line and a block are dropped. */
  readonly lstripBlocks: boolean;
  /** A line end at the end of the source stays. */
  readonly keepTrailingNewline: boolean;
}

export type TokenType =
  | 'data'
  | 'name'
  | 'string'
  | 'integer'
  | 'float'
  | 'operator'
  | 'variable_begin'
  | 'variable_end'
  | 'block_begin'
  | 'block_end'
  | 'eof';

export interface Token {
  readonly type: TokenType;
  /** Of a string, what it says; of a number, its digits. */
  readonly value: string;
  readonly line: number;
}

const space = `[${SPACE}]*`;
const begin = new RegExp(
  `\\{%(?<raw>[-+]?)${space}raw${space}(?:-%\\}${space}|%\\})|(?<open>\\{[{%#])(?<sign>[-+]?)`,
  'g',
);
const blockEnd = (trim: boolean): RegExp => new RegExp(`\\+%\\}|-%\\}${space}|%\\}${trim ? '\\n?' : ''}`, 'y');
const commentEnd = (trim: boolean): RegExp => new RegExp(`\\+#\\}|-#\\}${space}|#\\}${trim ? '\\n?' : ''}`, 'g');
const rawEnd = (trim: boolean): RegExp =>
  new RegExp(`\\{%([-+]?)${space}endraw${space}(?:\\+%\\}|-%\\}${space}|%\\}${trim ? '\\n?' : ''})`, 'g');
const variableEnd = new RegExp(`-\\}\\}${space}|\\}\\}`, 'y');
const blanks = new RegExp(`[${SPACE}]+`, 'y');
const float = /(?<!\.)\d+(?:_\d+)*(?:(?:\.\d+(?:_\d+)*)?[eE][+-]?\d+(?:_\d+)*|\.\d+(?:_\d+)*)/y;
const integer = /0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*/y;
const name = /[\p{XIDS}_]\p{XIDC}*/uy;
const string = /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/y;
const operator = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}<>=.:|,;]/y;
const closing: Record<string, string> = { '(': ')', '[': ']', '{': '}' };

/** Throws a SyntaxError that names the line. */
export function tokenize(template: string, rules: Whitespace): Token[] {
  return new Lexer(template, rules).run();
}

export function syntaxError(line: number, what: string): SyntaxError {
  return new SyntaxError(`line ${line}: ${what}`);
}

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;
  #lineCountedTo = 0;
  /** Whether the last thing read ended a line; blanks before a tag count as a line's start only then. */
  #lineStarts = true;

  constructor(
    template: string,
    readonly rules: Whitespace,
  ) {
    const source = template.replaceAll(/\r\n?/g, '\n');
    this.#source = rules.keepTrailingNewline || !source.endsWith('\n') ? source : source.slice(0, -1);
  }

  run(): Token[] {
    const source = this.#source;
    while (this.#at < source.length) {
      begin.lastIndex = this.#at;
      const match = begin.exec(source);
      if (match === null) {
        this.#push('data', source.slice(this.#at));
        break;
      }
      const { raw, open, sign } = match.groups!;
      this.#text(source.slice(this.#at, match.index), raw ?? sign ?? '', open === '{{');
      this.#moveTo(match.index + match[0].length);
      if (open === undefined) this.#raw();
      else if (open === '{#') this.#comment();
      else this.#tag(open === '{{');
    }
    this.#push('eof', '');
    return this.#tokens;
  }

  #moveTo(at: number): void {
    for (let i = this.#lineCountedTo; i < at; i++) if (this.#source.charCodeAt(i) === 10) this.#line++;
    this.#lineCountedTo = Math.max(this.#lineCountedTo, at);
    this.#at = at;
    this.#lineStarts = this.#source[at - 1] === '\n';
  }

  #push(type: TokenType, value: string): void {
    this.#tokens.push({ type, value, line: this.#line });
  }

  #fail(what: string): SyntaxError {
    return syntaxError(this.#line, what);
  }

  /** The text before a tag, less the blanks that the tag takes away. */
  #text(text: string, sign: string, isVariable: boolean): void {
    let kept = text;
    if (sign === '-') {
      kept = text.replace(new RegExp(`[${SPACE}]+$`), '');
    } else if (sign !== '+' && this.rules.lstripBlocks && !isVariable) {
      const line = text.lastIndexOf('\n') + 1;
      if ((line > 0 || this.#lineStarts) && isBlank(text.slice(line))) kept = text.slice(0, line);
    }
    if (kept !== '') this.#push('data', kept);
  }

  #raw(): void {
    const end = rawEnd(this.rules.trimBlocks);
    end.lastIndex = this.#at;
    const match = end.exec(this.#source);
    if (match === null) throw this.#fail('"raw" is not closed with "endraw"');
    this.#text(this.#source.slice(this.#at, match.index), match[1]!, false);
    this.#moveTo(end.lastIndex);
  }

  #comment(): void {
    const end = commentEnd(this.rules.trimBlocks);
    end.lastIndex = this.#at;
    if (end.exec(this.#source) === null) throw this.#fail('"{#" is not closed with "#}"');
    this.#moveTo(end.lastIndex);
  }

  #tag(isVariable: boolean): void {
    this.#push(isVariable ? 'variable_begin' : 'block_begin', '');
    const end = isVariable ? variableEnd : blockEnd(this.rules.trimBlocks);
    const brackets: string[] = [];
    const source = this.#source;
    while (this.#at < source.length) {
      if (brackets.length === 0 && this.#match(end) !== undefined) {
        this.#push(isVariable ? 'variable_end' : 'block_end', '');
        this.#moveTo(end.lastIndex);
        return;
      }
      this.#word(brackets);
    }
    throw this.#fail(isVariable ? '"{{" is not closed with "}}"' : '"{%" is not closed with "%}"');
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    return pattern.exec(this.#source)?.[0];
  }

  #word(brackets: string[]): void {
    const kinds = [
      [blanks, undefined],
      [float, 'float'],
      [integer, 'integer'],
      [name, 'name'],
      [string, 'string'],
      [operator, 'operator'],
    ] as const;
    for (const [pattern, type] of kinds) {
      const found = this.#match(pattern);
      if (found === undefined) continue;
      if (type === 'operator') this.#bracket(found, brackets);
      if (type === 'string') this.#push(type, this.#unescape(found.slice(1, -1)));
      else if (type !== undefined)
        this.#push(type, type === 'name' || type === 'operator' ? found : found.replaceAll('_', ''));
      this.#moveTo(this.#at + found.length);
      return;
    }
    throw this.#fail(`unexpected ${JSON.stringify(String.fromCodePoint(this.#source.codePointAt(this.#at)!))}`);
  }

  #bracket(found: string, brackets: string[]): void {
    const closes = closing[found];
    if (closes !== undefined) brackets.push(closes);
    else if (found === ')' || found === ']' || found === '}') {
      const expected = brackets.pop();
      if (expected !== found)
        throw this.#fail(`unexpected "${found}"${expected === undefined ? '' : `, expected "${expected}"`}`);
    }
  }

  #unescape(text: string): string {
    if (!text.includes('\\')) return text;
    const pattern = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g;
    return text.replaceAll(pattern, (all, x, u, long, octal, char: string) => {
      const hex = (x ?? u ?? long) as string | undefined;
      const code = hex === undefined ? undefined : Number.parseInt(hex, 16);
      if (code !== undefined && code > 0x10ffff) throw this.#fail(`${all} is no character`);
      if (code !== undefined)
        return u === undefined && x === undefined ? String.fromCodePoint(code) : String.fromCharCode(code);
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
      if (char === 'x' || char === 'u' || char === 'U' || char === 'N')
        throw this.#fail(`"${all}" begins no character`);
      return escapes[char] ?? all;
    });
  }
}

/** Others keep their backslash, as in Python. */
const escapes: Record<string, string> = {
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};
