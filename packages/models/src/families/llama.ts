// Llama: pre-norm RMS blocks, rotary positions, gated FFN. Also the ReLU ones: ReluLLaMA, ProSparse (`sparsellama`).
import type { ConfigReader } from '@relufy/tensor';
import type { ModelSpec } from '../spec.js';
import type { Family } from './family.js';
import { llamaShape, llamaWeights } from './llama-shaped.js';

export const llama: Family = {
  modelTypes: ['llama', 'sparsellama'],
  fatreluTypes: ['sparsellama'],
  parse,
  weights: llamaWeights({}),
  optionalPrefix: 'model.',
  ignored: /rotary_emb\.inv_freq$/,
};

function parse(config: ConfigReader): ModelSpec {
  for (const key of ['scale_emb', 'scale_depth', 'embedding_multiplier', 'residual_multiplier', 'logits_scaling'])
    config.neutral(key, (value) => value === 1, '1 (multipliers are not Llama)');
  config.neutral('final_logit_softcapping', () => false, 'no soft-capped logits');
  config.neutral('use_qk_norm', (value) => value === false, 'false');
  config.neutral('use_sliding_window', (value) => value === false, 'false');
  return llamaShape(config);
}
