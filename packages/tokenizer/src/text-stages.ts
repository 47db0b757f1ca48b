// Stages that work on a text as it arrives in chunks: strip its ends, replace a string, clean up spaces.
// Each gives out all that no later chunk can change, so its output adds up to what the whole text would give.
// Stages on single tokens are in decoder.ts; stop strings are in stop.ts.

/** Takes pieces of text, and hears when there are no more. */
export interface Sink {
  push(text: string): void;
  end(): void;
}

/** Puts one step in front of `next`. */
export type Stage = (next: Sink) => Sink;

/** Length of the longest end of `text` that is a beginning of `word`, but not all of it. */
export function heldLength(text: string, word: string): number {
  for (let length = Math.min(text.length, word.length - 1); length > 0; length--) {
    if (word.startsWith(text.slice(text.length - length))) return length;
  }
  return 0;
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
        while (keep < stop && text.endsWith(content.repeat(keep + 1))) keep++;
        held = content.repeat(keep);
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
