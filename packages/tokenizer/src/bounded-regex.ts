// Regular expressions of files that JavaScript's engine might never finish: the same meaning, with a budget of steps.
//   match(node, at, next): try the node at `at`, and `next` with wherever it ends; go back when `next` fails
// Takes the `u` patterns that regex.ts gets from its translation. A pattern whose alternatives are of known, harmless
// shapes stays with the engine, which is faster. Over the budget, one error.
import { type ErrorCode, RelufyError, show } from '@relufy/tensor';

/** What splitting and replacing need of a RegExp. */
export interface Pattern {
  lastIndex: number;
  exec(text: string): { readonly index: number; readonly 0: string } | null;
}

/** Steps for one text: a constant, and so many for each character. */
const STEPS = 2_000_000;
const STEPS_PER_CHARACTER = 200;

const one = String.raw`(?:\[\^?(?:\\[pP]\{\w+\}|\\.|[^\]\\])*\]|\\[pP]\{\w+\}|\\[^bB\dk]|[^\\[\](){}|*+?^$.])`;
// Atoms that may be absent or come a few times, then unbounded ones that cannot fail after they took all they can.
const linear = new RegExp(String.raw`^(?:${one}(?:\?|\{\d(?:,\d)?\})?)*(?:${one}(?:\+|\*)(?:${one}[?*])*)?$`, 'u');
// Of the published pre-tokenizers (GPT-2, Llama 3, Qwen 2, o200k, DeepSeek): what they give back is taken by the next.
const published: ReadonlySet<string> = new Set([
  String.raw`\p{White_Space}+(?!\P{White_Space})`,
  String.raw`\p{White_Space}*[\r\n]+`,
  String.raw`\p{White_Space}*[\r\n]`,
  String.raw`\p{White_Space}*\r?\n`,
]);

