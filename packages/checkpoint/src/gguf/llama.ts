// Llama in GGUF, and the models that llama.cpp runs as Llama: Mistral (its window is not in GGUF; llama.cpp attends to
// everything) and ProSparse's sparsellama. What sets them apart is kept in `relufy.config` (export.ts).
import { llamaShaped } from './llama-shaped.js';

export const llama = llamaShaped({
  name: 'llama',
  modelTypes: ['llama', 'mistral', 'sparsellama'],
  className: 'LlamaForCausalLM',
  interleaved: true,
  norm: { kind: 'rms', key: 'rms_norm_eps', default: 1e-6 },
  activation: 'silu',
  scalings: true,
});
