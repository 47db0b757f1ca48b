// Added tokens: finding them in text before anything else looks at it, as Rust's AddedVocabulary does.
// @huggingface/tokenizers 0.2.0 splits with the same leftmost-longest rule but knows no `single_word`, and trims
// text beside `lstrip`/`rstrip` tokens instead of giving the spaces to the token; hence this file.
// Normalising the text and turning the rest into ids is done elsewhere.
import type { Fields } from './json.js';

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly normalized: boolean;
  readonly singleWord: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

/** A stretch of text: an added token's id, or text that is still to be encoded. */
export type Section = { readonly id: number } | { readonly text: string; readonly start: number };

export function readAddedToken(fields: Fields, id: number): AddedToken {
  const special = fields.boolean('special', false);
  const content = fields.string('content');
  if (content === '') throw fields.fail('content', 'a string that is not empty');
  return {
    id,
    content,
    special,
    normalized: fields.boolean('normalized', !special),
    singleWord: fields.boolean('single_word', false),
    lstrip: fields.boolean('lstrip', false),
    rstrip: fields.boolean('rstrip', false),
  };
}

// Rust's \w and \s; JavaScript's \s takes U+FEFF for a space and misses U+0085.
const endsWithWord = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const startsWithWord = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const isSpace = (code: number): boolean =>
  code <= 32
    ? code === 32 || (code >= 9 && code <= 13)
    : code > 127 && /\p{White_Space}/u.test(String.fromCharCode(code));

/** Splits text at added tokens: the leftmost, and of those the longest, wins. */
export class AddedTokenSplitter {
  readonly #patterns: Patterns;
  /** By the node of the pattern. */
  readonly #tokens = new Map<number, AddedToken>();

  /** `patterns`: what to look for, and the token that it stands for. */
  constructor(patterns: Iterable<readonly [pattern: string, token: AddedToken]>) {
    const all = [...patterns].filter(([pattern]) => pattern !== '');
    this.#patterns = new Patterns(all.map(([pattern]) => pattern));
    // Two tokens with one pattern: the first keeps it, as in Rust's automaton.
    for (const [at, [, token]] of all.entries()) {
      const node = this.#patterns.nodes[at] as number;
      if (!this.#tokens.has(node)) this.#tokens.set(node, token);
    }
  }

  split(text: string): Section[] {
    if (text === '') return [];
    const sections: Section[] = [];
    let taken = 0; // text before this index is in a section already
    let from = 0; // no token begins before this one
    this.#patterns.forEach(text, (at, pattern, length) => {
      if (at < from) return;
      const token = this.#tokens.get(pattern) as AddedToken;
      let start = at;
      let stop = at + length;
      from = stop;
      if (token.singleWord && !isSingleWord(text, start, stop)) return;
      if (token.lstrip) while (start > taken && isSpace(text.charCodeAt(start - 1))) start--;
      if (token.rstrip) while (stop < text.length && isSpace(text.charCodeAt(stop))) stop++;
      if (taken < start) sections.push({ text: text.slice(taken, start), start: taken });
      sections.push({ id: token.id });
      taken = stop;
      from = stop;
    });
    if (taken < text.length) sections.push({ text: text.slice(taken), start: taken });
    return sections;
  }
}

const ROOT = 0;
const CODES = 0x10000;

/**
 * Where patterns begin in a text, in time that follows from the text alone: the automaton of Aho and Corasick over the patterns
 * read backwards. A file's patterns may be nested a thousand deep, and a walk from each place would go that deep each time.
 */
class Patterns {
  /** Of each pattern; the same for the same one. */
  readonly nodes: readonly number[];
  /** Nodes are numbers in flat arrays, so that a file of junk stays small. Of each node its first child; most have no other. */
  readonly #firstChild: Int32Array;
  readonly #otherChildren = new Map<number, number>();
  /** The code unit by which a node is reached. */
  readonly #codes: Uint16Array;
  readonly #depths: Int32Array;
  /** The node of the longest other end of the same text. */
  readonly #shorter: Int32Array;
  /** The node of the longest pattern that the text of a node begins with, read forwards; ROOT where there is none. */
  readonly #longest: Int32Array;

  constructor(patterns: readonly string[]) {
    const most = 1 + patterns.reduce((sum, pattern) => sum + pattern.length, 0);
    const parents = new Int32Array(most);
    this.#firstChild = new Int32Array(most);
    this.#codes = new Uint16Array(most);
    this.#depths = new Int32Array(most);
    this.#shorter = new Int32Array(most);
    this.#longest = new Int32Array(most);
    let count = 1;
    this.nodes = patterns.map((pattern) => {
      let node = ROOT;
      for (let at = pattern.length - 1; at >= 0; at--) {
        const code = pattern.charCodeAt(at);
        let child = this.#child(node, code);
        if (child === ROOT) {
          child = count++;
          if (this.#firstChild[node] === ROOT) this.#firstChild[node] = child;
          else this.#otherChildren.set(node * CODES + code, child);
          parents[child] = node;
          this.#codes[child] = code;
          this.#depths[child] = pattern.length - at;
        }
        node = child;
      }
      this.#longest[node] = node;
      return node;
    });
    for (const node of this.#byDepth(count)) {
      const parent = parents[node]!;
      const shorter = parent === ROOT ? ROOT : this.#step(this.#shorter[parent]!, this.#codes[node]!);
      this.#shorter[node] = shorter;
      if (this.#longest[node] !== node) this.#longest[node] = this.#longest[shorter]!;
    }
  }

  /** All nodes but the root, by a sort that counts. */
  #byDepth(count: number): Int32Array {
    const ends = new Int32Array(count + 1);
    for (let node = 1; node < count; node++) ends[this.#depths[node]! + 1]!++;
    for (let depth = 1; depth <= count; depth++) ends[depth]! += ends[depth - 1]!;
    const nodes = new Int32Array(count - 1);
    for (let node = 1; node < count; node++) nodes[ends[this.#depths[node]!]!++] = node;
    return nodes;
  }

  /** The longest pattern that begins at each place, from left to right. */
  forEach(text: string, found: (at: number, pattern: number, length: number) => void): void {
    if (this.#firstChild[ROOT] === ROOT) return;
    const places: number[] = [];
    const patterns: number[] = [];
    let node = ROOT;
    for (let at = text.length - 1; at >= 0; at--) {
      node = this.#step(node, text.charCodeAt(at));
      const pattern = this.#longest[node]!;
      if (pattern === ROOT) continue;
      places.push(at);
      patterns.push(pattern);
    }
    for (let i = places.length - 1; i >= 0; i--) found(places[i]!, patterns[i]!, this.#depths[patterns[i]!]!);
  }

  #step(from: number, code: number): number {
    for (let node = from; ; node = this.#shorter[node]!) {
      const child = this.#child(node, code);
      if (child !== ROOT || node === ROOT) return child;
    }
  }

  /** The node that a code unit leads to, ROOT where there is none. */
  #child(node: number, code: number): number {
    const first = this.#firstChild[node]!;
    if (first === ROOT || this.#codes[first] === code) return first;
    return this.#otherChildren.get(node * CODES + code) ?? ROOT;
  }
}

function isSingleWord(text: string, start: number, stop: number): boolean {
  // Two code units hold any neighbouring code point, so the test does not depend on the length of the text.
  return (
    !endsWithWord.test(text.slice(Math.max(0, start - 2), start)) && !startsWithWord.test(text.slice(stop, stop + 2))
  );
}
