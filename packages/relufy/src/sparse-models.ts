// Public checkpoints that are sparse as they were published, as data: shape, how many neurons are active and who says so,
// licence. `relufy models` and docs/models.md are both made from this (models-page.ts).
// A shape is what the checkpoint's config.json says; a number that nobody has published stays absent.

export interface SparseModel {
  /** A name on the hub, or of a bundled model. */
  readonly id: string;
  /** The keys of config.json that decide the shape. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Share of neurons that are not zero for one token, over all layers. Absent: nobody has published it. */
  readonly density?: Density;
  /** Who measured the density, and where; or why there is none. */
  readonly source: string;
  /** `measured`: by Relufy, on these weights. `cited`: on these weights. `similar`: on other weights, made alike. */
  readonly evidence: 'measured' | 'cited' | 'similar' | 'none';
  readonly licence: string;
  /** Tuned for chat: `relufy chat` makes sense. Otherwise it continues texts. */
  readonly chat?: true;
  /** What to know before running it. */
  readonly note?: string;
}

export interface Density {
  /** At the down projection: what is read of it. */
  readonly down: number;
  /** At the gate: what is read of `up`. Default: as `down`, right for ReLU on the gate alone. */
  readonly up?: number;
}

const llama2 = { model_type: 'llama', hidden_act: 'relu', vocab_size: 32000, rms_norm_eps: 1e-5 };
const llama2Small = {
  ...llama2,
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
};
const llama2Large = {
  ...llama2,
  hidden_size: 5120,
  intermediate_size: 13824,
  num_hidden_layers: 40,
  num_attention_heads: 40,
};
const fatrelu = { model_type: 'sparsellama', hidden_act: 'fatrelu', hidden_act_param: 0.01 };
const opt = { model_type: 'opt', activation_function: 'relu', vocab_size: 50272 };
const minitron = { model_type: 'nemotron', hidden_act: 'relu2', head_dim: 128, num_key_value_heads: 8 };

const rwkv4 = { model_type: 'rwkv', vocab_size: 50277 };
const rwkvNote = 'RWKV-4: a recurrent mixer instead of attention. The receptance of its FFN is always read.';

const sparseLm = {
  model_type: 'llama_sparse_relu',
  hidden_act: 'silu',
  hidden_size: 2048,
  intermediate_size: 5632,
  num_attention_heads: 32,
  vocab_size: 49152,
  tie_word_embeddings: true,
};
const sparseLmRest = {
  density: { down: 0.05 },
  evidence: 'cited',
  source: 'Sparser, Faster, Lighter (arXiv 2603.23198): over 95 % zeros',
  licence: 'Apache-2.0',
} as const;

const proSparse = 'ProSparse (arXiv 2402.13516), table 1';
const strikesBack = 'ReLU Strikes Back (arXiv 2310.04564), table 1';
const unpublished = 'not published; ReLU^2 gives exact zeros';

