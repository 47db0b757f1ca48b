// A checkpoint of llama2.c (version 0: seven numbers, then weights in f32) and its vocabulary as a folder in Hugging Face layout.
// For small models with SiLU as controls (reuse.mjs). Does not own formats (@relufy/checkpoint).
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeSafetensors } from '../../packages/checkpoint/dist/index.js';

/** Writes `folder`. `model` and `vocabulary` are files of llama2.c. */
export async function convertLlama2c(model, vocabulary, folder) {
  const bytes = readFileSync(model);
  const header = new Int32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + 28));
  const [dim, hidden, layers, heads, kvHeads, signedVocab, positions] = header;
  // a negative size says that the head is no copy of the embeddings
  const [vocab, tied] = [Math.abs(signedVocab), signedVocab > 0];
  const headDim = dim / heads;
  let at = 28;
  const take = (...shape) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const from = bytes.byteOffset + at;
    at += 4 * count;
    return new Float32Array(bytes.buffer.slice(from, from + 4 * count));
  };
  const tensors = [];
  const add = (name, shape, values) =>
    tensors.push({
      name,
      dtype: 'F32',
      shape,
      data: async function* () {
        yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      },
    });
  const each = (name, shape, order = (values) => values) => {
    const all = take(layers, ...shape);
    const size = all.length / layers;
    for (let layer = 0; layer < layers; layer++)
      add(`model.layers.${layer}.${name}.weight`, shape, order(all.slice(layer * size, (layer + 1) * size)));
  };
  /** Pairs of neighbours, which llama2.c rotates, to halves of a head. */
  const halves = (values) => {
    const out = new Float32Array(values.length);
    for (let row = 0; row < values.length / dim; row++) {
      const [head, within] = [Math.floor(row / headDim), row % headDim];
      const to = head * headDim + (within % 2) * (headDim / 2) + Math.floor(within / 2);
      out.set(values.subarray(row * dim, (row + 1) * dim), to * dim);
    }
    return out;
  };
  add('model.embed_tokens.weight', [vocab, dim], take(vocab, dim));
  each('input_layernorm', [dim]);
  each('self_attn.q_proj', [dim, dim], halves);
  each('self_attn.k_proj', [kvHeads * headDim, dim], halves);
  each('self_attn.v_proj', [kvHeads * headDim, dim]);
  each('self_attn.o_proj', [dim, dim]);
  each('post_attention_layernorm', [dim]);
  each('mlp.gate_proj', [hidden, dim]);
  each('mlp.down_proj', [dim, hidden]);
  each('mlp.up_proj', [hidden, dim]);
  add('model.norm.weight', [dim], take(dim));
  take(2, positions, headDim / 2); // tables of angles
  if (!tied) add('lm_head.weight', [vocab, dim], take(vocab, dim));
  if (at !== bytes.length) throw new Error(`${model}: expected ${at} bytes, got ${bytes.length}`);
  const config = {
    ...{
      model_type: 'llama',
      architectures: ['LlamaForCausalLM'],
      hidden_act: 'silu',
      rms_norm_eps: 1e-5,
      rope_theta: 10000,
    },
    ...{ hidden_size: dim, intermediate_size: hidden, num_hidden_layers: layers, num_attention_heads: heads },
    ...{ num_key_value_heads: kvHeads, vocab_size: vocab, max_position_embeddings: positions },
    ...{ tie_word_embeddings: tied, bos_token_id: 1, eos_token_id: 2 },
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'model.safetensors'), await encodeSafetensors(tensors));
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizerOf(readFileSync(vocabulary), vocab)));
  writeFileSync(
    join(folder, 'tokenizer_config.json'),
    JSON.stringify({ bos_token: '<s>', eos_token: '</s>', add_bos_token: true }),
  );
}

/** Pieces with scores as merges: of all pairs that make a piece, that of the best piece first, as llama2.c merges them. */
function tokenizerOf(bytes, count) {
  const pieces = [];
  const scores = [];
  for (let at = 4; pieces.length < count; ) {
    scores.push(bytes.readFloatLE(at));
    const length = bytes.readInt32LE(at + 4);
    pieces.push(bytes.toString('utf8', at + 8, at + 8 + length).replaceAll(' ', '▁'));
    at += 8 + length;
  }
  [pieces[0], pieces[1], pieces[2]] = ['<unk>', '<s>', '</s>'];
  const ids = new Map(pieces.map((piece, id) => [piece, id]));
  const merges = pieces.flatMap((piece, id) => {
    const characters = [...piece];
    if (id < 259 || characters.length < 2) return [];
    return characters.slice(1).flatMap((_, i) => {
      const pair = [characters.slice(0, i + 1).join(''), characters.slice(i + 1).join('')];
      return pair.every((part) => ids.has(part)) ? [{ pair, score: scores[id] }] : [];
    });
  });
  const special = ['<unk>', '<s>', '</s>'].map((content, id) => ({
    ...{ id, content, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
  }));
  return {
    ...{ version: '1.0', truncation: null, padding: null, added_tokens: special },
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      ...{ type: 'BPE', dropout: null, unk_token: '<unk>', continuing_subword_prefix: null, end_of_word_suffix: null },
      ...{ fuse_unk: true, byte_fallback: true, ignore_merges: false, vocab: Object.fromEntries(ids) },
      merges: merges.sort((a, b) => b.score - a.score).map(({ pair }) => pair.join(' ')),
    },
  };
}
