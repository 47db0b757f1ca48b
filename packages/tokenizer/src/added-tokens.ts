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

interface TrieNode {
  readonly next: Map<number, TrieNode>;
  token?: AddedToken;
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
  readonly #root: TrieNode = { next: new Map() };
  readonly #empty: boolean;

  /** `patterns`: what to look for, and the token that it stands for. */
  constructor(patterns: Iterable<readonly [pattern: string, token: AddedToken]>) {
    let empty = true;
    for (const [pattern, token] of patterns) {
      if (pattern === '') continue;
      empty = false;
      let node = this.#root;
      for (let i = 0; i < pattern.length; i++) {
        const code = pattern.charCodeAt(i);
        let child = node.next.get(code);
        if (child === undefined) {
          child = { next: new Map() };
          node.next.set(code, child);
        }
        node = child;
      }
      // Two tokens with one pattern: the first keeps it, as in Rust's automaton.
      node.token ??= token;
    }
    this.#empty = empty;
  }

  split(text: string): Section[] {
    if (text === '') return [];
    if (this.#empty) return [{ text, start: 0 }];
    const sections: Section[] = [];
    let taken = 0; // text before this index is in a section already
    for (let i = 0; i < text.length; ) {
      const match = this.#longestAt(text, i);
      if (match === undefined) {
        i++;
        continue;
      }
      const { token } = match;
      let start = i;
      let stop = match.stop;
      i = stop;
      if (token.singleWord && !isSingleWord(text, start, stop)) continue;
      if (token.lstrip) while (start > taken && isSpace(text.charCodeAt(start - 1))) start--;
      if (token.rstrip) while (stop < text.length && isSpace(text.charCodeAt(stop))) stop++;
      if (taken < start) sections.push({ text: text.slice(taken, start), start: taken });
      sections.push({ id: token.id });
      taken = stop;
      i = Math.max(i, stop);
    }
    if (taken < text.length) sections.push({ text: text.slice(taken), start: taken });
    return sections;
  }

  #longestAt(text: string, start: number): { token: AddedToken; stop: number } | undefined {
    let node = this.#root.next.get(text.charCodeAt(start));
    let found: { token: AddedToken; stop: number } | undefined;
    for (let i = start + 1; node !== undefined; i++) {
      if (node.token !== undefined) found = { token: node.token, stop: i };
      node = i < text.length ? node.next.get(text.charCodeAt(i)) : undefined;
    }
    return found;
  }
}

function isSingleWord(text: string, start: number, stop: number): boolean {
  // Two code units hold any neighbouring code point, so the test does not depend on the length of the text.
  return (
    !endsWithWord.test(text.slice(Math.max(0, start - 2), start)) && !startsWithWord.test(text.slice(stop, stop + 2))
  );
}
