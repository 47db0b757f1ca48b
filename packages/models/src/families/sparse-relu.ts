// SparseLM (SakanaAI, arXiv 2603.23198): a Llama, or a Qwen2, whose feed-forward layers are exchanged for ones with ReLU.
// Their code applies ReLU whatever `hidden_act` says, which is a leftover of the base model ("silu"); so it counts only
// where it names an activation that gives zeros, as Relufy writes it.
// `sparsity_gated_mlp: false` means layers without a gate. Checkpoints with gates say it as well; what is stored counts
// (see `gateIsOptional` in family.ts).
import type { ConfigReader } from '@relufy/tensor';
import { rectified } from '../sparsity/masks.js';
import type { ModelSpec } from '../spec.js';
import type { Family } from './family.js';
import { llama } from './llama.js';
import { qwen2 } from './llama-relatives.js';

function sparseRelu(base: Family, modelType: string): Family {
  return {
    ...base,
    modelTypes: [modelType],
    parse: (config) => withRelu(base.parse(config), config),
    gateIsOptional: (config) => !config.flag('sparsity_gated_mlp', true),
  };
}

function withRelu(base: ModelSpec, config: ConfigReader): ModelSpec {
  config.neutral(
    'sparsity_use_hybrid_kernel',
    (value) => value === false,
    'false',
    'With it, down_proj is stored transposed: save the model without it.',
  );
  config.flag('sparsity_gated_mlp', true);
  return {
    ...base,
    intermediateSize: config.size('sparsity_new_intermediate_size', base.intermediateSize),
    ffn: { ...base.ffn, activation: rectified(base.ffn.activation) },
  };
}

export const sparseLlama = sparseRelu(llama, 'llama_sparse_relu');
export const sparseQwen2 = sparseRelu(qwen2, 'qwen2_sparse_relu');
