// What a chat writes and where: at a terminal answers, status lines and notes, in colour and with Markdown drawn where
// that is wanted; into a pipe the answers alone, with notes and complaints on the error stream.
// Everything that a model, a file or an error says passes `#safe` on its way to a terminal, here and nowhere else.
// Does not own the words (describe.ts, commands.ts) or the prompt's editing (line-reader.ts).
import { pipeable, printable } from '@relufy/models';
import picocolors from 'picocolors';
import type { MaybeTerminal } from './line-reader.js';
import { Markdown, type Segment } from './markdown.js';
import { WordWrap } from './word-wrap.js';

export interface ScreenOptions {
  readonly output: MaybeTerminal<NodeJS.WritableStream>;
  readonly error: MaybeTerminal<NodeJS.WritableStream>;
  readonly interactive: boolean;
  readonly color: boolean;
  /** Draw the Markdown of answers. */
  readonly markdown: boolean;
}

export class Screen {
  readonly prompt: string;
  readonly continuation: string;
  readonly #options: ScreenOptions;
  readonly #colors: ReturnType<typeof picocolors.createColors>;
  readonly #wrap = new WordWrap();
  readonly #markdown: Markdown | undefined;
  #lastCharacter = '\n';
  /** CR at the end of a piece, whose LF may come with the next. */
  #held = '';

  constructor(options: ScreenOptions) {
    this.#options = options;
    this.#colors = picocolors.createColors(options.color);
    this.#markdown = options.markdown && options.interactive ? new Markdown() : undefined;
    this.prompt = this.#colors.bold(this.#colors.cyan('> '));
    this.continuation = this.#colors.dim('. ');
  }

  /** A piece of an answer. */
  text(text: string): void {
    const { interactive, output } = this.#options;
    if (output.isTTY !== true) {
      this.#write(this.#safe(text, output));
      return;
    }
    const whole = this.#held + text;
    this.#held = whole.endsWith('\r') ? '\r' : '';
    const safe = this.#safe(this.#held === '' ? whole : whole.slice(0, -1), output);
    if (interactive) this.#draw(this.#markdown?.push(safe) ?? [{ text: safe }]);
    else this.#write(safe);
  }

  /** The answer is whole. */
  endText(): void {
    this.#held = '';
    if (this.#markdown !== undefined) this.#draw(this.#markdown.flush());
    this.#write(this.#wrap.flush(columnsOf(this.#options.output)));
    if (this.#lastCharacter !== '\n') this.#write('\n');
  }

  /** About the answer; for people only. */
  status(text: string): void {
    if (this.#options.interactive) this.#aside(text, this.#colors.dim);
  }

  /** What the chat itself has to say. */
  note(text: string): void {
    if (this.#options.interactive) this.#aside(text, this.#colors.dim);
    else this.#options.error.write(`${this.#safe(text, this.#options.error)}\n`);
  }

  complain(message: string): void {
    if (this.#options.interactive) this.#aside(message, this.#colors.red);
    else this.#options.error.write(`${this.#safe(message, this.#options.error)}\n`);
  }

  /** Text of others for a stream: what a terminal would obey is written out. */
  #safe(text: string, stream: MaybeTerminal<NodeJS.WritableStream>): string {
    return stream.isTTY === true ? printable(text) : pipeable(text);
  }

  #draw(segments: readonly Segment[]): void {
    const columns = columnsOf(this.#options.output);
    for (const { text, verbatim, indent } of segments) {
      if (indent !== undefined) this.#wrap.indent = indent;
      this.#write(this.#wrap.push(text, verbatim ? undefined : columns));
      // a word is held back until it is whole; of code nothing is
      if (verbatim) this.#write(this.#wrap.release());
    }
  }

  #aside(text: string, colored: (text: string) => string): void {
    const { output } = this.#options;
    const wrap = new WordWrap();
    const columns = columnsOf(output);
    const lines = wrap.push(this.#safe(text, output), columns) + wrap.flush(columns);
    output.write(`${colored(lines)}\n\n`);
  }

  #write(text: string): void {
    if (text === '') return;
    this.#options.output.write(text);
    this.#lastCharacter = text.at(-1) as string;
  }

  /** Leaves the line of the prompt. */
  leave(): void {
    if (this.#options.interactive) this.#options.output.write('\n');
  }
}

/** A terminal that does not know its width says 0. */
function columnsOf({ columns }: { readonly columns?: number }): number | undefined {
  return columns || undefined;
}
