// The terminal chat: reads a line, answers it or runs a command, until the input ends. At a terminal with prompt, Ctrl-C
// and status lines; from a pipe each line that is not empty is a turn, and only answers reach the output.
// Touches no global: streams, model and colour are given. Does not own loading the model or the process's exit code.
import { RelufyError } from '@relufy/models';
import { isCommand, runCommand } from './commands.js';
import { type ChatModel, Conversation } from './conversation.js';
import { describeAnswer } from './describe.js';
import { type LineReader, type MaybeTerminal, plainReader, terminalReader } from './line-reader.js';
import { Screen } from './screen.js';
import type { Settings } from './settings.js';

export interface RunChatOptions {
  readonly model: ChatModel;
  readonly input: MaybeTerminal<NodeJS.ReadableStream>;
  readonly output: MaybeTerminal<NodeJS.WritableStream>;
  readonly error: NodeJS.WritableStream;
  /** What the greeting calls the model. Default: its own name. */
  readonly title?: string;
  readonly system?: string | undefined;
  /** Of the answers; those left out are `defaultSettings`. */
  readonly settings?: Settings;
  /** Default: none. */
  readonly color?: boolean;
  /** Ends the chat, and the answer that is being written. */
  readonly signal?: AbortSignal;
}

/** How a chat ended: the input did (or `/exit`), or Ctrl-C or the signal cut it short. */
export type ChatEnd = 'ended' | 'interrupted';

/**
 * What reads best of the bundled model, by twelve stories each: with temperature 0.8 and topP 0.95 it misspells words,
 * without a penalty it repeats sentences, and a repetition penalty, which counts the question too, leaves its subject.
 */
export const defaultSettings: Settings = { temperature: 0.7, minP: 0.1, presencePenalty: 0.5 };

/**
 * @throws RelufyError when the model has no chat template, and, without a terminal, for a line that cannot be answered.
 */
export async function runChat(options: RunChatOptions): Promise<ChatEnd> {
  const { model, input, output, title = model.name } = options;
  if (!model.tokenizer?.hasChatTemplate)
    throw new RelufyError(
      'tokenizer',
      `chat: expected a model with a chat template, got "${title}", which has none: it continues texts. Use: relufy generate --model ${title} --prompt TEXT`,
    );
  const interactive = input.isTTY === true && output.isTTY === true;
  const screen = new Screen({ ...options, interactive, color: options.color ?? false });
  const chat = new Chat(options, screen);
  const reader = interactive
    ? terminalReader(input, output, screen.prompt, () => chat.interrupt())
    : plainReader(input);
  if (interactive) screen.note(`${title} · ${model.backend} · context ${model.contextLength} · /help lists commands`);
  return chat.run(reader, interactive);
}

class Chat {
  readonly #options: RunChatOptions;
  readonly #screen: Screen;
  readonly #conversation: Conversation;
  readonly #defaults: Settings;
  #reader: LineReader | undefined;
  #answer: AbortController | undefined;
  #end: ChatEnd | undefined;
  #saidFull = false;

  constructor(options: RunChatOptions, screen: Screen) {
    this.#options = options;
    this.#screen = screen;
    this.#defaults = { ...defaultSettings, ...options.settings };
    this.#conversation = new Conversation(options.model, { system: options.system, settings: this.#defaults });
  }

  async run(reader: LineReader, interactive: boolean): Promise<ChatEnd> {
    this.#reader = reader;
    const { signal } = this.#options;
    const quit = () => this.#quit('interrupted');
    signal?.addEventListener('abort', quit, { once: true });
    if (signal?.aborted) quit();
    try {
      while (this.#end === undefined) {
        const line = await reader.next();
        if (line === undefined || this.#end !== undefined) break;
        if (line.trim() === '') continue;
        try {
          if (isCommand(line)) this.#command(line);
          else await this.#reply(line);
        } catch (error) {
          if (!interactive || !RelufyError.is(error) || isFatal(error)) throw error;
          this.#screen.endText();
          this.#screen.complain(error.message);
        }
      }
    } finally {
      signal?.removeEventListener('abort', quit);
      reader.close();
    }
    // Ctrl-D and Ctrl-C leave the cursor behind the prompt
    if (this.#end !== 'ended') this.#screen.leave();
    return this.#end ?? 'ended';
  }

  /** Ctrl-C: stops the answer, or ends the chat when there is none or it has been stopped already. */
  interrupt(): void {
    if (this.#answer === undefined || this.#answer.signal.aborted) this.#quit('interrupted');
    else this.#answer.abort();
  }

  #quit(end: ChatEnd): void {
    this.#end ??= end;
    this.#answer?.abort();
    this.#reader?.close();
  }

  #command(line: string): void {
    runCommand(line, {
      model: this.#options.model,
      title: this.#options.title ?? this.#options.model.name,
      conversation: this.#conversation,
      defaults: this.#defaults,
      say: (text) => this.#screen.note(text),
      exit: () => this.#quit('ended'),
    });
  }

  async #reply(line: string): Promise<void> {
    const conversation = this.#conversation;
    this.#answer = new AbortController();
    try {
      const { result, droppedMessages } = await conversation.answer(line, {
        signal: this.#answer.signal,
        onText: (text) => this.#screen.text(text),
      });
      this.#screen.endText();
      if (this.#end !== undefined) return;
      this.#screen.status(
        result === undefined ? 'stopped' : describeAnswer(result, conversation.settings.maxNewTokens),
      );
      if (droppedMessages > 0 && !this.#saidFull) {
        this.#saidFull = true;
        this.#screen.note('The context is full: the oldest turns are forgotten from here on. /reset starts anew.');
      }
    } finally {
      this.#answer = undefined;
    }
  }
}

/** No further answer can succeed. */
function isFatal({ code }: RelufyError): boolean {
  return code === 'backend' || code === 'state' || code === 'io';
}
