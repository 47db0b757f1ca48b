// A model that says what a test wants, a few letters a token, and keeps what it was asked: for answers that no small model
// gives reliably, such as calls of tools. The rest of it is the bundled model, with a chat template of the test's choice.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { modelUrl } from '@relufy/llama-tales';
import type { GenerateOptions, GenerateResult, Model, Piece } from '@relufy/models';
import { createTokenizer } from '@relufy/tokenizer';
import type { ProvidedModel } from '../provided-model.js';

export interface ScriptedModel extends ProvidedModel {
  /** What each call was asked: the rendered prompt, and the options. */
  readonly asked: { prompt: string; options: GenerateOptions }[];
}

/** As Qwen's and Hermes's: with a place for tools, and for thoughts. */
export const withTools =
  '{% if tools %}[tools {{ tools | tojson }}]{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}<|im_start|>assistant\n{# <tool_call> <think></think> #}';
export const withoutTools = '{% for m in messages %}{{ m.content }}\n{% endfor %}';

/** `answers`: one a call. */
export function scriptedModel(answers: readonly string[], template = withTools): ScriptedModel {
  const waiting = [...answers];
  const asked: ScriptedModel['asked'] = [];
  const tokenizer = createTokenizer({
    name: 'scripted',
    tokenizerJson: readFileSync(fileURLToPath(new URL('tokenizer.json', modelUrl)), 'utf8'),
    tokenizerConfig: JSON.stringify({ chat_template: template }),
  });
  const model: Pick<
    Model,
    | 'name'
    | 'backend'
    | 'contextLength'
    | 'recommendedSampling'
    | 'tokenizer'
    | 'decode'
    | 'encode'
    | 'generate'
    | 'dispose'
    | 'forward'
  > & { spec: object; asked: ScriptedModel['asked'] } = {
    name: 'scripted',
    backend: 'a script',
    contextLength: 4096,
    recommendedSampling: {},
    spec: { numHiddenLayers: 1, vocabSize: 4096, maxPositionEmbeddings: 4096 },
    asked,
    tokenizer,
    decode: (ids) => tokenizer.decode([...ids]),
    encode: async (text) => tokenizer.encode(text),
    forward: async () => {
      throw new Error('internal: not scripted');
    },
    dispose: async () => {},
    generate(prompt, options = {}) {
      asked.push({ prompt: tokenizer.decode([...(prompt as readonly number[])]), options });
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
      return { result: settled, [Symbol.asyncIterator]: read } as unknown as ReturnType<Model['generate']>;
    },
  };
  return model as unknown as ScriptedModel;
}
