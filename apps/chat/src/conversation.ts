// A conversation with a model: the system message, the turns, and answering the next one. When the context is full the
// beginning stays, the middle is not shown to the model any more, and an answer that is being written goes on; nothing
// of it is lost to people. Knows nothing of terminals: a web page or a server can hold one as well.
// Does not own templates (tokenizer), generation (models) or which turns go (context-window.ts).
import {
  type ChatMessage,
  type GenerateOptions,
  type GenerateResult,
  type ModelStats,
  type Piece,
  RelufyError,
} from '@relufy/models';
import {
  endOfTurn,
  type Forgotten,
  leastForgotten,
  nothingForgotten,
  remembered,
  type Turn,
} from './context-window.js';
import { mergeResults } from './merge-results.js';
import type { Settings } from './settings.js';

/** What a conversation needs of a model; `Model` has it all. */
export interface ChatModel {
  readonly name: string;
  readonly backend: string;
  readonly contextLength: number;
  readonly memoryBytes: number;
  /** How its author samples. */
  readonly recommendedSampling?: GenerateOptions;
  readonly tokenizer:
    | {
        readonly hasChatTemplate: boolean;
        encodeChat(messages: readonly ChatMessage[], options: { readonly addGenerationPrompt: boolean }): number[];
        decode?(ids: readonly number[], options: { readonly skipSpecialTokens: boolean }): string;
      }
    | undefined;
  /** Of messages, or of token ids when an answer goes on. */
  generate(
    prompt: readonly ChatMessage[] | readonly number[],
    options: GenerateOptions,
  ): AsyncIterable<Piece> & { readonly result: Promise<GenerateResult> };
  stats(): ModelStats;
}

export interface AnswerOptions {
  /** Stops the answer; what there is of it stays in the conversation. */
  readonly signal?: AbortSignal;
  /** Hears the text as it comes. A promise holds up the next piece, not the model. */
  readonly onText?: (text: string) => unknown;
}

export interface Answer {
  /** undefined: it was stopped before its first token. */
  readonly result: GenerateResult | undefined;
  /** Messages that the model does not see any more, from this answer on. */
  readonly droppedMessages: number;
  /** The context was full while the answer was written, and it went on. */
  readonly wentOn: boolean;
}

export class Conversation {
  /** Answers; another one may take over between two answers. */
  model: ChatModel;
  /** Said to the model before everything else; undefined: nothing. */
  system: string | undefined;
  /** Of the answers to come. */
  settings: Settings;
  #turns: readonly Turn[] = [];
  #forgotten = nothingForgotten;
  #retries = 0;
  #lastResult: GenerateResult | undefined;

  constructor(model: ChatModel, start: { readonly system?: string | undefined; readonly settings?: Settings } = {}) {
    this.model = model;
    this.system = start.system;
    this.settings = start.settings ?? {};
  }

  /** All that was said, what the model has forgotten included. */
  get messages(): readonly ChatMessage[] {
    return this.#messagesOf(this.#turns);
  }

  /** Tokens that the conversation takes of the context. */
  get tokenCount(): number {
    return this.#turns.length === 0 ? 0 : this.#count(remembered(this.#turns, this.#forgotten), false);
  }

  /** Messages that the model does not see any more. */
  get forgottenMessages(): number {
    return this.forgottenPlaces.length;
  }

