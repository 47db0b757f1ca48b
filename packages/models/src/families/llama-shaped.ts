// What Llama and its relatives share: names of tensors, and the keys of a config that mean the same in all of them.
// A relative is this plus its differences, as data; see llama.ts and llama-relatives.ts.
import type { ConfigReader } from '@relufy/tensor';
import { attentionOf, headRows, type ModelSpec } from '../spec.js';
import { activationOf } from './config-values.js';
import { affine, linears, separateQkv, slice, type WeightMap, type WeightPart, whole } from './family.js';
import { ropePositions } from './rope-config.js';

/** Reads the common keys, as Llama means them. A family overrides what differs. */
export function llamaShape(config: ConfigReader): ModelSpec {
  const hiddenSize = config.size('hidden_size');
  const numAttentionHeads = config.size('num_attention_heads');
  const numKeyValueHeads = config.size('num_key_value_heads', numAttentionHeads);
  if (numAttentionHeads % numKeyValueHeads !== 0)
    config.fail('num_key_value_heads', `a divisor of num_attention_heads (${numAttentionHeads})`);
  if (!config.has('head_dim') && hiddenSize % numAttentionHeads !== 0)
    config.fail('num_attention_heads', `a divisor of hidden_size (${hiddenSize}), or a head_dim`);
  const headDim = config.size('head_dim', Math.floor(hiddenSize / numAttentionHeads));
  const bias = config.flag('attention_bias', false);
  return {
    vocabSize: config.size('vocab_size'),
    hiddenSize,
    intermediateSize: config.size('intermediate_size'),
    numHiddenLayers: config.size('num_hidden_layers', undefined, 1024),
    maxPositionEmbeddings: config.size('max_position_embeddings', 2048),
    tieWordEmbeddings: config.flag('tie_word_embeddings', false),
    embeddingSize: hiddenSize,
    norm: { kind: 'rms', eps: config.positive('rms_norm_eps', 1e-6), weight: true, bias: false },
    finalNorm: true,
    positions: ropePositions(config, headDim),
    block: { kind: 'preNorm' },
    mixer: { kind: 'attention', numAttentionHeads, numKeyValueHeads, headDim, qkvBias: bias, outBias: bias },
    ffn: {
      kind: 'gated',
      activation: activationOf(config, 'hidden_act', 'silu'),
      bias: config.flag('mlp_bias', false),
    },
  };
}

/** Where a relative's tensors are named otherwise, or are more. */
export interface LlamaNames {
  readonly attentionNorm?: string;
  readonly ffnNorm?: string;
  readonly finalNorm?: string;
  readonly o?: string;
  /** One tensor for queries, keys and values, interleaved a head at a time: [heads, (q, k, v), headDim]. */
  readonly fusedQkv?: string;
  readonly gate?: string;
  readonly up?: string;
  readonly down?: string;
  /** Norms of query and key heads: one row for all heads, or one a head. */
  readonly headNorm?: (kind: 'q' | 'k', part: 'weight' | 'bias', head: number) => string;
  readonly outNorm?: string;
  readonly downNorm?: string;
  /** The checkpoint stores norm weights less 1. */
  readonly normWeightsLess1?: true;
  readonly head?: string;
  readonly embed?: string;
  readonly root?: string;
}

/** The weights of a family of this shape. */
export function llamaWeights(names: LlamaNames): (spec: ModelSpec) => WeightMap {
  return (spec) => {
    const map = new Map<string, readonly WeightPart[]>();
    const { hiddenSize, intermediateSize, ffn, norm, block } = spec;
    const attention = attentionOf(spec);
    const { q } = headRows(spec);
    const root = names.root ?? 'model';
    const normOf = (buffer: string, tensor: string) => {
      affine(map, buffer, tensor, hiddenSize, norm);
      const weight = map.get(`${buffer}.weight`);
      if (names.normWeightsLess1 && weight)
        map.set(
          `${buffer}.weight`,
          weight.map((part) => ({ ...part, plus: 1 })),
        );
    };
    map.set('embedTokens', whole(names.embed ?? `${root}.embed_tokens.weight`, spec.vocabSize));
    for (let i = 0; i < spec.numHiddenLayers; i++) {
      const [to, from] = [`layers.${i}`, `${root}.layers.${i}`];
      normOf(`${to}.attentionNorm`, `${from}.${names.attentionNorm ?? 'input_layernorm'}`);
      if (block.kind !== 'parallel' || block.norms === 2)
        normOf(`${to}.ffnNorm`, `${from}.${names.ffnNorm ?? 'post_attention_layernorm'}`);
      const tensors = {
        o: `${from}.${names.o ?? 'self_attn.o_proj'}`,
        gate: `${from}.${names.gate ?? 'mlp.gate_proj'}`,
        up: `${from}.${names.up ?? 'mlp.up_proj'}`,
        down: `${from}.${names.down ?? 'mlp.down_proj'}`,
      };
      linears(map, spec, to, tensors, (part) =>
        names.fusedQkv
          ? fusedByHead(spec, `${from}.${names.fusedQkv}.${part}`)
          : separateQkv(spec, (one) => `${from}.self_attn.${one}_proj.${part}`),
      );
      for (const part of ['weight', 'bias'] as const)
        if (attention.headNorm?.[part] && names.headNorm)
          map.set(`${to}.headNorm.${part}`, headNorms(spec, from, part, names.headNorm));
      if (attention.outNorm) affine(map, `${to}.outNorm`, `${from}.${names.outNorm}`, q, { bias: false });
      if (ffn.downNorm) affine(map, `${to}.downNorm`, `${from}.${names.downNorm}`, intermediateSize, { bias: false });
    }
    normOf('finalNorm', names.finalNorm ?? `${root}.norm`);
    if (!spec.tieWordEmbeddings) map.set('lmHead', whole(names.head ?? 'lm_head.weight', spec.vocabSize));
    return map;
  };
}

/** [heads, (q, k, v), headDim] -> all queries, all keys, all values. */
export function fusedByHead(spec: ModelSpec, tensor: string): readonly WeightPart[] {
  const { numAttentionHeads, headDim } = attentionOf(spec);
  const heads = Array.from({ length: numAttentionHeads }, (_, head) => head);
  return [0, 1, 2].flatMap((part) =>
    heads.map((head) => slice(tensor, 3 * numAttentionHeads * headDim, (3 * head + part) * headDim, headDim)),
  );
}

/** One row of weights a head: queries, then keys. A vector that all heads share is repeated. */
function headNorms(
  spec: ModelSpec,
  from: string,
  part: 'weight' | 'bias',
  name: NonNullable<LlamaNames['headNorm']>,
): readonly WeightPart[] {
  const { numAttentionHeads, numKeyValueHeads, headDim } = attentionOf(spec);
  const rows = (kind: 'q' | 'k', heads: number) =>
    Array.from({ length: heads }, (_, head) => whole(`${from}.${name(kind, part, head)}`, headDim)[0] as WeightPart);
  return [...rows('q', numAttentionHeads), ...rows('k', numKeyValueHeads)];
}