export const sparseModels: readonly SparseModel[] = [
  {
    id: 'llama-tales',
    config: {
      ...llama2,
      vocab_size: 4096,
      hidden_size: 256,
      intermediate_size: 1024,
      num_hidden_layers: 8,
      num_attention_heads: 8,
      num_key_value_heads: 4,
      tie_word_embeddings: true,
    },
    density: { down: 0.077 },
    evidence: 'measured',
    source: 'held-out text, mean of the layers (its model card)',
    licence: 'Apache-2.0; built with Llama, see its model card',
    chat: true,
    note: 'Bundled. Tells short stories and knows nothing.',
  },
  {
    id: 'arcee-ai/AFM-4.5B',
    config: {
      model_type: 'arcee',
      hidden_act: 'relu2',
      hidden_size: 2560,
      intermediate_size: 18432,
      num_hidden_layers: 36,
      num_attention_heads: 20,
      num_key_value_heads: 4,
      head_dim: 128,
      vocab_size: 128005,
    },
    evidence: 'none',
    source: unpublished,
    licence: 'Apache-2.0',
    chat: true,
  },
  {
    id: 'nvidia/Minitron-4B-Base',
    config: {
      ...minitron,
      hidden_size: 3072,
      intermediate_size: 9216,
      num_hidden_layers: 32,
      num_attention_heads: 24,
      vocab_size: 256000,
    },
    evidence: 'none',
    source: unpublished,
    licence: 'NVIDIA Open Model License',
    note: 'A quarter of its weights is the head.',
  },
  {
    id: 'nvidia/Minitron-8B-Base',
    config: {
      ...minitron,
      hidden_size: 4096,
      intermediate_size: 16384,
      num_hidden_layers: 32,
      num_attention_heads: 48,
      vocab_size: 256000,
    },
    evidence: 'none',
    source: unpublished,
    licence: 'NVIDIA Open Model License',
  },
  {
    id: 'adept/persimmon-8b-chat',
    config: {
      model_type: 'persimmon',
      hidden_act: 'relu2',
      hidden_size: 4096,
      intermediate_size: 16384,
      num_hidden_layers: 36,
      num_attention_heads: 64,
      vocab_size: 262144,
    },
    density: { down: 0.1 },
    evidence: 'cited',
    source: 'release post (adept.ai/blog/persimmon-8b): often 90 % zeros and more',
    licence: 'Apache-2.0',
    chat: true,
  },
  {
    id: 'microsoft/bitnet-b1.58-2B-4T',
    config: {
      model_type: 'bitnet',
      hidden_act: 'relu2',
      hidden_size: 2560,
      intermediate_size: 6912,
      num_hidden_layers: 30,
      num_attention_heads: 20,
      num_key_value_heads: 5,
      vocab_size: 128256,
      tie_word_embeddings: true,
      quantization_config: { quant_method: 'bitnet', linear_class: 'autobitlinear', quantization_mode: 'offline' },
    },
    density: { down: 0.2 },
    evidence: 'similar',
    source: 'BitNet a4.8 (arXiv 2411.04965): over 80 % zeros at the down projection',
    licence: 'MIT',
    chat: true,
    note: 'Ternary weights are unpacked when loading; int8 and int4 hold them but for the rounding of their scales.',
  },
  {
    id: 'karpathy/nanochat-d32',
    config: {
      model_type: 'nanochat',
      hidden_act: 'relu2',
      hidden_size: 2048,
      intermediate_size: 8192,
      num_hidden_layers: 32,
      num_attention_heads: 16,
      vocab_size: 65536,
    },
    evidence: 'none',
    source: unpublished,
    licence: 'MIT',
    chat: true,
    note: 'Needs the transformers layout (model_type nanochat), not nanochat’s own .pt files.',
  },
  {
    id: 'inception42/Jais-2-8B-Chat',
    config: {
      model_type: 'jais2',
      hidden_act: 'relu2',
      hidden_size: 3328,
      intermediate_size: 26624,
      num_hidden_layers: 32,
      num_attention_heads: 26,
      head_dim: 128,
      vocab_size: 150272,
    },
    evidence: 'none',
    source: unpublished,
    licence: 'see its model card',
    chat: true,
  },
  {
    id: 'openbmb/MiniCPM-S-1B-sft',
    config: {
      architectures: ['MiniCPMForCausalLM'],
      hidden_act: 'fatrelu',
      hidden_act_param: 0.03,
      hidden_size: 1536,
      intermediate_size: 3840,
      num_hidden_layers: 52,
      num_attention_heads: 24,
      num_key_value_heads: 8,
      vocab_size: 73440,
      scale_emb: 12,
      scale_depth: 1.4,
      dim_model_base: 256,
    },
    density: { down: 0.1211 },
    evidence: 'cited',
    source: proSparse,
    licence: 'Apache-2.0',
    chat: true,
    note: 'Take this one: the "llama-format" copy has lost the threshold of its FATReLU.',
  },
  {
    id: 'SakanaAI/SparseLM0.5B',
    config: { ...sparseLm, num_hidden_layers: 8 },
    ...sparseLmRest,
    note: 'ReLU on the gate, though its config.json says "silu". SparseLM1B and SparseLM1.5B are alike.',
  },
  {
    id: 'SakanaAI/SparseLM2B',
    config: { ...sparseLm, num_hidden_layers: 38 },
    ...sparseLmRest,
    note: 'As the smaller one.',
  },
  {
    id: 'SparseLLM/prosparse-llama-2-7b',
    config: { ...llama2Small, ...fatrelu },
    density: { down: 0.1068 },
    evidence: 'cited',
    source: proSparse,
    licence: 'Llama 2 Community License',
  },
  {
    id: 'SparseLLM/prosparse-llama-2-13b',
    config: { ...llama2Large, ...fatrelu },
    density: { down: 0.112 },
    evidence: 'cited',
    source: proSparse,
    licence: 'Llama 2 Community License',
  },
  {
    id: 'SparseLLM/ReluLLaMA-7B',
    config: llama2Small,
    density: { down: 0.3302 },
    evidence: 'cited',
    source: proSparse,
    licence: 'Llama 2 Community License',
  },
  {
    id: 'SparseLLM/ReluLLaMA-13B',
    config: llama2Large,
    density: { down: 0.2844 },
    evidence: 'cited',
    source: proSparse,
    licence: 'Llama 2 Community License',
  },
  {
    id: 'PowerInfer/Bamboo-base-v0_1',
    config: {
      model_type: 'bamboo',
      hidden_act: 'relu',
      hidden_size: 4096,
      intermediate_size: 14336,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_key_value_heads: 8,
      vocab_size: 32000,
      sliding_window: 4096,
    },
    density: { down: 0.15, up: 0.39 },
    evidence: 'cited',
    source: 'its model card: "nearly 85 %"; the gate alone is not published, taken as the square root',
    licence: 'Apache-2.0',
    note: 'dReLU: gate and up both go through ReLU.',
  },
  {
    id: 'PowerInfer/SparseQwen2-7B',
    config: {
      model_type: 'qwen2',
      hidden_act: 'relu',
      hidden_size: 3584,
      intermediate_size: 18944,
      num_hidden_layers: 28,
      num_attention_heads: 28,
      num_key_value_heads: 4,
      vocab_size: 152064,
      relufy: { stage: 1, activateUp: true },
    },
    evidence: 'none',
    source: 'not published',
    licence: 'Apache-2.0',
    chat: true,
    note: 'dReLU, which its config.json does not say: load it with `relufy: { stage: 1, activateUp: true }`.',
  },
  {
    id: 'facebook/opt-1.3b',
    config: { ...opt, hidden_size: 2048, ffn_dim: 8192, num_hidden_layers: 24, num_attention_heads: 32 },
    density: { down: 0.04 },
    evidence: 'cited',
    source: strikesBack,
    licence: 'OPT licence (research, not commercial)',
  },
  {
    id: 'facebook/opt-6.7b',
    config: { ...opt, hidden_size: 4096, ffn_dim: 16384, num_hidden_layers: 32, num_attention_heads: 32 },
    density: { down: 0.03 },
    evidence: 'cited',
    source: strikesBack,
    licence: 'OPT licence (research, not commercial)',
  },
  {
    id: 'RWKV/rwkv-4-169m-pile',
    config: { ...rwkv4, hidden_size: 768, num_hidden_layers: 12 },
    evidence: 'none',
    source: unpublished,
    licence: 'Apache-2.0 (the original weights)',
    note: rwkvNote,
  },
  {
    id: 'RWKV/rwkv-4-3b-pile',
    config: { ...rwkv4, hidden_size: 2560, num_hidden_layers: 32 },
    evidence: 'none',
    source: unpublished,
    licence: 'Apache-2.0 (the original weights)',
    note: rwkvNote,
  },
  {
    id: 'SparseLLM/ReluFalcon-40B',
    config: {
      model_type: 'falcon',
      activation: 'relu',
      hidden_size: 8192,
      num_hidden_layers: 60,
      num_attention_heads: 128,
      num_kv_heads: 8,
      new_decoder_architecture: true,
      vocab_size: 65024,
    },
    density: { down: 0.06 },
    evidence: 'similar',
    source: `${strikesBack}: Falcon 7B, made alike`,
    licence: 'Apache-2.0',
    note: 'Its config.json does not name ReLU: load it with `relufy: { stage: 1 }`.',
  },
];