  /** The same by their places in the conversation, counted from 0 without the system message. */
  get forgottenPlaces(): readonly number[] {
    const seen = new Set(remembered(this.#turns, this.#forgotten).flat());
    return this.#turns.flat().flatMap((message, at) => (seen.has(message) ? [] : [at]));
  }

  /** Of the newest answer. */
  get lastResult(): GenerateResult | undefined {
    return this.#lastResult;
  }

  /** Forgets the turns; system message and settings stay. */
  reset(): void {
    this.#take([]);
  }

  /** Takes the newest turn back, and gives its messages; undefined when there is none. */
  undo(): readonly ChatMessage[] | undefined {
    const turn = this.#turns.at(-1);
    if (turn !== undefined) this.#take(this.#turns.slice(0, -1));
    return turn;
  }

  /** Goes on from messages of before, in place of what is here. A system message among them is taken too. */
  load(messages: readonly ChatMessage[]): void {
    const system = messages[0]?.role === 'system' ? messages[0] : undefined;
    const turns: ChatMessage[][] = [];
    for (const message of system ? messages.slice(1) : messages) {
      if (message.role === 'user' || turns.length === 0) turns.push([]);
      turns.at(-1)?.push(message);
    }
    this.system = system === undefined ? undefined : String(system.content);
    this.#take(turns);
  }

  /**
   * Answers a message of the user. If that fails, the message is not part of the conversation.
   * @throws RelufyError for settings that do not fit or a message that is longer than the context.
   */
  async answer(text: string, options: AnswerOptions = {}): Promise<Answer> {
    this.#retries = 0;
    return this.#answer(this.#turns, { role: 'user', content: text }, options);
  }

  /**
   * Answers the newest message once more, in place of the answer that it has; with a seed, by the one that follows.
   * @throws RelufyError `state` when there is no message yet.
   */
  async retry(options: AnswerOptions = {}): Promise<Answer> {
    const turn = this.#turns.at(-1);
    const question = turn?.find(({ role }) => role === 'user');
    if (question === undefined)
      throw new RelufyError('option', 'retry: expected a message that can be answered again, got none. Write one.');
    this.#retries++;
    return this.#answer(this.#turns.slice(0, -1), question, options);
  }

  async #answer(turns: readonly Turn[], message: ChatMessage, { signal, onText }: AnswerOptions): Promise<Answer> {
    const { contextLength } = this.model;
    const question: Turn = [message];
    this.#refuseTooLong(question);
    const answerRoom = Math.min(this.settings.maxNewTokens ?? contextLength, Math.floor(contextLength / 4));
    const before = this.#forgotten;
    const fits = (kept: readonly Turn[]) => this.#count([...kept, question], true) + answerRoom <= contextLength;
    const seen = leastForgotten(turns, before, fits);
    // where the newest turn would go as well, the end of its answer stays: the question may be about it
    const newest = turns.at(-1);
    const kept = remembered(turns, seen);
    const end =
      newest === undefined || kept.at(-1) === newest
        ? undefined
        : endOfTurn(newest, (shorter) => fits([...kept, shorter]));
    const prompt = this.#messagesOf([...kept, ...(end === undefined ? [] : [end]), question]);
    const written = await this.#write(turns, question, seen, prompt, signal, onText);
    if (written === undefined) return { result: undefined, droppedMessages: 0, wentOn: false };
    const { result, forgotten, wentOn } = written;
    if (!(result.finishReason === 'abort' && result.text === '')) {
      this.#turns = [...turns, [...question, { role: 'assistant', content: result.text }]];
      this.#lastResult = result;
    }
    this.#forgotten = forgotten;
    const count = (of: Forgotten) => turns.flat().length - remembered(turns, of).flat().length;
    return { result, droppedMessages: Math.max(0, count(forgotten) - count(before)), wentOn };
  }

  /** The answer, in as many parts as full contexts make of it; undefined: stopped before its first token. */
  async #write(
    turns: readonly Turn[],
    question: Turn,
    seen: Forgotten,
    begin: readonly ChatMessage[],
    signal: AbortSignal | undefined,
    onText: AnswerOptions['onText'],
  ): Promise<{ result: GenerateResult; forgotten: Forgotten; wentOn: boolean } | undefined> {
    const limit = this.settings.maxNewTokens ?? this.model.contextLength;
    const parts: GenerateResult[] = [];
    let [text, ids, forgotten]: [string, readonly number[], Forgotten] = ['', [], seen];
    let prompt: readonly ChatMessage[] | readonly number[] = begin;
    for (;;) {
      const seed = this.settings.seed;
      const stream = this.model.generate(prompt, {
        ...this.settings,
        ...(seed !== undefined && { seed: seed + this.#retries + parts.length }),
        ...(parts.length > 0 && { maxNewTokens: limit - ids.length }),
        ...(signal && { signal, onAbort: 'return' }),
      });
      const seam = this.#seam(ids);
      try {
        for await (const piece of stream) {
          const own = seam(piece);
          text += own;
          if (own !== '') await onText?.(own);
        }
        parts.push(await stream.result);
      } catch (error) {
        // an abort within the prompt has nothing to return
        const aborted = signal?.aborted && error === signal.reason;
        if (!aborted) throw error;
        const last = parts.pop();
        if (last === undefined) return undefined;
        const stopped: GenerateResult = { ...last, finishReason: 'abort' };
        return { result: mergeResults([...parts, stopped], text), forgotten, wentOn: true };
      }
      const part = parts.at(-1) as GenerateResult;
      ids = [...ids, ...part.tokenIds];
      const full = part.finishReason === 'length' && part.tokenIds.length > 0 && ids.length < limit;
      const room = full ? this.#makeRoom(turns, question, forgotten, ids) : undefined;
      if (room === undefined) return { result: mergeResults(parts, text), forgotten, wentOn: parts.length > 1 };
      ({ prompt, forgotten } = room);
    }
  }

  /**
   * A prompt for an answer to go on: the beginning, the question, and as much of the answer's end as leaves a quarter of
   * the context. Undefined where the question alone takes the context.
   */
  #makeRoom(
    turns: readonly Turn[],
    question: Turn,
    already: Forgotten,
    answer: readonly number[],
  ): { readonly prompt: readonly number[]; readonly forgotten: Forgotten } | undefined {
    const { contextLength } = this.model;
    const room = Math.max(1, Math.floor(contextLength / 4));
    const headOf = (kept: readonly Turn[]) => this.#encode([...kept, question], true);
    // of the answer at least an eighth of the context stays, or it would lose its thread
    const spaceBehind = (kept: readonly Turn[]) => contextLength - room - headOf(kept).length;
    const least = Math.min(answer.length, Math.ceil(contextLength / 8));
    let forgotten = leastForgotten(turns, already, (kept) => spaceBehind(kept) >= answer.length);
    if (forgotten.first && !already.first) {
      // the whole answer never fits: then its middle goes, and the first turn stays if there is room
      const firstOnly: Forgotten = { first: false, middle: Math.max(0, turns.length - 1) };
      if (spaceBehind(remembered(turns, firstOnly)) >= least) forgotten = firstOnly;
    }
    const kept = remembered(turns, forgotten);
    const space = spaceBehind(kept);
    if (space < least || space < 1) return undefined;
    return { prompt: [...headOf(kept), ...answer.slice(-space)], forgotten };
  }

  /**
   * What pieces behind `before` add to the text. The first one of a part is decoded together with what stands before it:
   * alone, some decoders would take its space for the beginning of a text.
   */
  #seam(before: readonly number[]): (piece: Piece) => string {
    const tokenizer = this.model.tokenizer;
    const last = before.slice(-4);
    const options = { skipSpecialTokens: true } as const;
    const fresh: number[] = [];
    let open = last.length > 0 && tokenizer?.decode !== undefined;
    return ({ tokenId, text }) => {
      if (!open) return text;
      fresh.push(tokenId);
      if (text === '') return '';
      open = false;
      const [start, whole] = [last, [...last, ...fresh]].map((ids) => tokenizer?.decode?.(ids, options) ?? '');
      const rest = whole?.startsWith(start as string) ? whole.slice(start?.length) : text;
      return rest.trim() === text.trim() ? rest : text;
    };
  }

