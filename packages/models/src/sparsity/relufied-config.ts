// The config.json of a model whose spec has been changed. A model that `transformers` computes right keeps its model_type
// (ReLU and ReLU^2 at stage 1); any other gets one that transformers refuses, rather than computing something else.
// Does not own parsing (families).
import { parseConfig } from '../families/index.js';
import type { Activation, ModelSpec } from '../spec.js';
import { hasNormRelu } from './masks.js';

/** Names of activations in configs; the parameter of those that have one is hidden_act_param. */
const names: Readonly<Partial<Record<Activation['kind'], string>>> = {
  relu: 'relu',
  relu2: 'relu2',
  fatrelu: 'fatrelu',
  silu: 'silu',
  gelu: 'gelu',
  geluTanh: 'gelu_pytorch_tanh',
  swish: 'swish_beta',
};

export function relufiedConfig(
  configJson: Readonly<Record<string, unknown>>,
  spec: ModelSpec,
): Readonly<Record<string, unknown>> {
  const { relufy: _, ...config } = configJson;
  const { spec: original, modelType, family } = parseConfig(config);
  const base = modelType.replace(/^relufy_/, '');
  const { kind, threshold } = spec.ffn.activation;
  const own = threshold > 0;
  const written: Record<string, unknown> = { ...config };
  if (kind !== original.ffn.activation.kind || threshold !== original.ffn.activation.threshold) {
    written[family.activationKey ?? 'hidden_act'] = kind === 'relu' && own ? 'shifted_relu' : names[kind];
    if (own) written.hidden_act_param = threshold;
    else delete written.hidden_act_param;
  }
  if (spec.tieWordEmbeddings !== original.tieWordEmbeddings) written.tie_word_embeddings = spec.tieWordEmbeddings;
  const stage2 = hasNormRelu(spec) && !hasNormRelu(original);
  const activateUp = spec.ffn.activateUp === true && original.ffn.activateUp !== true;
  if (stage2 || activateUp) written.relufy = { stage: stage2 ? 2 : 1, ...(activateUp && { activateUp }) };
  const elsewhere = kind === 'fatrelu' && family.fatreluTypes?.includes(base) === true;
  const foreign = stage2 || activateUp || (own && !elsewhere);
  written.model_type = foreign ? `relufy_${base}` : base;
  return written;
}
