// A model and streams for tests: the model answers from a list, one word a token, counts words as tokens, and ends at its
// context; a prompt of ids goes on with the answer where it was cut.
import { PassThrough } from 'node:stream';
import type { ChatMessage, GenerateOptions, GenerateResult, ModelStats, Piece } from '@relufy/models';
import type { ChatModel } from '../conversation.js';
import { type ChatEnd, type RunChatOptions, runChat } from '../run-chat.js';

export const stats: ModelStats = {
  prefill: { tokens: 10, ms: 10, tokensPerSecond: 1000 },
  decode: { tokens: 2, ms: 10, tokensPerSecond: 200 },
  tokensPerSecond: 200,
  weightBytesPerToken: 10_200_000,
  denseWeightBytesPerToken: 17_800_000,
  density: { qkv: [1, 1], o: [1, 1], upGate: [1, 1], up: [0.2, 0.04], down: [0.1, 0.02] },
};

export interface FakeModel extends ChatModel {
  /** What `generate` was called with. */
  readonly calls: { readonly messages: readonly ChatMessage[]; readonly options: GenerateOptions }[];
  /** The lengths of prompts that were ids: answers that went on. */
  readonly wentOnWith: number[];
  contextLength: number;
  hasChatTemplate: boolean;
  /** Thrown by the next call. */
  failure: Error | undefined;
  /** Called after each piece. */
  afterPiece: () => void;
}

/** Answers the n-th call with the n-th text, the last one for ever. */
export function fakeModel(...answers: readonly string[]): FakeModel {
  const words = (messages: readonly ChatMessage[]) => messages.flatMap(({ content }) => String(content).split(' '));
  let answerLeft: string[] = [];
  const model: FakeModel = {
    name: 'fake',
    backend: 'by hand',
    memoryBytes: 1000,
    contextLength: 1000,
    hasChatTemplate: true,
    calls: [],
    wentOnWith: [],
    failure: undefined,
    afterPiece: () => {},
    get tokenizer() {
      return {
        hasChatTemplate: model.hasChatTemplate,
        encodeChat: (messages: readonly ChatMessage[]) => words(messages).map((_, id) => id),
      };
    },
    stats: () => stats,
    generate(prompt, options) {
      const isIds = typeof prompt[0] === 'number';
      const messages = isIds ? [] : (prompt as readonly ChatMessage[]);
      if (isIds) model.wentOnWith.push(prompt.length);
      else {
        answerLeft = [...(answers[Math.min(model.calls.length, answers.length - 1)] ?? '').split(/(?<= )/)];
        model.calls.push({ messages: structuredClone(messages), options });
      }
      const promptTokens = isIds ? prompt.length : words(messages).length;
      const room = Math.min(options.maxNewTokens ?? Number.POSITIVE_INFINITY, model.contextLength - promptTokens + 1);
      let finish: (result: GenerateResult) => void = () => {};
      const result = new Promise<GenerateResult>((resolve) => {
        finish = resolve;
      });
      async function* pieces(): AsyncGenerator<Piece> {
        const failure = model.failure;
        model.failure = undefined;
        if (failure !== undefined) throw failure;
        let text = '';
        const tokenIds: number[] = [];
        while (answerLeft.length > 0 && tokenIds.length < room) {
          await new Promise(setImmediate);
          if (options.signal?.aborted) break;
          const piece = answerLeft.shift() as string;
          text += piece;
          tokenIds.push(tokenIds.length);
          yield { tokenId: tokenIds.length, text: piece };
          model.afterPiece();
        }
        finish({
          text,
          tokenIds,
          finishReason: options.signal?.aborted ? 'abort' : answerLeft.length > 0 ? 'length' : 'stop',
          usage: { promptTokens, cachedTokens: 0, completionTokens: tokenIds.length },
          stats,
          seed: 1,
        });
      }
      return Object.assign(pieces(), { result });
    },
  };
  return model;
}

export interface Typist {
  readonly ended: Promise<ChatEnd>;
  readonly output: () => string;
  readonly error: () => string;
  readonly type: (text: string | Uint8Array) => void;
  /** Resolves when the output holds the text. */
  readonly sees: (text: string) => Promise<void>;
  /** Resolves when the last that was written is the prompt of a terminal: it waits for a line. */
  readonly asks: () => Promise<void>;
  readonly endInput: () => void;
  readonly breakInput: (error: Error) => void;
}

/** A chat over streams in memory, at a terminal of 80 columns or in a pipe. */
export function startChat(model: ChatModel, options: Partial<RunChatOptions> & { readonly terminal: boolean }): Typist {
  const { terminal, ...others } = options;
  const [input, output, error] = [new PassThrough(), new PassThrough(), new PassThrough()];
  if (terminal) {
    Object.assign(input, { isTTY: true });
    Object.assign(output, { isTTY: true, columns: 80 });
  }
  const written = { output: '', error: '' };
  output.on('data', (chunk) => {
    written.output += chunk;
  });
  error.on('data', (chunk) => {
    written.error += chunk;
  });
  const until = async (what: string, fits: () => boolean): Promise<void> => {
    const deadline = performance.now() + 20_000;
    while (!fits()) {
      if (performance.now() > deadline) throw new Error(`never wrote ${what}: ${written.output}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  return {
    ended: runChat({ model, input, output, error, ...others }),
    output: () => written.output,
    error: () => written.error,
    type: (text) => input.write(text),
    endInput: () => input.end(),
    breakInput: (error) => input.destroy(error),
    sees: (text) => until(JSON.stringify(text), () => written.output.includes(text)),
    asks: () => until('a prompt', () => written.output.endsWith('> \u001b[3G')),
  };
}
