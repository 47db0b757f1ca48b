// Text from ids as they are generated: each push gives the text that is certain by now.
// Held back are unfinished UTF-8 characters, spaces that a decoder may still strip, and what may become a stop string.
// The decoding itself is decoder.ts, the stop strings are stop.ts.
import { checkStreaming } from './arguments.js';
import { StopMatcher } from './stop.js';
import type { DecodeOptions, IdSink, Tokenizer } from './tokenizer.js';

export interface StreamOptions extends DecodeOptions {
  /** Strings that end the text. They are not given out. */
  readonly stop?: readonly string[] | undefined;
  /** Ids that go before: the pieces then add up to `decode` of all less `decode` of these. */
  readonly prompt?: readonly number[] | undefined;
}

/**
 * The pieces add up to `decode` of all ids, or to what comes before the first stop string.
 * A step costs the length of its own text, not of the text so far.
 *
 * @example
 * const stream = new StreamDetokenizer(tokenizer, { stop: ['\n'] });
 * for (const id of ids) write(stream.push(id));
 * write(stream.flush());
 */
export class StreamDetokenizer {
  readonly #matcher: StopMatcher;
  readonly #decoder: IdSink;
  #piece = '';
  /** Whether the prompt is still going through the decoder, whose text nobody gets. */
  #priming = true;
  /** Text of the prompt that the decoder still holds, and that is not to be given out. */
  #owed = '';
  #ended = false;

  /** @throws RelufyError with code `option` for an empty stop string, and for options that do not fit. */
  constructor(tokenizer: Tokenizer, options: StreamOptions = {}) {
    checkStreaming(tokenizer, options);
    const { stop = [], prompt = [], ...decoding } = options;
    this.#matcher = new StopMatcher(stop);
    const sink = {
      push: (text: string) => {
        if (this.#priming) this.#piece += text;
        else this.#piece += this.#matcher.push(this.#owed === '' ? text : this.#withoutOwed(text));
      },
      end: () => {},
    };
    this.#decoder = tokenizer.openDecoder(sink, decoding, (token) => {
      if (!this.#priming) this.#piece += this.#matcher.pushHidden(token);
    });
    if (prompt.length > 0) this.#prime(tokenizer, prompt, decoding);
    this.#priming = false;
  }

  /** The stop string that was found, or undefined. From then on there is no more text. */
  get stopped(): string | undefined {
    return this.#matcher.stopped;
  }

  /**
   * The text that the id adds, which may be empty.
   * @throws RelufyError with code `input` for an id that is not a whole number from 0 on.
   */
  push(id: number): string {
    if (this.#ended || this.stopped !== undefined) return '';
    this.#decoder.push(id);
    return this.#take();
  }

  /** The rest of the text. Nothing can be pushed after it. */
  flush(): string {
    if (this.#ended) return '';
    this.#ended = true;
    this.#decoder.end();
    this.#piece += this.#matcher.flush();
    return this.#take();
  }

  #prime(tokenizer: Tokenizer, prompt: readonly number[], options: DecodeOptions): void {
    const pieces: string[] = [];
    const whole = tokenizer.openDecoder({ push: (text) => pieces.push(text), end: () => {} }, options);
    for (const id of prompt) {
      this.#decoder.push(id);
      whole.push(id);
    }
    whole.end();
    this.#owed = pieces.join('').slice(this.#take().length);
  }

  /** Where the prompt ended within a character, what it would have decoded to never comes. */
  #withoutOwed(text: string): string {
    let same = 0;
    while (same < text.length && same < this.#owed.length && text[same] === this.#owed[same]) same++;
    this.#owed = same === text.length ? this.#owed.slice(same) : '';
    return text.slice(same);
  }

  #take(): string {
    const piece = this.#piece;
    this.#piece = '';
    return piece;
  }
}
