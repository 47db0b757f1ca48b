// The terminal chat: reads a message, answers it or runs a command, until the input ends. At a terminal with prompt,
// Ctrl-C and status lines; from a pipe each line that is not empty is a turn, and only answers reach the output.
// Touches no global: streams, model, history and colour are given. Does not own loading a model or the process's exit code.
import { RelufyError } from '@relufy/models';
import { type CommandContext, commandOf, runCommand } from './commands.js';
import { complete } from './completion.js';
import { type Answer, type AnswerOptions, type ChatModel, Conversation } from './conversation.js';
import { describeAnswer } from './describe.js';
import type { ChatHistory } from './history.js';
import { type LineReader, type MaybeTerminal, plainReader, terminalReader } from './line-reader.js';
import { saveChat } from './saved-chat.js';
import { Screen } from './screen.js';
import { findSetting, type Settings, settingTable } from './settings.js';

export interface RunChatOptions {
  readonly model: ChatModel;
  readonly input: MaybeTerminal<NodeJS.ReadableStream>;
  readonly output: MaybeTerminal<NodeJS.WritableStream>;
  readonly error: MaybeTerminal<NodeJS.WritableStream>;
  /** What the greeting calls the model. Default: its own name. */
  readonly title?: string;
  /** Said below the greeting, for example what the model is good for. */
  readonly about?: string | undefined;
  readonly system?: string | undefined;
  /** Of the answers; those left out are the model's own (`settingsFor`). */
  readonly settings?: Settings;
  /** Default: none. */
  readonly color?: boolean;
  /** Draws the Markdown of answers at a terminal. Default: where there is colour. */
  readonly markdown?: boolean;
  /** The terminal knows no escape sequences. Default: it does. */
  readonly dumb?: boolean;
  /** What the arrow keys bring back of earlier chats. Default: this chat alone. */
  readonly history?: ChatHistory | undefined;
  /** Where a conversation goes that Ctrl-C or the signal ended before it was saved. Default: it is gone. */
  readonly rescueFile?: string | undefined;
  /** Loads the model of `/model NAME`; the one before is not used afterwards. Default: there is one model. */
  readonly openModel?: (name: string, signal: AbortSignal) => Promise<ChatModel>;
  /** What Tab offers behind `/model`. */
  readonly modelNames?: readonly string[];
  /** Ends the chat, and the answer that is being written. */
  readonly signal?: AbortSignal;
}

/** How a chat ended: the input did (or `/exit`), or Ctrl-C or the signal cut it short. */
export type ChatEnd = 'ended' | 'interrupted';

/** How the chat samples a model whose generation_config.json recommends nothing. */
export const defaultSettings: Settings = { temperature: 0.7, minP: 0.1 };

/** How the chat samples a model: as its author recommends, with what was asked for in place of that. */
export function settingsFor({ recommendedSampling }: ChatModel, asked: Settings = {}): Settings {
  const own = Object.fromEntries(Object.entries(recommendedSampling ?? {}).filter(([key]) => findSetting(key)));
  return { ...(Object.keys(own).length > 0 ? own : defaultSettings), ...asked };
}

/** @throws RelufyError `tokenizer` for a model that has no chat template, with the way out. */
export function requireChatTemplate(model: ChatModel, title: string): void {
  if (!model.tokenizer?.hasChatTemplate)
    throw new RelufyError(
      'tokenizer',
      `chat: expected a model with a chat template, got "${title}", which has none: it continues texts. Use: relufy generate --model ${title} --prompt TEXT`,
    );
}

/**
 * @throws RelufyError when the model has no chat template, and, without a terminal, for a line that cannot be answered.
 */
export async function runChat(options: RunChatOptions): Promise<ChatEnd> {
  const { model, input, output, title = model.name, color = false, dumb = false, about } = options;
  requireChatTemplate(model, title);
  const interactive = input.isTTY === true && output.isTTY === true;
  const screen = new Screen({ ...options, interactive, color, markdown: (options.markdown ?? color) && !dumb });
  const chat = new Chat(options, title, screen);
  if (!interactive) return chat.run(plainReader(input), false);
  const lines = [`${title} · ${model.backend} · context ${model.contextLength} · /help lists commands`];
  screen.note([...lines, ...(about === undefined ? [] : [about])].join('\n'));
  const reader = terminalReader({
    input,
    output,
    prompt: screen.prompt,
    continuation: screen.continuation,
    interrupt: () => chat.interrupt(),
    complete: (line) => complete(line, options.modelNames ?? []),
    history: options.history,
    dumb,
  });
  return chat.run(reader, true);
}

class Chat {
  readonly #options: RunChatOptions;
  readonly #screen: Screen;
  readonly #conversation: Conversation;
  readonly #context: CommandContext & { title: string; defaults: Settings };
  #reader: LineReader | undefined;
  /** Of an answer that is being written, or a model that is being loaded. */
  #work: AbortController | undefined;
  #end: ChatEnd | undefined;
  #saidFull = false;
  #askedToLeave = false;

