// Shapes of synthetic models, as data. A new one (another family, another size) is an entry here; what the entry's
// `modelType` needs of tensors is in synthetic-weights.mjs.

/**
 * @typedef {object} Shape
 * @property {'llama' | 'arcee'} modelType `model_type` of config.json
 * @property {{ sparse: string, dense: string }} activations what our sparse rows run, and what all dense rows and
 *   llama.cpp do: its llama graph has SiLU built in
 * @property {boolean} gated whether the FFN has a gate; else `up` decides which neurons are active
 * @property {number} hidden
 * @property {number} ffn
 * @property {number} layers
 * @property {number} heads
 * @property {number} kvHeads
 * @property {number} headDim
 * @property {number} vocab at least 259: three special tokens and 256 bytes
 * @property {number} context
 */

const reluLlama = /** @type {const} */ ({
  modelType: 'llama',
  activations: { sparse: 'relu', dense: 'silu' },
  gated: true,
});

/** @type {Readonly<Record<string, Shape>>} */
export const shapes = {
  /** TinyLlama-1.1B, its head tied to the embedding: the same bytes a token, see README. */
  tinyllama: {
    ...reluLlama,
    hidden: 2048,
    ffn: 5632,
    layers: 22,
    heads: 32,
    kvHeads: 4,
    headDim: 64,
    vocab: 32000,
    context: 2048,
  },
  /** The same with fewer layers, for the sweep over densities: still larger than any cache. */
  sweep: {
    ...reluLlama,
    hidden: 2048,
    ffn: 5632,
    layers: 8,
    heads: 32,
    kvHeads: 4,
    headDim: 64,
    vocab: 32000,
    context: 2048,
  },
  /** Half the width of AFM-4.5B: its ratios of ffn, heads and layers, and its share of the head. Trained with ReLU². */
  afm: {
    modelType: 'arcee',
    activations: { sparse: 'relu2', dense: 'relu2' },
    gated: false,
    hidden: 1280,
    ffn: 9216,
    layers: 36,
    heads: 10,
    kvHeads: 2,
    headDim: 128,
    vocab: 64000,
    context: 2048,
  },
  /** For debugging this harness. Its speeds mean nothing. */
  tiny: {
    ...reluLlama,
    hidden: 256,
    ffn: 1024,
    layers: 3,
    heads: 4,
    kvHeads: 2,
    headDim: 64,
    vocab: 1024,
    context: 2048,
  },
  'tiny-afm': {
    modelType: 'arcee',
    activations: { sparse: 'relu2', dense: 'relu2' },
    gated: false,
    hidden: 256,
    ffn: 1792,
    layers: 3,
    heads: 2,
    kvHeads: 1,
    headDim: 128,
    vocab: 1024,
    context: 2048,
  },
};

const architectures = { llama: 'LlamaForCausalLM', arcee: 'ArceeForCausalLM' };

/** @param {Shape} shape @param {string} activation */
export function configOf(shape, activation) {
  return {
    architectures: [architectures[shape.modelType]],
    model_type: shape.modelType,
    hidden_act: activation,
    hidden_size: shape.hidden,
    intermediate_size: shape.ffn,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headDim,
    vocab_size: shape.vocab,
    max_position_embeddings: shape.context,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: 1,
    eos_token_id: 2,
    torch_dtype: 'bfloat16',
  };
}

/** `<unk> <s> </s>`, 256 bytes, fillers; byte-fallback BPE without merges, which GGUF calls "llama". @param {Shape} shape */
export function tokenizerOf({ vocab: size }) {
  const special = ['<unk>', '<s>', '</s>'];
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  const fillers = Array.from({ length: size - 259 }, (_, i) => `<filler${i}>`);
  const vocab = Object.fromEntries([...special, ...bytes, ...fillers].map((token, id) => [token, id]));
  return {
    version: '1.0',
    added_tokens: special.map((content, id) => ({
      id,
      content,
      special: true,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    })),
    normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
      ],
    },
    model: { type: 'BPE', unk_token: '<unk>', byte_fallback: true, fuse_unk: true, vocab, merges: [] },
  };
}
