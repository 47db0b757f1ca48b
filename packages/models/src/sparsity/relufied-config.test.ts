// Configs of relufied models: which model_type they carry, and that they are read back as they were meant.
import { expect, it } from 'vitest';
import { type Activation, parseConfig, relufiedConfig, withNormRelu } from '../index.js';

const llama = {
  model_type: 'llama',
  vocab_size: 64,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  hidden_act: 'silu',
};
const opt = {
  model_type: 'opt',
  vocab_size: 64,
  hidden_size: 16,
  ffn_dim: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
};
const falcon = { model_type: 'falcon', vocab_size: 64, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2 };

const activations: [Activation, modelType: string][] = [
  [{ kind: 'silu', threshold: 0 }, ''],
  [{ kind: 'relu', threshold: 0 }, ''],
  [{ kind: 'relu2', threshold: 0 }, ''],
  [{ kind: 'relu', threshold: 0.25 }, 'relufy_'],
  [{ kind: 'fatrelu', threshold: 0.01 }, 'relufy_'],
  [{ kind: 'swish', threshold: 8 }, 'relufy_'],
];

for (const config of [llama, opt, falcon])
  it.each(activations)(`${config.model_type} with %j`, (activation, prefix) => {
    const { spec } = parseConfig(config);
    for (const relu of activation.kind.includes('relu') ? [false, true] : [false]) {
      const stage1 = { ...spec, ffn: { ...spec.ffn, activation } };
      const changed = relu ? withNormRelu(stage1) : stage1;
      const written = relufiedConfig(config, changed);
      expect(written.model_type).toBe(`${relu ? 'relufy_' : prefix}${config.model_type}`);
      expect(parseConfig(written).spec).toEqual(changed);
      // once more, from what was written
      expect(relufiedConfig(written, changed)).toEqual(written);
    }
  });
