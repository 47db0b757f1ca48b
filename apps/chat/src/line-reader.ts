// Lines of a user, from a terminal (with prompt, editing, history) or from a pipe. Node only.
// While an answer is written the terminal's reader stays on, so that Ctrl-C is heard, but what it would draw is held
// back; what was typed meanwhile is there at the next prompt.
import { createInterface, type Interface } from 'node:readline';
import { Writable } from 'node:stream';
import { RelufyError } from '@relufy/models';

export interface LineReader {
  /** The next line; undefined at the end of the input. */
  next(): Promise<string | undefined>;
  close(): void;
}

/** A stream that may be a terminal. */
export type MaybeTerminal<Stream> = Stream & { readonly isTTY?: boolean; readonly columns?: number };

/** Lines of a pipe or a file. */
export function plainReader(input: NodeJS.ReadableStream): LineReader {
  const readline = createInterface({ input, terminal: false, crlfDelay: Number.POSITIVE_INFINITY });
  const lines = new LineQueue(readline);
  return { next: () => lines.next(), close: () => readline.close() };
}

/** Lines of a person at a terminal. `interrupt` hears Ctrl-C, which a terminal in raw mode does not turn into a signal. */
export function terminalReader(
  input: NodeJS.ReadableStream,
  output: MaybeTerminal<NodeJS.WritableStream>,
  prompt: string,
  interrupt: () => void,
): LineReader {
  const drawing = new Drawing(output);
  const readline = createInterface({ input, output: drawing, terminal: true, prompt, historySize: 1000 });
  const lines = new LineQueue(readline);
  readline.on('SIGINT', interrupt);
  // back from Ctrl-Z, readline pauses its input and leaves it to us to go on
  readline.on('SIGCONT', () => {
    readline.resume();
    if (drawing.visible) readline.prompt(true);
  });
  for (const event of ['line', 'close'])
    readline.on(event, () => {
      drawing.visible = false;
    });
  return {
    next: async () => {
      const typedAhead = lines.take();
      if (typedAhead !== undefined) output.write(`${prompt}${typedAhead}\n`);
      else if (!lines.ended) {
        drawing.visible = true;
        readline.prompt(true);
      }
      return typedAhead ?? lines.next();
    },
    close: () => readline.close(),
  };
}

/** Lines wait for their reader, or the reader for its line. */
class LineQueue {
  ended = false;
  #failure: RelufyError | undefined;
  #wake: () => void = () => {};
  readonly #lines: string[] = [];

  constructor(readline: Interface) {
    readline.on('line', (line) => {
      this.#lines.push(line);
      this.#wake();
    });
    readline.on('close', () => {
      this.ended = true;
      this.#wake();
    });
    readline.on('error', (cause: Error) => {
      this.#failure = new RelufyError('io', `input: expected lines of text, got an error: ${cause.message}.`, {
        cause,
      });
      this.#wake();
    });
  }

  take(): string | undefined {
    return this.#lines.shift();
  }

  async next(): Promise<string | undefined> {
    while (this.#lines.length === 0 && !this.ended && this.#failure === undefined)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    if (this.#failure !== undefined) throw this.#failure;
    return this.#lines.shift();
  }
}

/** Where readline draws: the terminal, or nowhere. */
class Drawing extends Writable {
  visible = false;
  readonly #output: MaybeTerminal<NodeJS.WritableStream>;

  constructor(output: MaybeTerminal<NodeJS.WritableStream>) {
    super({ decodeStrings: false });
    this.#output = output;
    output.on('resize', () => this.emit('resize'));
  }

  /** Unknown while nothing is drawn: readline would count wrapped rows and later clear as many rows of the answer. */
  get columns(): number | undefined {
    return this.visible ? this.#output.columns : undefined;
  }

  override _write(chunk: string | Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    if (this.visible) this.#output.write(chunk);
    done();
  }
}