  #refuseTooLong(question: Turn): void {
    const { contextLength } = this.model;
    const tokens = this.#count([question], true);
    if (tokens <= contextLength) return;
    const system = this.system === undefined ? 0 : tokens - this.#countWithoutSystem(question);
    const hint = system > contextLength / 4 ? ` ${system} of them are the system message.` : '';
    throw new RelufyError(
      'input',
      `Your message is too long: ${tokens} tokens, this model holds ${contextLength}.${hint}`,
    );
  }

  #take(turns: readonly Turn[]): void {
    this.#turns = turns;
    this.#forgotten = nothingForgotten;
    this.#retries = 0;
  }

  #countWithoutSystem(turn: Turn): number {
    return this.model.tokenizer?.encodeChat([...turn], { addGenerationPrompt: true }).length ?? 0;
  }

  #count(turns: readonly Turn[], addGenerationPrompt: boolean): number {
    return this.#encode(turns, addGenerationPrompt).length;
  }

  #encode(turns: readonly Turn[], addGenerationPrompt: boolean): readonly number[] {
    return this.model.tokenizer?.encodeChat(this.#messagesOf(turns), { addGenerationPrompt }) ?? [];
  }

  #messagesOf(turns: readonly Turn[]): ChatMessage[] {
    const system: ChatMessage[] = this.system === undefined ? [] : [{ role: 'system', content: this.system }];
    return [...system, ...turns.flat()];
  }
}
