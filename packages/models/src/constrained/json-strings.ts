// Texts within JSON's quotes: any, of a length, and those that a pattern or a format fits. Patterns are the
// part of regular expressions that is regular and that JSON Schema's `pattern` means: no look-around, no back references.
// Does not own the schema's keywords (json-schema.ts).
import { RelufyError, show } from '@relufy/tensor';
import {
  type CharRange,
  chars,
  choice,
  complement,
  type Expression,
  intersect,
  lastCodePoint,
  nothing,
  repeat,
  sequence,
  text,
} from './grammar.js';

const quote = 0x22;
const backslash = 0x5c;
/** Characters that stand for themselves within quotes; surrogates are none. */
const plain: readonly CharRange[] = [
  [0x20, quote - 1],
  [quote + 1, backslash - 1],
  [backslash + 1, 0x7e],
  [0x80, 0xd7ff],
  [0xe000, lastCodePoint],
];
const hex: readonly CharRange[] = [
  [0x30, 0x39],
  [0x41, 0x46],
  [0x61, 0x66],
];
/** No halves of surrogates: what lies above the basic plane is written as it is. */
const fourDigits = choice(
  sequence(chars([0x30, 0x39], [0x41, 0x43], [0x45, 0x46], [0x61, 0x63], [0x65, 0x66]), repeat(chars(...hex), 3, 3)),
  sequence(chars([0x44, 0x44], [0x64, 0x64]), chars([0x30, 0x37]), repeat(chars(...hex), 2, 2)),
);
const escapes: readonly (readonly [codePoint: number, written: string])[] = [
  [quote, '\\"'],
  [backslash, '\\\\'],
  [0x08, '\\b'],
  [0x0c, '\\f'],
  [0x0a, '\\n'],
  [0x0d, '\\r'],
  [0x09, '\\t'],
];
const character = choice(
  chars(...plain),
  sequence(text('\\'), choice(...[...'"\\/bfnrt'].map(text), sequence(text('u'), fourDigits))),
);

const quoted = (inside: Expression): Expression => sequence(text('"'), inside, text('"'));

export const anyString = quoted(repeat(character, 0));
export const stringOf = (min: number, max: number): Expression => quoted(repeat(character, min, max));

/** One character of a set, as it is written within quotes. */
function written(ranges: readonly CharRange[]): Expression {
  const ways = [chars(...intersect(ranges, plain))];
  for (const [point, short] of escapes) if (ranges.some(([a, b]) => point >= a && point <= b)) ways.push(text(short));
  return choice(...ways.filter((way) => way.kind !== 'chars' || way.ranges.length > 0));
}

/** Each text in one way, without control characters that have no short escape: patterns and lengths that have to hold together. */
export const stringOnce = (min = 0, max = Number.POSITIVE_INFINITY): Expression =>
  quoted(repeat(written([[0, lastCodePoint]]), min, max));

/** JSON text of a value. */
export const literal = (value: unknown): Expression => text(JSON.stringify(value));

const label = '[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?';
const host = `${label}(\\.${label}){0,5}`;
const day =
  '([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])))';
const time = '(([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))';

/** What fits a format, as a pattern; not all that fits it (February 29, capitals in addresses, other schemes than http). */
export const formats: Readonly<Record<string, string>> = {
  date: `^${day}$`,
  time: `^${time}$`,
  'date-time': `^${day}T${time}$`,
  duration: '^P([1-9][0-9]{0,3}D(T[1-9][0-9]{0,3}[HMS])?|[1-9][0-9]{0,3}[WMY]|T[1-9][0-9]{0,3}[HMS])$',
  uuid: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
  ipv4: '^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])$',
  ipv6: '^([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$',
  hostname: `^${host}$`,
  uri: `^https?://${host}(:[1-9][0-9]{0,3})?(/[A-Za-z0-9._~-]*)*(\\?[A-Za-z0-9._~=&-]*)?(#[A-Za-z0-9._~-]*)?$`,
  email: '^[a-z0-9]+([._-][a-z0-9]+)*@[a-z0-9]+(-[a-z0-9]+)*(\\.[a-z0-9]+(-[a-z0-9]+)*)*\\.[a-z]{2,8}$',
};

/**
 * Strings that a pattern fits somewhere, as ECMAScript's flag `u` means it.
 * @throws RelufyError `option` for what is not regular, or not a pattern.
 */
export function stringMatching(where: string, pattern: string): Expression {
  return quoted(new PatternReader(where, pattern).read());
}

