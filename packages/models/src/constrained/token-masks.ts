// Which tokens may come next: the vocabulary as bytes in order, so that tokens with a common beginning share the way through
// the automaton, and a mask for each state that was met. Does not own the grammar (automaton.ts) nor who is asked to stop.
import type { Tokenizer } from '@relufy/tokenizer';
import type { Automaton, State } from './automaton.js';

/** Every token that is text, in the order of its bytes. */
export interface SortedVocabulary {
  readonly vocabSize: number;
  readonly ids: Int32Array;
  /** The bytes of token i lie from starts[i] to starts[i + 1]. */
  readonly bytes: Uint8Array;
  readonly starts: Int32Array;
  /** Bytes that token i has in common with the one before it. */
  readonly shared: Int32Array;
  readonly longest: number;
}

const sorted = new WeakMap<Tokenizer, Map<string, SortedVocabulary>>();

/**
 * Special tokens are no text, but for the `marks` of a form (`[TOOL_CALLS]`); a token without bytes would never get on.
 */
export function sortedVocabulary(
  tokenizer: Tokenizer,
  vocabSize: number,
  marks: readonly number[] = [],
): SortedVocabulary {
  const ofTokenizer = sorted.get(tokenizer) ?? new Map<string, SortedVocabulary>();
  sorted.set(tokenizer, ofTokenizer);
  const key = [vocabSize, ...marks].join(' ');
  const known = ofTokenizer.get(key);
  if (known) return known;
  const tokens: { readonly id: number; readonly bytes: Uint8Array }[] = [];
  for (let id = 0; id < Math.min(vocabSize, tokenizer.vocabSize); id++) {
    if (tokenizer.specialIds.has(id) && !marks.includes(id)) continue;
    const bytes = tokenizer.tokenBytes(id);
    if (bytes.length > 0) tokens.push({ id, bytes });
  }
  tokens.sort((a, b) => compareBytes(a.bytes, b.bytes));
  const starts = new Int32Array(tokens.length + 1);
  tokens.forEach(({ bytes }, i) => {
    starts[i + 1] = (starts[i] as number) + bytes.length;
  });
  const bytes = new Uint8Array(starts[tokens.length] as number);
  for (const [i, token] of tokens.entries()) bytes.set(token.bytes, starts[i]);
  const shared = Int32Array.from(tokens, (token, i) => sharedBytes(tokens[i - 1]?.bytes ?? [], token.bytes));
  const made = {
    vocabSize,
    ids: Int32Array.from(tokens, ({ id }) => id),
    ...{ bytes, starts, shared },
    // not Math.max of them all: arguments lie on the stack, and vocabularies have 100,000 tokens and more
    longest: tokens.reduce((most, token) => Math.max(most, token.bytes.length), 0),
  };
  ofTokenizer.set(key, made);
  return made;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const same = sharedBytes(a, b);
  return (a[same] ?? -1) - (b[same] ?? -1);
}

function sharedBytes(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}

/** Masks of one grammar for one vocabulary. */
export class TokenMasks {
  readonly automaton: Automaton;
  readonly #vocabulary: SortedVocabulary;
  /** By state, a bit a token. */
  readonly #masks = new WeakMap<State, Uint32Array>();

  constructor(automaton: Automaton, vocabulary: SortedVocabulary) {
    this.automaton = automaton;
    this.#vocabulary = vocabulary;
  }

  /** Bit id & 31 of word id >> 5: the token may come next. */
  maskOf(state: State): Uint32Array {
    let mask = this.#masks.get(state);
    if (mask === undefined) {
      mask = this.#compute(state);
      this.#masks.set(state, mask);
    }
    return mask;
  }

  /** The state after a token; null where it may not come. */
  stateAfter(state: State, bytes: Uint8Array): State | null {
    let at: State | null = state;
    for (const byte of bytes) {
      if (at === null) return null;
      at = this.automaton.step(at, byte);
    }
    return at;
  }

  #compute(state: State): Uint32Array {
    const { ids, bytes, starts, shared, longest, vocabSize } = this.#vocabulary;
    const { automaton } = this;
    const mask = new Uint32Array((vocabSize + 31) >> 5);
    const path = new Array<State>(longest + 1).fill(state);
    /** Bytes after which the last token died: whoever shares one more is dead too. */
    let alive = longest;
    for (let i = 0; i < ids.length; i++) {
      let depth = shared[i] as number;
      if (depth > alive) continue;
      const start = starts[i] as number;
      const length = (starts[i + 1] as number) - start;
      let at = path[depth] as State;
      alive = longest;
      while (depth < length) {
        const next = automaton.step(at, bytes[start + depth] as number);
        if (next === null) {
          alive = depth;
          break;
        }
        at = next;
        path[++depth] = at;
      }
      if (depth === length) {
        const id = ids[i] as number;
        mask[id >> 5]! |= 1 << (id & 31);
      }
    }
    return mask;
  }
}
