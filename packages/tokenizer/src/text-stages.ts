// Stages that work on a text as it arrives in chunks: strip its ends, replace a string, clean up spaces.
// Each gives out all that no later chunk can change, so its output adds up to what the whole text would give.
// Stages on single tokens are in decoder.ts; stop strings are in stop.ts.
import { RelufyError } from '@relufy/tensor';
import { bordersOf, following } from './text-search.js';

/** Takes pieces of text, and hears when there are no more. */
export interface Sink {
  push(text: string): void;
  end(): void;
}

/** Puts one step in front of `next`. */
export type Stage = (next: Sink) => Sink;

/** Length of the longest end of `text` that is a beginning of `word`, but not all of it. */
export function heldLength(text: string, word: string): number {
  const first = text.length - Math.min(text.length, word.length - 1);
  const start = text.indexOf(word.slice(0, 1), first);
  if (start < 0 || word.length < 2) return 0;
  // Knuth, Morris and Pratt: linear whatever the two are. A text ends with no more of the word than it is long.
  const beginning = word.slice(0, text.length - start + 1);
  const borders = bordersOf(beginning);
  let k = 0;
  for (let i = start; i < text.length; i++) k = following(beginning, borders, k, text.charCodeAt(i));
  return k;
}

/** What one push may become: far more than any vocabulary needs, and too little to fill a memory. */
export const LONGEST_PIECE = 1 << 20;

export function checkPiece(length: number): void {
  if (length <= LONGEST_PIECE) return;
  const what = `tokenizer: decoder: expected at most ${LONGEST_PIECE} characters for one token, got more`;
  throw new RelufyError('tokenizer', `${what}. Its Replace steps multiply text; correct tokenizer.json.`);
}

/** Replaces `pattern` wherever it is, also across chunks. An empty pattern matches nothing. */
export function replaceText(pattern: string, content: string): Stage {
  return (next) => {
    let held = '';
    return {
      push: (chunk) => {
        let text = held + chunk;
        let done = '';
        if (pattern !== '') {
          for (let at = text.indexOf(pattern); at >= 0; at = text.indexOf(pattern)) {
            done += text.slice(0, at) + content;
            checkPiece(done.length);
            text = text.slice(at + pattern.length);
          }
        }
        const keep = heldLength(text, pattern);
        held = text.slice(text.length - keep);
        done += text.slice(0, text.length - keep);
        if (done !== '') next.push(done);
      },
      end: () => {
        if (held !== '') next.push(held);
        held = '';
        next.end();
      },
    };
  };
}

/** Removes up to `start` and `stop` copies of `content` from the two ends of the text. */
export function stripText(content: string, start: number, stop: number): Stage {
  return (next) => {
    let left = start;
    let held = ''; // copies of `content` that may be the end, at most `stop`
    return {
      push: (chunk) => {
        let from = 0;
        while (left > 0 && from < chunk.length) {
          if (chunk.startsWith(content, from)) {
            from += content.length;
            left--;
          } else {
            left = 0;
          }
        }
        const text = held + chunk.slice(from);
        let keep = 0;
        while (keep < stop && text.endsWith(content, text.length - keep * content.length)) keep++;
        held = text.slice(text.length - keep * content.length);
        const done = text.slice(0, text.length - held.length);
        if (done !== '') next.push(done);
      },
      end: () => {
        held = '';
        next.end();
      },
    };
  };
}

// transformers' clean_up_tokenization, in its order.
const cleanUps: readonly (readonly [string, string])[] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

export const cleanUp: Stage = (next) =>
  cleanUps.reduceRight((sink, [pattern, content]) => replaceText(pattern, content)(sink), next);