/** Whether the time of every match is bounded by the text that it takes. */
export function isHarmless(source: string): boolean {
  const plain = source.replaceAll(/\(\?:([^()*+{}]*)\)(?![*+{])/gu, (whole, inner: string) =>
    inner.split('|').every((part) => linear.test(part)) ? 'a' : whole,
  );
  return splitAlternatives(plain).every((part) => linear.test(part) || published.has(part));
}

/** What finds matches and their groups. */
export interface Engine {
  readonly source: string;
  lastIndex: number;
  exec(text: string): RegExpExecArray | null;
}

/** Who wrote a pattern, for the error. */
export interface PatternSource {
  readonly where: string;
  readonly file: string;
  readonly code: ErrorCode;
}

const tokenizerFile: PatternSource = { where: 'tokenizer: pattern', file: 'tokenizer.json', code: 'tokenizer' };

/**
 * A global pattern out of a file, with its groups, in a budget of steps for each text.
 * @throws SyntaxError for what cannot be run so: back references, or no pattern.
 */
export function boundedPattern(source: string, flags: string, from?: PatternSource): Engine {
  const engine = new RegExp(source, flags);
  if (isHarmless(source)) return engine;
  const matcher = new BoundedPattern(source, flags, from);
  // The matcher with a budget finds no groups; where it ends, so does the engine, which goes the same way.
  return {
    source,
    get lastIndex() {
      return engine.lastIndex;
    },
    set lastIndex(at) {
      engine.lastIndex = at;
    },
    exec(text) {
      matcher.lastIndex = engine.lastIndex;
      return matcher.exec(text) === null ? null : engine.exec(text);
    },
  };
}

function splitAlternatives(source: string): string[] {
  const parts = [''];
  let depth = 0;
  let inClass = false;
  for (let at = 0; at < source.length; at++) {
    const char = source[at]!;
    if (char === '\\') {
      parts[parts.length - 1] += char + (source[++at] ?? '');
      continue;
    }
    if (char === '[') inClass = true;
    else if (char === ']') inClass = false;
    else if (!inClass && char === '(') depth++;
    else if (!inClass && char === ')') depth--;
    if (char === '|' && depth === 0 && !inClass) parts.push('');
    else parts[parts.length - 1] += char;
  }
  return parts;
}

type Next = (at: number) => boolean;
type Match = (at: number, next: Next) => boolean;
/** `one` says whether the code point at `at` fits; only such nodes are repeated without recursion. */
interface Part {
  readonly match: Match;
  readonly one?: (at: number) => boolean;
}

export class BoundedPattern implements Pattern {
  lastIndex = 0;
  readonly #root: Part;
  #text = '';
  #steps = 0;
  #previous = '';

  /** @throws SyntaxError for what it cannot run. */
  constructor(
    readonly source: string,
    flags: string,
    readonly from: PatternSource = tokenizerFile,
  ) {
    this.#root = this.#parse(source, flags.replaceAll(/[gy]/g, ''));
  }

  exec(text: string): { readonly index: number; readonly 0: string } | null {
    if (text !== this.#previous || this.lastIndex === 0) {
      this.#previous = text;
      this.#steps = STEPS + STEPS_PER_CHARACTER * text.length;
    }
    this.#text = text;
    try {
      for (let start = this.lastIndex; start <= text.length; start = this.#after(start)) {
        let stop = -1;
        const found = this.#root.match(start, (at) => {
          stop = at;
          return true;
        });
        if (!found) continue;
        this.lastIndex = stop;
        return { index: start, 0: text.slice(start, stop) };
      }
    } catch (error) {
      if (error instanceof RangeError) throw this.#tooLong();
      throw error;
    }
    this.lastIndex = 0;
    return null;
  }

  #tooLong(): RelufyError {
    const { where, file, code } = this.from;
    const what = `${where} ${show(this.source)}: expected a match in ${STEPS} steps, got none yet`;
    return new RelufyError(code, `${what}. It goes back too often on this text; correct ${file}.`);
  }

  #step(): void {
    if (--this.#steps < 0) throw this.#tooLong();
  }

  #after(at: number): number {
    this.#step();
    return at + ((this.#text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1);
  }

  #parse(source: string, flags: string): Part {
    let at = 0;
    const fail = (): never => {
      throw new SyntaxError(`cannot run ${show(source.slice(at, at + 12))} within a budget of steps`);
    };
    const alternatives = (): Part => {
      const all: Part[] = [sequence()];
      while (source[at] === '|') {
        at++;
        all.push(sequence());
      }
      if (all.length === 1) return all[0]!;
      return { match: (from, next) => all.some((part) => part.match(from, next)) };
    };
    const sequence = (): Part => {
      const parts: Part[] = [];
      while (at < source.length && source[at] !== '|' && source[at] !== ')') parts.push(repeated(atom()));
      const run = (i: number, from: number, next: Next): boolean =>
        i === parts.length ? next(from) : parts[i]!.match(from, (to) => run(i + 1, to, next));
      return parts.length === 1 ? parts[0]! : { match: (from, next) => run(0, from, next) };
    };
    const repeated = (part: Part): Part => {
      const found = /^(?:([*+?])|\{(\d+)(,(\d*))?\})(\??)/.exec(source.slice(at, at + 40));
      if (found === null) return part;
      at += found[0].length;
      const [, sign, least, comma, most, lazy] = found;
      const min = sign === undefined ? Number(least) : sign === '+' ? 1 : 0;
      const open = sign === undefined ? comma !== undefined && most === '' : sign !== '?';
      const max = open ? Number.POSITIVE_INFINITY : sign === '?' ? 1 : Number(most ?? least);
      return part.one !== undefined && lazy === ''
        ? this.#repeatOne(part.one, min, max)
        : this.#repeat(part, min, max, lazy !== '');
    };
    const atom = (): Part => {
      const look = /^\((\?:|\?=|\?!|\?<=|\?<!|\?<\w+>|(?!\?))/.exec(source.slice(at, at + 80));
      if (look !== null) {
        at += look[0].length;
        const inner = alternatives();
        if (source[at++] !== ')') fail();
        const kind = look[1]!;
        if (kind === '?=' || kind === '?!') return this.#look(inner, kind === '?=');
        if (kind === '?<=' || kind === '?<!') return this.#lookBehind(inner, kind === '?<=');
        return { match: inner.match };
      }
      const single =
        /^(?:\[(?:\\.|[^\]\\])*\]|\\(?:[pP]\{[^}]*\}|u\{[0-9A-Fa-f]+\}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[^1-9k])|[^\\()[\]{}*+?|])/u.exec(
          source.slice(at),
        );
      if (single === null) return fail();
      at += single[0].length;
      return this.#single(single[0], flags);
    };
    const root = alternatives();
    if (at < source.length) fail();
    return root;
  }

  #single(source: string, flags: string): Part {
    const test = new RegExp(source, `${flags}y`);
    const fits = (at: number): boolean => {
      this.#step();
      test.lastIndex = at;
      return test.test(this.#text);
    };
    if (/^(?:[\^$]|\\[bB])$/.test(source)) return { match: (at, next) => fits(at) && next(at) };
    const one = (at: number): boolean => at < this.#text.length && fits(at);
    return { one, match: (at, next) => one(at) && next(this.#after(at)) };
  }

  #repeatOne(one: (at: number) => boolean, min: number, max: number): Part {
    const match: Match = (from, next) => {
      let at = from;
      let count = 0;
      for (; count < max && one(at); count++) at = this.#after(at);
      for (; count >= min; count--) {
        this.#step();
        if (next(at)) return true;
        const low = this.#text.charCodeAt(at - 1);
        at -= low >= 0xdc00 && low < 0xe000 && at - 2 >= from ? 2 : 1;
      }
      return false;
    };
    return { match };
  }

  #repeat(part: Part, min: number, max: number, lazy: boolean): Part {
    const run = (from: number, count: number, next: Next): boolean => {
      this.#step();
      const more = (): boolean =>
        count < max && part.match(from, (to) => (to > from || count < min) && run(to, count + 1, next));
      if (count < min) return more();
      return lazy ? next(from) || more() : more() || next(from);
    };
    return { match: (from, next) => run(from, 0, next) };
  }

  #look(inner: Part, wanted: boolean): Part {
    return { match: (at, next) => inner.match(at, () => true) === wanted && next(at) };
  }

  #lookBehind(inner: Part, wanted: boolean): Part {
    const behind = (at: number): boolean => {
      for (let from = at; from >= 0; from--) {
        this.#step();
        if (inner.match(from, (to) => to === at)) return true;
      }
      return false;
    };
    return { match: (at, next) => behind(at) === wanted && next(at) };
  }
}