const digits: readonly CharRange[] = [[0x30, 0x39]];
const wordCharacters: readonly CharRange[] = [...digits, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
const spaces: readonly CharRange[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const lineEnds: readonly CharRange[] = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const classes: Readonly<Record<string, readonly CharRange[]>> = {
  d: digits,
  D: complement(digits),
  w: wordCharacters,
  W: complement(wordCharacters),
  s: spaces,
  S: complement(spaces),
};
const controls: Readonly<Record<string, number>> = { n: 0x0a, r: 0x0d, t: 0x09, f: 0x0c, v: 0x0b, 0: 0 };
const mostRepeats = 2000;
/** Characters of a pattern: each takes hundreds of bytes until the grammar is made. */
const longestPattern = 10_000;

/** A piece of a pattern, and whether it holds the text's beginning or end. */
interface Branch {
  readonly parts: Expression[];
  fromStart: boolean;
  toEnd: boolean;
}

class PatternReader {
  readonly #where: string;
  readonly #pattern: string;
  readonly #points: readonly string[];
  #at = 0;

  constructor(where: string, pattern: string) {
    this.#where = where;
    this.#pattern = pattern;
    this.#points = pattern.length > longestPattern ? [] : [...pattern];
    if (pattern.length > longestPattern) throw this.#refused(`at most ${longestPattern} characters`);
    try {
      new RegExp(pattern, 'u');
    } catch {
      throw this.#refused('a regular expression');
    }
  }

  /** Anchors stand at the ends of the whole pattern's branches only. */
  read(): Expression {
    const branches = this.#branches(true);
    if (this.#at < this.#points.length) throw this.#refused('one group after the other');
    const anything = repeat(written([[0, lastCodePoint]]), 0);
    return choice(
      ...branches.map(({ parts, fromStart, toEnd }) =>
        sequence(fromStart ? nothing : anything, ...parts, toEnd ? nothing : anything),
      ),
    );
  }

  #branches(isOuter: boolean): Branch[] {
    const branches: Branch[] = [];
    do branches.push(this.#branch(isOuter));
    while (this.#take('|'));
    return branches;
  }

  #branch(isOuter: boolean): Branch {
    const branch: Branch = { parts: [], fromStart: false, toEnd: false };
    if (isOuter && this.#take('^')) branch.fromStart = true;
    for (;;) {
      const next = this.#points[this.#at];
      if (next === undefined || next === '|' || next === ')') return branch;
      if (isOuter && next === '$') {
        this.#at++;
        branch.toEnd = true;
        const after = this.#points[this.#at];
        if (after !== undefined && after !== '|') throw this.#refused('"$" at the end of a branch');
        return branch;
      }
      branch.parts.push(this.#quantified(this.#atom(next)));
    }
  }

  #atom(next: string): Expression {
    this.#at++;
    switch (next) {
      case '(': {
        if (this.#take('?') && !this.#take(':')) throw this.#refused('groups without look-around or names');
        const inner = this.#branches(false);
        if (!this.#take(')')) throw this.#refused('a group that ends');
        return choice(...inner.map(({ parts }) => sequence(...parts)));
      }
      case '[':
        return written(this.#class());
      case '.':
        return written(complement(lineEnds));
      case '\\':
        return written(this.#escape());
      case '^':
      case '$':
        throw this.#refused(`"${next}" at the ends of the pattern only`);
      default:
        return written([[next.codePointAt(0) as number, next.codePointAt(0) as number]]);
    }
  }

  #quantified(part: Expression): Expression {
    const braces = /^\{(\d+)(,?)(\d*)\}/.exec(this.#points.slice(this.#at, this.#at + 24).join(''));
    let bounds: [number, number] | undefined;
    if (this.#take('*')) bounds = [0, Number.POSITIVE_INFINITY];
    else if (this.#take('+')) bounds = [1, Number.POSITIVE_INFINITY];
    else if (this.#take('?')) bounds = [0, 1];
    else if (braces) {
      this.#at += braces[0].length;
      const min = Number(braces[1]);
      bounds = [min, braces[3] ? Number(braces[3]) : braces[2] ? Number.POSITIVE_INFINITY : min];
    }
    if (bounds === undefined) return part;
    // lazy or not, the same texts fit
    this.#take('?');
    const largest = bounds[1] === Number.POSITIVE_INFINITY ? bounds[0] : bounds[1];
    if (largest > mostRepeats) throw this.#refused(`repetitions up to ${mostRepeats}`);
    return repeat(part, ...bounds);
  }

  #escape(): readonly CharRange[] {
    const letter = this.#points[this.#at++] as string;
    const known = classes[letter];
    if (known) return known;
    const control = controls[letter];
    if (control !== undefined) return [[control, control]];
    if (letter === 'x' || letter === 'u') {
      const rest = this.#points.slice(this.#at, this.#at + 24).join('');
      const match = (letter === 'x' ? /^([0-9a-f]{2})/i : /^(?:([0-9a-f]{4})|\{([0-9a-f]+)\})/i).exec(rest);
      if (!match) throw this.#refused('an escape with hexadecimal digits');
      this.#at += match[0].length;
      const point = Number.parseInt((match[1] ?? match[2]) as string, 16);
      return [[point, point]];
    }
    if (/[a-z0-9]/i.test(letter)) throw this.#refused(`no "\\${letter}"`);
    return [[letter.codePointAt(0) as number, letter.codePointAt(0) as number]];
  }

  #class(): readonly CharRange[] {
    const negated = this.#take('^');
    const ranges: CharRange[] = [];
    while (!this.#take(']')) {
      const first = this.#classMember();
      if (first.length === 1 && first[0]?.[0] === first[0]?.[1] && this.#points[this.#at] === '-') {
        if (this.#points[this.#at + 1] !== ']') {
          this.#at++;
          const last = this.#classMember();
          ranges.push([(first[0] as CharRange)[0], (last[0] as CharRange)[1]]);
          continue;
        }
      }
      ranges.push(...first);
    }
    return negated ? complement(ranges) : ranges;
  }

  #classMember(): readonly CharRange[] {
    const next = this.#points[this.#at++];
    if (next === undefined) throw this.#refused('a class that ends');
    if (next !== '\\') return [[next.codePointAt(0) as number, next.codePointAt(0) as number]];
    if (this.#take('b')) return [[0x08, 0x08]];
    return this.#escape();
  }

  #take(wanted: string): boolean {
    if (this.#points[this.#at] !== wanted) return false;
    this.#at++;
    return true;
  }

  #refused(expected: string): RelufyError {
    return new RelufyError(
      'option',
      `${this.#where} "pattern": expected ${expected}, got ${show(this.#pattern)}. Simplify it.`,
    );
  }
}