  constructor(options: RunChatOptions, title: string, screen: Screen) {
    this.#options = options;
    this.#screen = screen;
    const defaults = settingsFor(options.model, options.settings);
    this.#conversation = new Conversation(options.model, { system: options.system, settings: defaults });
    this.#context = {
      title,
      conversation: this.#conversation,
      defaults,
      say: (text) => this.#screen.note(text),
      exit: () => this.#quit('ended'),
      retry: () => this.#reply((answering) => this.#conversation.retry(answering)),
      changeModel: options.openModel && ((name) => this.#changeModel(name)),
      file: undefined,
      savedMessages: 0,
    };
  }

  async run(reader: LineReader, interactive: boolean): Promise<ChatEnd> {
    this.#reader = reader;
    const { signal } = this.#options;
    const quit = () => this.#quit('interrupted');
    signal?.addEventListener('abort', quit, { once: true });
    if (signal?.aborted) quit();
    try {
      while (this.#end === undefined) {
        const message = await reader.next();
        if (message === undefined || this.#end !== undefined) break;
        this.#askedToLeave = false;
        const { text } = message;
        if (text.trim() === '') continue;
        try {
          const command = commandOf(message);
          if (command !== undefined) await runCommand(command, this.#context);
          else await this.#reply((answering) => this.#conversation.answer(text, answering));
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
    // Ctrl-D and Ctrl-C leave the cursor after the prompt
    if (this.#end !== 'ended') this.#screen.leave();
    if (interactive && this.#end === 'interrupted') await this.#rescue();
    return this.#end ?? 'ended';
  }

  /** Ctrl-C is pressed in a hurry: what was said is not lost with it. */
  async #rescue(): Promise<void> {
    const { rescueFile: file } = this.#options;
    const { messages } = this.#conversation;
    if (
      file === undefined ||
      messages.length === this.#context.savedMessages ||
      !messages.some(({ role }) => role !== 'system')
    )
      return;
    try {
      await saveChat(file, { model: this.#context.title, messages }, 0o600);
      this.#screen.note(`The conversation is kept: /load ${file} goes on with it.`);
    } catch (error) {
      if (!RelufyError.is(error)) throw error;
      this.#screen.complain(error.message);
    }
  }

  /**
   * Ctrl-C with nothing typed: stops the answer, or ends the chat when it has been stopped already. At the prompt it
   * asks first, for the conversation would be gone.
   */
  interrupt(): void {
    if (this.#work !== undefined && !this.#work.signal.aborted) this.#work.abort();
    else if (this.#work !== undefined || this.#askedToLeave) this.#quit('interrupted');
    else {
      this.#askedToLeave = true;
      this.#screen.leave();
      const hasTurns = this.#conversation.messages.some(({ role }) => role !== 'system');
      this.#screen.note(`Ctrl-C again leaves${hasTurns ? '; /save keeps the conversation' : ''}.`);
      this.#reader?.redraw();
    }
  }

  #quit(end: ChatEnd): void {
    this.#end ??= end;
    this.#work?.abort();
    this.#reader?.close();
  }

  async #changeModel(name: string): Promise<void> {
    const { openModel } = this.#options;
    this.#work = new AbortController();
    const { signal } = this.#work;
    try {
      const model = await openModel?.(name, signal);
      if (model === undefined) return;
      this.#conversation.model = model;
      this.#takeDefaults(settingsFor(model, this.#options.settings));
      this.#context.title = name;
      this.#screen.note(`${name} · ${model.backend} · context ${model.contextLength}`);
    } catch (error) {
      if (!signal.aborted) throw error;
      this.#screen.status('stopped');
    } finally {
      this.#work = undefined;
    }
  }

  /** Settings of the model before give way to the next one's; what was set by hand stays. */
  #takeDefaults(next: Settings): void {
    const before = this.#context.defaults;
    const settings: Record<string, number> = { ...next };
    for (const { key } of settingTable) {
      const value = this.#conversation.settings[key];
      if (value === before[key]) continue;
      if (value === undefined) delete settings[key];
      else settings[key] = value;
    }
    this.#conversation.settings = settings;
    this.#context.defaults = next;
  }

  async #reply(answer: (options: AnswerOptions) => Promise<Answer>): Promise<void> {
    const { settings } = this.#conversation;
    this.#work = new AbortController();
    try {
      const { result, droppedMessages, wentOn } = await answer({
        signal: this.#work.signal,
        onText: (text) => this.#screen.text(text),
      });
      this.#screen.endText();
      if (this.#end !== undefined) return;
      this.#screen.status(result === undefined ? 'stopped' : describeAnswer(result, settings.maxNewTokens));
      if ((droppedMessages > 0 || wentOn) && !this.#saidFull) {
        this.#saidFull = true;
        const rest = wentOn ? ' The answer went on.' : '';
        this.#screen.note(
          `The context is full: its beginning and its end stay, the middle is forgotten from here on.${rest} /reset starts anew.`,
        );
      }
    } finally {
      this.#work = undefined;
    }
  }
}

/** No further answer can succeed. An `io` error of a command (/load of a file that is not there) is none of those. */
function isFatal({ code }: RelufyError): boolean {
  return code === 'backend' || code === 'state';
}
