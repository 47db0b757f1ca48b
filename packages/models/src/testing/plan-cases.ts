// Plans of every kind, with small models that they are for: what exact execution has to equal dense on.
import type { SparsityPlan } from '../index.js';
import { tinyConfig } from './tiny-folder.js';

const layers = 2;
export const silu = { ...tinyConfig, hidden_act: 'silu', num_hidden_layers: layers, intermediate_size: 48 };
const falcon = {
  model_type: 'falcon',
  hidden_size: 32,
  ffn_hidden_size: 64,
  num_hidden_layers: layers,
  num_attention_heads: 4,
  vocab_size: 40,
  max_position_embeddings: 32,
};
const opt = {
  model_type: 'opt',
  hidden_size: 32,
  ffn_dim: 64,
  num_hidden_layers: layers,
  num_attention_heads: 4,
  vocab_size: 40,
  max_position_embeddings: 32,
  do_layer_norm_before: true,
  activation_function: 'relu',
};
export const each = (value: number) => Array.from({ length: layers }, () => value);
export const plans: Readonly<Record<string, { config: object; plan: Omit<SparsityPlan, 'method'> }>> = {
  'one threshold a site': {
    config: silu,
    plan: {
      masks: [
        { at: ['q', 'k', 'v'], kind: 'magnitude' },
        { at: ['o'], kind: 'magnitude' },
        { at: ['gate', 'up'], kind: 'magnitude' },
        { at: ['down'], kind: 'magnitude' },
      ],
    },
  },
  'a mask for each projection': {
    config: silu,
    plan: {
      masks: (['q', 'k', 'v', 'o', 'gate', 'up', 'down'] as const).map((place) => ({ at: [place], kind: 'magnitude' })),
      denseTokens: 1,
    },
  },
  'keys and values apart from queries, neurons by channel': {
    config: silu,
    plan: {
      masks: [
        { at: ['k', 'v'], kind: 'magnitude', perChannel: true },
        { at: ['neurons'], kind: 'magnitude', perChannel: true, keepsTies: true },
      ],
    },
  },
  'the largest, of groups, of every eight': {
    config: silu,
    plan: {
      masks: [
        { at: ['q', 'k', 'v'], kind: 'top', k: [9, 32], scaled: true },
        { at: ['gate', 'up'], kind: 'top', k: each(2), groupSize: 2, within: 8 },
        { at: ['neurons'], kind: 'top', k: [5, 0] },
      ],
    },
  },
  'low rank beside what is left out': {
    config: silu,
    plan: {
      masks: [
        { at: ['q', 'k', 'v'], kind: 'magnitude' },
        { at: ['down'], kind: 'magnitude' },
      ],
      lowRank: [
        { at: ['q'], rank: each(3), input: 'remainder' },
        { at: ['k', 'v'], rank: [0, 2], input: 'remainder' },
        { at: ['down'], rank: each(2), input: 'remainder' },
        { at: ['o'], rank: each(1), input: 'all' },
      ],
    },
  },
  'low rank beside the whole input, in a model that multiplies its branches': {
    config: { ...silu, model_type: 'minicpm', scale_emb: 2, scale_depth: 1.4, dim_model_base: 16 },
    plan: {
      masks: [{ at: ['down'], kind: 'magnitude' }],
      lowRank: [
        { at: ['o'], rank: each(2), input: 'all' },
        { at: ['down'], rank: each(2), input: 'remainder' },
      ],
    },
  },
  'a predictor, not in every layer': {
    config: silu,
    plan: { predictor: { rank: [4, 0], relu: true }, denseTokens: 2 },
  },
  'a predictor in bf16': {
    config: { ...silu, hidden_act: 'relu' },
    plan: { predictor: { rank: each(4), dtype: 'bf16' } },
  },
  'a predictor in int8, a threshold a neuron': {
    config: { ...silu, hidden_act: 'relu' },
    plan: { predictor: { rank: [40, 0], dtype: 'int8', perNeuron: true }, denseTokens: 2 },
  },
  'a predictor of the residual stream': {
    config: { ...silu, hidden_act: 'relu' },
    plan: { predictor: { rank: each(4), relu: true, input: 'residual' } },
  },
  'a predictor of the residual stream of a parallel block': {
    config: falcon,
    plan: { predictor: { rank: each(4), input: 'residual', perNeuron: true } },
  },
  'a predictor that looks ahead': {
    config: { ...silu, hidden_act: 'relu' },
    plan: { predictor: { rank: each(4), input: 'lookahead' } },
  },
  'a predictor that looks ahead in a parallel block, not in every layer': {
    config: falcon,
    plan: { predictor: { rank: [0, 4], input: 'lookahead', perNeuron: true } },
  },
  'partial scores, not in every layer': {
    config: { ...silu, hidden_act: 'relu' },
    plan: { predictor: { kind: 'partial', inputs: [12, 0] }, denseTokens: 2 },
  },
  'partial scores of a plain FFN, a threshold a neuron': {
    config: opt,
    plan: { predictor: { kind: 'partial', inputs: each(20), dtype: 'bf16', perNeuron: true } },
  },
  'two bits a weight, not in every layer': {
    config: { ...silu, hidden_act: 'relu' },
    plan: { predictor: { kind: 'two-bit', bits: [2, 0] }, denseTokens: 2 },
  },
  'two bits a weight of a plain FFN with biases, a threshold a neuron': {
    config: opt,
    plan: { predictor: { kind: 'two-bit', bits: each(2), perNeuron: true } },
  },
  'sign bits with a threshold a neuron': {
    config: { ...silu, hidden_act: 'relu' },
    plan: { predictor: { kind: 'signs', alpha: each(100), perNeuron: true } },
  },
  'a predictor of a plain FFN with masks': {
    config: falcon,
    plan: { predictor: { rank: each(4) }, masks: [{ at: ['q', 'k', 'v', 'up'], kind: 'magnitude' }] },
  },
  'a predictor before the ReLU of a stage 2 model': {
    config: { ...silu, hidden_act: 'relu', model_type: 'relufy_llama', relufy: { stage: 2 } },
    plan: { predictor: { rank: each(4) } },
  },
  'sign bits, not in every layer, before neurons that have a mask': {
    config: silu,
    plan: {
      predictor: { kind: 'signs', alpha: [0, 95.5] },
      masks: [{ at: ['neurons'], kind: 'magnitude' }],
      denseTokens: 2,
    },
  },
  'sign bits in a plain FFN': { config: falcon, plan: { predictor: { kind: 'signs', alpha: [100, 120] } } },
  'sign bits before a ReLU': { config: opt, plan: { predictor: { kind: 'signs', alpha: each(100) } } },
};
