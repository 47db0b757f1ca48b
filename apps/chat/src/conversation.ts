// A conversation with a model: the system message, the turns, and answering the next one. When the context is full the
// oldest turns go, the system message stays. Knows nothing of terminals: a web page or a server can hold one as well.
// Does not own templates (tokenizer) or generation (models).
import type { ChatMessage, GenerateOptions, GenerateResult, ModelStats, Piece } from '@relufy/models';
import type { Settings } from './settings.js';

/** What a conversation needs of a model; `Model` has it all. */
export interface ChatModel {
  readonly name: string;
  readonly backend: string;
  readonly contextLength: number;
  readonly memoryBytes: number;
  readonly tokenizer:
    | {
        readonly hasChatTemplate: boolean;
        encodeChat(messages: readonly ChatMessage[], options: { readonly addGenerationPrompt: boolean }): number[];
      }
    | undefined;
  generate(
    messages: readonly ChatMessage[],
    options: GenerateOptions,
  ): AsyncIterable<Piece> & { readonly result: Promise<GenerateResult> };
  stats(): ModelStats;
}

export interface AnswerOptions {
  /** Stops the answer; what there is of it stays in the conversation. */
  readonly signal?: AbortSignal;
  /** Hears the text as it comes. A promise holds up the next piece, not the model. */
  readonly onText?: (text: string) => void | Promise<void>;
}

export interface Answer {
  /** undefined: it was stopped before its first token. */
  readonly result: GenerateResult | undefined;
  /** Old messages that went to make room. */
  readonly droppedMessages: number;
}

/** A user's message and what was answered. */
type Turn = readonly ChatMessage[];

export class Conversation {
  /** Said to the model before everything else; undefined: nothing. */
  system: string | undefined;
  /** Of the answers to come. */
  settings: Settings;
  readonly #model: ChatModel;
  #turns: Turn[] = [];

  constructor(model: ChatModel, start: { readonly system?: string | undefined; readonly settings?: Settings } = {}) {
    this.#model = model;
    this.system = start.system;
    this.settings = start.settings ?? {};
  }

  get messages(): readonly ChatMessage[] {
    return this.#messagesOf(this.#turns);
  }

  /** Tokens that the conversation takes of the context. */
  get tokenCount(): number {
    return this.#turns.length === 0 ? 0 : this.#count(this.#turns, false);
  }

  /** Forgets the turns; system message and settings stay. */
  reset(): void {
    this.#turns = [];
  }

  /**
   * Answers a message of the user. If that fails, the message is not part of the conversation.
   * @throws RelufyError for settings that do not fit or a message that is longer than the context.
   */
  async answer(text: string, { signal, onText }: AnswerOptions = {}): Promise<Answer> {
    const question: Turn = [{ role: 'user', content: text }];
    const kept = this.#turnsThatFit(question);
    const droppedMessages = this.#turns.slice(0, this.#turns.length - kept.length).flat().length;
    const stream = this.#model.generate(this.#messagesOf([...kept, question]), {
      ...this.settings,
      ...(signal && { signal, onAbort: 'return' }),
    });
    let result: GenerateResult;
    try {
      for await (const piece of stream) if (piece.text !== '') await onText?.(piece.text);
      result = await stream.result;
    } catch (error) {
      // an abort within the prompt has nothing to return
      if (signal?.aborted && error === signal.reason) return { result: undefined, droppedMessages: 0 };
      throw error;
    }
    const stoppedAtOnce = result.finishReason === 'abort' && result.text === '';
    this.#turns = stoppedAtOnce ? kept : [...kept, [...question, { role: 'assistant', content: result.text }]];
    return { result, droppedMessages };
  }

  /** The newest turns that leave room for the question and an answer. */
  #turnsThatFit(question: Turn): Turn[] {
    const { contextLength } = this.#model;
    const answerRoom = Math.min(this.settings.maxNewTokens ?? contextLength, Math.floor(contextLength / 4));
    const kept = [...this.#turns];
    while (kept.length > 0 && this.#count([...kept, question], true) + answerRoom > contextLength) kept.shift();
    return kept;
  }

  #count(turns: readonly Turn[], addGenerationPrompt: boolean): number {
    return this.#model.tokenizer?.encodeChat(this.#messagesOf(turns), { addGenerationPrompt }).length ?? 0;
  }

  #messagesOf(turns: readonly Turn[]): ChatMessage[] {
    const system = this.system === undefined ? [] : [{ role: 'system', content: this.system }];
    return [...system, ...turns.flat()];
  }
}
