// A folder with a tiny random Llama and a byte-level tokenizer of ten tokens, in memory; any file of it may be another.
// And its way to GGUF.
import { type ModelFiles, memoryFiles, streamGguf } from '@relufy/checkpoint';
import { randomModel } from './random-model.js';

export const tinyConfig = {
  model_type: 'llama',
  hidden_size: 32,
  intermediate_size: 32,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  vocab_size: 40,
  max_position_embeddings: 32,
  hidden_act: 'relu',
};

export const byteLevel = {
  added_tokens: [
    { id: 8, content: '<s>', special: true, normalized: false },
    { id: 9, content: '</s>', special: true, normalized: false },
  ],
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
  post_processor: null,
  decoder: { type: 'ByteLevel' },
  model: {
    type: 'BPE',
    vocab: { a: 0, b: 1, c: 2, Ġ: 3, ab: 4, Ġa: 5, '1': 6, '<': 7 },
    merges: ['a b', 'Ġ a'],
  },
};
export const tinyTokenizerConfig = {
  bos_token: '<s>',
  eos_token: '</s>',
  chat_template: '{{ bos_token }}a{{ eos_token }}',
};

/** Texts of files, or values that become JSON; `null` takes a file away. */
export type Changes = Readonly<Record<string, unknown>>;

export async function tinyFolder(changes: Changes = {}): Promise<ModelFiles> {
  const files = await randomModel(tinyConfig);
  const texts: Changes = {
    'config.json': tinyConfig,
    'tokenizer.json': byteLevel,
    'tokenizer_config.json': tinyTokenizerConfig,
    ...changes,
  };
  const given = Object.entries(texts).filter(([, value]) => value !== null);
  const source = await files.open('model.safetensors');
  return memoryFiles('tiny', {
    'model.safetensors': (await source?.read(0, source.size)) as Uint8Array,
    ...Object.fromEntries(given.map(([name, v]) => [name, typeof v === 'string' ? v : JSON.stringify(v)])),
  });
}

export async function toGguf(files: ModelFiles): Promise<ModelFiles> {
  const pieces: Uint8Array[] = [];
  for await (const piece of streamGguf(files, { type: 'f32' })) pieces.push(piece.slice());
  return memoryFiles('exported', { 'model.gguf': new Uint8Array(Buffer.concat(pieces)) });
}
