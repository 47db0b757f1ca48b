// Stop strings: watching a text that arrives in pieces for the first of some strings.
// A piece is given out as soon as no stop string can begin in it. Knows nothing of tokens.
import { aText, checkValue, RelufyError, show } from '@relufy/tensor';
import { checkStops } from './arguments.js';
import { heldLength } from './text-stages.js';

/**
 * The stop string that ends first wins, and of those the longest, so the outcome does not depend on where the text is
 * cut into pieces.
 */
export class StopMatcher {
  readonly #words: readonly string[];
  #held = '';
  /** Which characters of what is held are watched and not given out. */
  #hidden: (readonly [from: number, to: number])[] = [];
  #stopped: string | undefined;

  /** @throws RelufyError with code `option` for a stop string that is empty or not a string. */
  constructor(words: readonly string[]) {
    checkStops(words);
    for (const word of words) {
      if (word === '') {
        throw new RelufyError('option', `stop: expected strings that are not empty, got ${show(word)}. Leave it out.`);
      }
    }
    this.#words = [...words];
  }

  /** The stop string that was found, or undefined. */
  get stopped(): string | undefined {
    return this.#stopped;
  }

  /** The text that can be given out now. After a stop string it is always empty. */
  push(piece: string): string {
    return this.#watch(piece, false);
  }

  /** Text that may end the whole like any other, but is not given out: that of a special token. */
  pushHidden(piece: string): string {
    return this.#watch(piece, true);
  }

  #watch(piece: string, hidden: boolean): string {
    checkValue('stop: text', piece, aText, 'input');
    if (this.#stopped !== undefined) return '';
    const text = this.#held + piece;
    if (hidden) this.#hidden.push([this.#held.length, text.length]);
    let end = Number.POSITIVE_INFINITY;
    for (const word of this.#words) {
      const at = text.indexOf(word);
      if (at < 0) continue;
      const longer = word.length > (this.#stopped?.length ?? 0);
      if (at + word.length < end || (at + word.length === end && longer)) {
        end = at + word.length;
        this.#stopped = word;
      }
    }
    if (this.#stopped !== undefined) {
      this.#held = '';
      return this.#visible(text, end - this.#stopped.length);
    }
    const keep = this.#words.reduce((longest, word) => Math.max(longest, heldLength(text, word)), 0);
    this.#held = text.slice(text.length - keep);
    return this.#visible(text, text.length - keep);
  }

  /** The first `length` characters without the hidden ones; what is hidden in the rest stays so. */
  #visible(text: string, length: number): string {
    if (this.#hidden.length === 0) return text.slice(0, length);
    let shown = '';
    let from = 0;
    for (const [start, stop] of this.#hidden) {
      shown += text.slice(from, Math.max(from, Math.min(start, length)));
      from = Math.min(stop, length);
    }
    shown += text.slice(from, length);
    this.#hidden = this.#hidden
      .filter(([, stop]) => stop > length)
      .map(([start, stop]) => [Math.max(0, start - length), stop - length]);
    return shown;
  }

  /** The rest, when no more pieces come. */
  flush(): string {
    const rest = this.#visible(this.#held, this.#held.length);
    this.#held = '';
    return rest;
  }
}
