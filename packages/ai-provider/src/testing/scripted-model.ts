// A model that says what a test wants, a few letters a token, and keeps what it was asked: for answers that no small model
// gives reliably, such as calls of tools. Everything around it is the real thing.
import type { GenerateOptions, GenerateResult, Piece } from '@relufy/models';
import type { ProvidedModel } from '../provided-model.js';

export interface ScriptedModel extends ProvidedModel {
  /** What each call was asked: the rendered prompt, and the options. */
  readonly asked: { prompt: string; options: GenerateOptions }[];
}

/** `answers`: one a call. `template`: of its chats. */
export function scriptedModel(
  answers: readonly string[],
  {
    template = (messages: readonly { role: string; content?: unknown }[], tools: readonly unknown[] = []) =>
      `${tools.length > 0 ? `[tools ${JSON.stringify(tools)}]` : ''}${messages.map(({ role, content }) => `<${role}>${content ?? ''}`).join('')}<assistant>`,
  } = {},
): ScriptedModel {
  const waiting = [...answers];
  const asked: ScriptedModel['asked'] = [];
  return {
    name: 'scripted',
    backend: 'a script',
    contextLength: 4096,
    recommendedSampling: {},
    spec: { numHiddenLayers: 1 },
    asked,
    tokenizer: {
      hasChatTemplate: true,
      applyChatTemplate: (messages, options) => template(messages, options?.tools as readonly unknown[] | undefined),
      encode: (text) => [...text].map((letter) => letter.codePointAt(0) as number),
    },
    encode: async (text) => [...text].map((letter) => letter.codePointAt(0) as number),
    forward: async () => {
      throw new Error('internal: not scripted');
    },
    dispose: async () => {},
    generate(prompt, options = {}) {
      asked.push({ prompt: String.fromCodePoint(...(prompt as readonly number[])), options });
      const text = waiting.shift() ?? '';
      const said: Piece[] = (text.match(/[\s\S]{1,3}/g) ?? []).map((piece) => ({ tokenId: 0, text: piece }));
      const result = (heard: number, finishReason: GenerateResult['finishReason']): GenerateResult => ({
        text,
        tokenIds: said.slice(0, heard).map(() => 0),
        finishReason,
        usage: { promptTokens: (prompt as readonly number[]).length, cachedTokens: 2, completionTokens: heard },
        stats: {
          prefill: { tokens: 1, ms: 1, tokensPerSecond: 1000 },
          decode: { tokens: heard, ms: heard, tokensPerSecond: 1000 },
          tokensPerSecond: 1000,
          weightBytesPerToken: 50,
          denseWeightBytesPerToken: 100,
          density: { qkv: [], o: [], upGate: [], up: [], down: [0.5] },
        },
        seed: options.seed ?? 1,
      });
      let settle: (result: GenerateResult) => void = () => {};
      const settled = new Promise<GenerateResult>((resolve) => {
        settle = resolve;
      });
      const read = async function* (): AsyncGenerator<Piece, void> {
        for (const [at, piece] of said.entries()) {
          await new Promise((resolve) => setTimeout(resolve, 0));
          if (options.signal?.aborted) return settle(result(at, 'abort'));
          yield piece;
        }
        settle(
          result(said.length, said.length >= (options.maxNewTokens ?? Number.POSITIVE_INFINITY) ? 'length' : 'stop'),
        );
      };
      return { result: settled, [Symbol.asyncIterator]: read } as unknown as ReturnType<ProvidedModel['generate']>;
    },
  };
}
