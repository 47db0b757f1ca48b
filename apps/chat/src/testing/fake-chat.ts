// A model and streams for tests: the model answers from a list, one word a token, and counts words as tokens.
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
  const model: FakeModel = {
    name: 'fake',
    backend: 'by hand',
    memoryBytes: 1000,
    contextLength: 1000,
    hasChatTemplate: true,
    calls: [],
    failure: undefined,
    afterPiece: () => {},
    get tokenizer() {
      return {
        hasChatTemplate: model.hasChatTemplate,
        encodeChat: (messages: readonly ChatMessage[]) => words(messages).map((_, id) => id),
      };
    },
    stats: () => stats,
    generate(messages, options) {
      const answer = answers[Math.min(model.calls.length, answers.length - 1)] ?? '';
      model.calls.push({ messages: structuredClone(messages), options });
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
        for (const piece of answer.split(/(?<= )/)) {
          await new Promise(setImmediate);
          if (options.signal?.aborted) break;
          text += piece;
          tokenIds.push(tokenIds.length);
          yield { tokenId: tokenIds.length, text: piece };
          model.afterPiece();
        }
        finish({
          text,
          tokenIds,
          finishReason: options.signal?.aborted ? 'abort' : 'stop',
          usage: { promptTokens: words(messages).length, cachedTokens: 0, completionTokens: tokenIds.length },
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
  readonly type: (text: string) => void;
  /** Resolves when the output holds the text. */
  readonly sees: (text: string) => Promise<void>;
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
  return {
    ended: runChat({ model, input, output, error, ...others }),
    output: () => written.output,
    error: () => written.error,
    type: (text) => input.write(text),
    endInput: () => input.end(),
    breakInput: (error) => input.destroy(error),
    sees: async (text) => {
      const deadline = performance.now() + 5000;
      while (!written.output.includes(text)) {
        if (performance.now() > deadline) throw new Error(`never wrote ${JSON.stringify(text)}: ${written.output}`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
  };
}
