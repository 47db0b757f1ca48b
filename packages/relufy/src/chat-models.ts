// Small public models to chat with: what they are called on the hub, and how large they are, counted from the config that
// each was published with (a test holds the counts against the published ones). `relufy models --chat` prints them.
// Does not own models that are sparse as published (sparse-models.ts); those of them that chat are named there.
import { parameterCount, parseConfig } from '@relufy/models';
import { billions, size, textTable } from './models-page.js';
import { packagedModel } from './node/packaged-model.js';
import { sparseModels } from './sparse-models.js';

export interface ChatModelEntry {
  readonly id: string;
  /** Those keys of its config.json that decide its size. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Positions that it was made for. */
  readonly context: number;
  readonly licence: string;
  readonly note: string;
}

const smolLm = { model_type: 'llama', hidden_act: 'silu', vocab_size: 49152, tie_word_embeddings: true };
const qwen2 = { model_type: 'qwen2', hidden_act: 'silu', vocab_size: 151936, tie_word_embeddings: true };
const qwen3 = { ...qwen2, model_type: 'qwen3', head_dim: 128, num_attention_heads: 16, num_key_value_heads: 8 };
const english = 'English';

export const chatModels: readonly ChatModelEntry[] = [
  {
    id: 'HuggingFaceTB/SmolLM2-135M-Instruct',
    config: {
      ...smolLm,
      hidden_size: 576,
      intermediate_size: 1536,
      num_hidden_layers: 30,
      num_attention_heads: 9,
      num_key_value_heads: 3,
    },
    context: 8192,
    licence: 'Apache-2.0',
    note: `${english}; quick, often wrong`,
  },
  {
    id: 'HuggingFaceTB/SmolLM2-360M-Instruct',
    config: {
      ...smolLm,
      hidden_size: 960,
      intermediate_size: 2560,
      num_hidden_layers: 32,
      num_attention_heads: 15,
      num_key_value_heads: 5,
    },
    context: 8192,
    licence: 'Apache-2.0',
    note: `${english}; a good first one`,
  },
  {
    id: 'Qwen/Qwen2.5-0.5B-Instruct',
    config: {
      ...qwen2,
      hidden_size: 896,
      intermediate_size: 4864,
      num_hidden_layers: 24,
      num_attention_heads: 14,
      num_key_value_heads: 2,
    },
    context: 32768,
    licence: 'Apache-2.0',
    note: 'many languages',
  },
  {
    id: 'Qwen/Qwen3-0.6B',
    config: { ...qwen3, hidden_size: 1024, intermediate_size: 3072, num_hidden_layers: 28 },
    context: 40960,
    licence: 'Apache-2.0',
    note: 'many languages; thinks aloud before it answers',
  },
  {
    id: 'TinyLlama/TinyLlama-1.1B-Chat-v1.0',
    config: {
      model_type: 'llama',
      hidden_act: 'silu',
      vocab_size: 32000,
      hidden_size: 2048,
      intermediate_size: 5632,
      num_hidden_layers: 22,
      num_attention_heads: 32,
      num_key_value_heads: 4,
    },
    context: 2048,
    licence: 'Apache-2.0',
    note: english,
  },
  {
    id: 'Qwen/Qwen2.5-1.5B-Instruct',
    config: {
      ...qwen2,
      hidden_size: 1536,
      intermediate_size: 8960,
      num_hidden_layers: 28,
      num_attention_heads: 12,
      num_key_value_heads: 2,
    },
    context: 32768,
    licence: 'Apache-2.0',
    note: 'many languages',
  },
  {
    id: 'HuggingFaceTB/SmolLM2-1.7B-Instruct',
    config: {
      ...smolLm,
      hidden_size: 2048,
      intermediate_size: 8192,
      num_hidden_layers: 24,
      num_attention_heads: 32,
      num_key_value_heads: 32,
    },
    context: 8192,
    licence: 'Apache-2.0',
    note: english,
  },
];

export interface ChatModelRow extends Omit<ChatModelEntry, 'config' | 'context'> {
  readonly context: number | undefined;
  readonly parameters: number;
  /** As published, in bf16; undefined: in a format of its own. */
  readonly downloadBytes: number | undefined;
  /** Weights in memory with `--dtype int8` and `int4`: blocks of 32 in 34 and 18 bytes. The KV cache comes on top. */
  readonly int8Bytes: number;
  readonly int4Bytes: number;
  /** Has zeros to skip as it was published. */
  readonly sparse: boolean;
}

/** A model of more parameters is not small. */
const largest = 5e9;
/** Published in another format than bf16. */
const otherFormats: ReadonlySet<string> = new Set(['microsoft/bitnet-b1.58-2B-4T', 'karpathy/nanochat-d32']);

/** By size; those that are sparse as published among them. */
export function chatModelRows(): readonly ChatModelRow[] {
  const sparse = sparseModels
    .filter(({ chat, id }) => chat === true && id.includes('/'))
    .map(({ id, config, licence, note = '' }) => ({ id, config, licence, note, context: undefined, sparse: true }));
  return [...chatModels.map((model) => ({ ...model, sparse: false })), ...sparse]
    .map(({ config, ...row }) => {
      const parameters = parameterCount(parseConfig(config).spec);
      return {
        ...row,
        parameters,
        downloadBytes: otherFormats.has(row.id) ? undefined : 2 * parameters,
        int8Bytes: Math.round((parameters * 34) / 32),
        int4Bytes: Math.round((parameters * 18) / 32),
      };
    })
    .filter(({ parameters }) => parameters <= largest)
    .sort((a, b) => a.parameters - b.parameters);
}

export const chatModelIds: readonly string[] = chatModels.map(({ id }) => id);

/** For the terminal: one line a model. */
export function chatModelsTable(): string {
  const lines = chatModelRows().map((row) => [
    row.id,
    billions(row),
    row.downloadBytes === undefined ? '?' : size(row.downloadBytes),
    size(row.int8Bytes),
    size(row.int4Bytes),
    row.licence,
    row.sparse ? 'sparse as published' : row.note,
  ]);
  return [
    textTable(['model', 'size', 'download', 'int8', 'int4', 'licence', 'note'], lines),
    '',
    'int8, int4: memory for the weights with --dtype int8 or int4; download: as published, in bf16, once.',
    `relufy chat                                                     opens ${packagedModel}, which comes along (98 MB).`,
    'relufy chat HuggingFaceTB/SmolLM2-360M-Instruct --dtype int8    starts one; where there is time, a larger one answers better.',
  ].join('\n');
}
