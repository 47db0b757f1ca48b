// A run small enough for the reference executor: a tokenizer of 300 tokens, stories of a few words, a Llama of two layers.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { trainTokenizer } from '../train-tokenizer.js';

const animals = ['fox', 'bear', 'owl', 'frog', 'hen'];
const stories = Array.from({ length: 60 }, (_, i) => {
  const [who, whom] = [animals[i % 5], animals[(i * 3 + 1) % 5]];
  return `The ${who} met the ${whom}. They sat by the old tree and ate. The ${whom} was glad.`;
});

const template =
  "{% for m in messages %}{{ '<user>' if m.role == 'user' else '<bot>' }}{{ m.content }}{% if m.role != 'user' %}<end>{% endif %}{% endfor %}{% if add_generation_prompt %}<bot>{% endif %}";

export interface TinyRun {
  readonly folder: string;
  /** The config of a run that writes into `out`. */
  config(out: string, changes?: Readonly<Record<string, unknown>>): Record<string, unknown>;
}

export const tinyModel = {
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  vocab_size: 300,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
  tie_word_embeddings: true,
};

/** Writes tokenizer and data into a folder. */
export async function tinyRun(folder: string): Promise<TinyRun> {
  const tokenizer = join(folder, 'tokenizer');
  mkdirSync(tokenizer, { recursive: true });
  const specialTokens = ['<s>', '<user>', '<bot>', '<end>'];
  const json = await trainTokenizer(stories, { vocabSize: 300, specialTokens, bosToken: '<s>' });
  writeFileSync(join(tokenizer, 'tokenizer.json'), JSON.stringify(json));
  const special = { bos_token: '<s>', eos_token: '<end>', chat_template: template };
  writeFileSync(join(tokenizer, 'tokenizer_config.json'), JSON.stringify(special));
  writeFileSync(join(folder, 'stories.txt'), stories.join('\n---\n'));
  const pairs = stories.map((answer, i) => JSON.stringify({ prompt: `Tell of the ${animals[i % 5]}.`, answer }));
  writeFileSync(join(folder, 'pairs.jsonl'), pairs.join('\n'));
  return {
    folder,
    config: (out, changes = {}) => ({
      model: { config: tinyModel, tokenizer },
      data: [{ path: join(folder, 'stories.txt'), separator: '---' }],
      contextLength: 12,
      batchSize: 2,
      steps: 6,
      optimizer: { learningRate: 1e-2, warmupSteps: 2 },
      checkpoint: { every: 3 },
      seed: 7,
      out,
      ...changes,
    }),
  };
}
