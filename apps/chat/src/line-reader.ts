// Messages of a user, from a terminal (with prompt, editing, history, pasting) or from a pipe. Node only.
// While an answer is written the terminal's reader stays on, so that Ctrl-C is heard, but what it would draw is held
// back; what was typed meanwhile is there at the next prompt.
// Does not own keys (terminal-keys.ts), what lines make a message (message-lines.ts) or the file of a history.
import { createInterface, type Interface } from 'node:readline';
import { Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { LineSplitter, RelufyError, withoutMark } from '@relufy/tensor';
import type { ChatHistory } from './history.js';
import { type Message, MessageLines } from './message-lines.js';
import { PasteBoard } from './paste-board.js';
import { pasteMarks, TerminalKeys } from './terminal-keys.js';

export interface LineReader {
  /** The next message; undefined at the end of the input. */
  next(): Promise<Message | undefined>;
  /** Something was written below the prompt: draws it anew. */
  redraw(): void;
  close(): void;
}

/** A stream that may be a terminal. */
export type MaybeTerminal<Stream> = Stream & { readonly isTTY?: boolean; readonly columns?: number };

/** A line of a pipe has at most so many characters: a stream without line breaks would fill the memory. */
const longestLine = 1 << 24;
/** So many lines wait; then the pipe does. */
const mostWaiting = 1000;

/** Messages of a pipe or a file. */
export function plainReader(input: NodeJS.ReadableStream): LineReader {
  const lines = new LineQueue();
  const splitter = new LineSplitter();
  const decoder = new StringDecoder('utf8');
  const messages = new MessageLines();
  const hear = (chunk: string | Uint8Array) => {
    lines.push(...splitter.push(typeof chunk === 'string' ? chunk : decoder.write(Buffer.from(chunk))));
    if (splitter.pending > longestLine)
      lines.fail(
        new RelufyError('input', `input: expected lines of at most ${longestLine} characters, got a longer one.`),
      );
    if (lines.waiting > mostWaiting) input.pause();
  };
  const end = () => {
    lines.push(...splitter.push(decoder.end()), ...splitter.flush());
    lines.end();
  };
  const fail = (cause: Error) => lines.fail(inputError(cause));
  input.on('data', hear).on('end', end).on('close', end).on('error', fail);
  return {
    next: async () => {
      for (;;) {
        const line = await lines.next();
        if (lines.waiting === 0) input.resume();
        const message = line === undefined ? messages.flush() : messages.push(line);
        if (messages.length > longestLine)
          throw new RelufyError(
            'input',
            `input: expected messages of at most ${longestLine} characters, got a longer one.`,
          );
        if (message !== undefined || line === undefined) return message;
      }
    },
    redraw: () => {},
    close: () => {
      input.off('data', hear).off('end', end).off('close', end).pause();
      lines.end();
    },
  };
}

export interface TerminalReaderOptions {
  readonly input: NodeJS.ReadableStream;
  readonly output: MaybeTerminal<NodeJS.WritableStream>;
  readonly prompt: string;
  /** Before the further lines of a message. */
  readonly continuation: string;
  /** Ctrl-C, which a terminal in raw mode does not turn into a signal, with nothing typed or during an answer. */
  readonly interrupt: () => void;
  /** What could stand in place of a line's end. */
  readonly complete: (line: string) => [string[], string];
  readonly history?: ChatHistory | undefined;
  /** The terminal knows no escape sequences. */
  readonly dumb: boolean;
}

/** Messages of a person at a terminal. */
export function terminalReader(options: TerminalReaderOptions): LineReader {
  const { output, prompt, continuation, interrupt, complete, history, dumb } = options;
  const drawing: Drawing = new Drawing(output, () => {
    // a narrower terminal has broken the line into more rows, and readline would clear as many as it drew
    if (drawing.visible) Object.assign(readline, { prevRows: readline.getCursorPos().rows });
  });
  const lines = new LineQueue();
  const messages = new MessageLines();
  const pastes = new PasteBoard();
  const keys = new TerminalKeys(options.input, {
    paste: (text) => readline.write(pastes.take(text)),
    newline: () => readline.write(PasteBoard.newline),
  });
  const readline: Interface = createInterface({
    input: keys,
    output: drawing,
    terminal: true,
    prompt,
    historySize: 1000,
    history: [...(history?.entries ?? [])].reverse().map((entry) => entry.replaceAll('\n', PasteBoard.newline)),
    removeHistoryDuplicates: true,
    completer: (line: string) => complete(line),
    tabSize: 4,
  });
  const marks = (mode: 'on' | 'off') => {
    if (!dumb) output.write(pasteMarks[mode]);
  };
  marks('on');

  const clear = () => {
    readline.write(null, { ctrl: true, name: 'e' });
    readline.write(null, { ctrl: true, name: 'u' });
    if (!messages.open) return;
    messages.clear();
    output.write('\n');
    readline.setPrompt(prompt);
    readline.prompt();
  };
  readline.on('SIGINT', () => {
    if (drawing.visible && (readline.line !== '' || messages.open)) clear();
    else interrupt();
  });
  // back from Ctrl-Z, readline pauses its input and leaves it to us to go on
  readline.on('SIGCONT', () => {
    marks('on');
    readline.resume();
    if (drawing.visible) readline.prompt(true);
  });
  readline.on('line', (line) => {
    drawing.visible = false;
    lines.push(line);
  });
  readline.on('close', () => {
    drawing.visible = false;
    lines.end();
  });
  const fail = (cause: Error) => lines.fail(inputError(cause));
  readline.on('error', fail);
  keys.on('error', fail);

  const ready: Message[] = [];

  return {
    next: async () => {
      for (;;) {
        const waiting = ready.shift();
        if (waiting !== undefined) {
          history?.add(waiting.text);
          return waiting;
        }
        const begin = messages.open ? continuation : prompt;
        const typedAhead = lines.take();
        if (typedAhead !== undefined) output.write(`${begin}${PasteBoard.shown(typedAhead)}\n`);
        else if (!lines.ended) {
          drawing.visible = true;
          readline.setPrompt(begin);
          readline.prompt(true);
        }
        const line = typedAhead ?? (await lines.next());
        if (line === undefined) return messages.flush();
        // a pasted text is one line with its breaks in it
        ready.push(...messages.pushText(withoutMark(pastes.expand(line))));
      }
    },
    redraw: () => {
      if (drawing.visible) readline.prompt(true);
    },
    close: () => {
      marks('off');
      readline.close();
      keys.release();
    },
  };
}

function inputError(cause: Error): RelufyError {
  if (RelufyError.is(cause)) return cause;
  return new RelufyError('io', `input: expected lines of text, got an error: ${cause.message}.`, { cause });
}

/** Lines wait for their reader, or the reader for its line. */
class LineQueue {
  ended = false;
  #failure: RelufyError | undefined;
  #wake: () => void = () => {};
  readonly #lines: string[] = [];

  get waiting(): number {
    return this.#lines.length;
  }

  push(...lines: readonly string[]): void {
    for (const line of lines) this.#lines.push(line);
    this.#wake();
  }

  end(): void {
    this.ended = true;
    this.#wake();
  }

  fail(error: RelufyError): void {
    this.#failure ??= error;
    this.#wake();
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

  constructor(output: MaybeTerminal<NodeJS.WritableStream>, beforeResize: () => void) {
    super({ decodeStrings: false });
    this.#output = output;
    output.on('resize', () => {
      beforeResize();
      this.emit('resize');
    });
  }

  /** Unknown while nothing is drawn: readline would count wrapped rows and later clear as many rows of the answer. */
  get columns(): number | undefined {
    return this.visible ? this.#output.columns : undefined;
  }

  override _write(chunk: string | Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    if (this.visible) this.#output.write(typeof chunk === 'string' ? PasteBoard.shown(chunk) : chunk);
    done();
  }
}
