// Which turns a model still sees when its context is full: the first turn stays, since it says what the conversation is
// about, and the newest stay; the middle goes, whole turns of it, oldest first. Only when that does not help the first goes.
// Does not own counting tokens (conversation.ts asks the tokenizer).
import type { ChatMessage } from '@relufy/models';

/** A user's message and what was answered. */
export type Turn = readonly ChatMessage[];

/** What is not shown to the model any more. */
export interface Forgotten {
  readonly first: boolean;
  /** Turns after the first one. */
  readonly middle: number;
}

export const nothingForgotten: Forgotten = { first: false, middle: 0 };

/** The turns that the model sees. */
export function remembered(turns: readonly Turn[], { first, middle }: Forgotten): readonly Turn[] {
  return [...(first ? [] : turns.slice(0, 1)), ...turns.slice(1 + middle)];
}

/**
 * The least to forget, from `already` on, so that `fits` holds; everything when it never does.
 * `fits` is asked a logarithmic number of times.
 */
export function leastForgotten(
  turns: readonly Turn[],
  already: Forgotten,
  fits: (turns: readonly Turn[]) => boolean,
): Forgotten {
  const most = Math.max(0, turns.length - 1);
  const fitsWith = (forgotten: Forgotten) => fits(remembered(turns, forgotten));
  if (fitsWith(already)) return already;
  for (const first of already.first ? [true] : [false, true]) {
    if (!fitsWith({ first, middle: most })) continue;
    let [low, high] = [already.middle, most];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (fitsWith({ first, middle })) high = middle;
      else low = middle + 1;
    }
    return { first, middle: high };
  }
  return { first: true, middle: most };
}

/** Fewer words of an answer's end say nothing. */
const fewestWords = 8;

/** A turn whose answer has lost its beginning, as little of it as makes it fit; undefined where too little would stay. */
export function endOfTurn(turn: Turn, fits: (turn: Turn) => boolean): Turn | undefined {
  const answer = turn.at(-1);
  if (turn.length < 2 || answer === undefined || typeof answer.content !== 'string') return undefined;
  const words = answer.content.split(/(?<=\s)(?=\S)/);
  const from = (first: number): Turn => [
    ...turn.slice(0, -1),
    { role: 'assistant', content: `… ${words.slice(first).join('')}` },
  ];
  let [low, high] = [1, words.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (fits(from(middle))) high = middle;
    else low = middle + 1;
  }
  return words.length - high >= fewestWords ? from(high) : undefined;
}
