// A session of its own, without a run around it: held-out tokens whose scores leave f32.
import { parseConfig } from '@relufy/models';
import { afterAll, describe, expect, it } from 'vitest';
import { TrainingSession } from './session.js';
import { trainingBackends } from './testing/backends.js';

const backends = await trainingBackends();
afterAll(() => Promise.all(backends.map(([, backend]) => backend.dispose())));

const { spec } = parseConfig({
  model_type: 'llama',
  hidden_size: 8,
  intermediate_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: 10,
  max_position_embeddings: 8,
  hidden_act: 'relu',
});

const part = {
  tokens: Int32Array.of(1, 2, 3, 4),
  positions: Int32Array.of(0, 1, 2, 3),
  slots: Int32Array.of(0, 0, 0, 0),
  outputRows: Int32Array.of(0, 1, 2),
  targets: Int32Array.of(2, 3, 4),
  weights: Float32Array.of(1, 1, 1),
};

describe.each(backends)('scores of held-out tokens: %s', (_, backend) => {
  it('are numbers, or an error that names the layer', async () => {
    const session = await TrainingSession.create(backend, spec, {
      limits: { maxRows: 8, maxOutputs: 8 },
      slots: 1,
      contextLength: 8,
      beta1: 0.9,
      beta2: 0.99,
      eps: 1e-8,
      groups: [{ match: () => true, weightDecay: 0, lrScale: 1 }],
    });
    for (const { parameter } of session.step.parameters) {
      const view = session.session.view(parameter.name) as Float32Array;
      view.forEach((_value, i) => {
        view[i] = parameter.shape.length === 1 ? 1 : Math.sin(i * 0.7 + 1);
      });
    }
    expect([...(await session.score(part))].every((value) => Number.isFinite(value) && value < 0)).toBe(true);
    (session.session.view('layers.1.gate.weight') as Float32Array).fill(1e38);
    (session.session.view('layers.1.up.weight') as Float32Array).fill(1e38);
    await expect(session.score(part)).rejects.toThrowError(
      /^layer 1: \w+.*: expected finite numbers, got (NaN|-?Infinity) at position \d \(token id \d\)\. The model leaves f32/,
    );
    await session.dispose();
  });
});
