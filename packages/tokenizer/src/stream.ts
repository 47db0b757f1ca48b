// Text from ids as they are generated: each push gives the text that is certain by now.
// Held back are unfinished UTF-8 characters, spaces that a decoder may still strip, and what may become a stop string.
// The decoding itself is decoder.ts, the stop strings are stop.ts.
import { StopMatcher } from './stop.js';
import type { DecodeOptions, IdSink, Tokenizer } from './tokenizer.js';

export interface StreamOptions extends DecodeOptions {
  /** Strings that end the text. They are not given out. */
  readonly stop?: readonly string[] | undefined;
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
  #ended = false;

  /** @throws RelufyError with code `option` for an empty stop string. */
  constructor(tokenizer: Tokenizer, options: StreamOptions = {}) {
    this.#matcher = new StopMatcher(options.stop ?? []);
    const sink = {
      push: (text: string) => {
        this.#piece += this.#matcher.push(text);
      },
      end: () => {},
    };
    this.#decoder = tokenizer.openDecoder(sink, options);
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

  #take(): string {
    const piece = this.#piece;
    this.#piece = '';
    return piece;
  }
}
