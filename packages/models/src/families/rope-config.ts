// The rotary part of a config, in the old style (`rope_theta`, `rope_scaling`) and the new one (`rope_parameters`).
import type { ConfigReader, FloatDType } from '@relufy/tensor';
import type { PositionSpec, RopeScaling } from '../spec.js';

export function ropePositions(config: ConfigReader, headDim: number): PositionSpec {
  const parameters = config.object('rope_parameters');
  const source = parameters ?? config;
  const fraction = source.positive('partial_rotary_factor', config.positive('partial_rotary_factor', 1));
  const rotaryDim = Math.floor(headDim * fraction);
  if (fraction > 1 || rotaryDim % 2 !== 0 || rotaryDim === 0)
    source.fail('partial_rotary_factor', `a share of ${headDim} dimensions that gives an even number`);
  return {
    kind: 'rope',
    ropeTheta: source.positive('rope_theta', config.positive('rope_theta', 10000)),
    rotaryDim,
    scaling: scaling(config, parameters ?? config.object('rope_scaling')),
    frequencyDType: frequencyDType(config),
  };
}

/** Up to here a guess about rounded frequencies costs little; beyond it, exact ones are the better guess. */
const shortContext = 2048;

/**
 * A model that was cast with `model.to(dtype)` had its rotary frequencies cast along with the weights, and was evaluated
 * with the rounded ones; one that `from_pretrained` cast kept them in f32. A config cannot tell which: both say `dtype`
 * (transformers 5). For short contexts, as those of the models that this project's fixtures were made with, rounding is
 * assumed; at long ones it would turn distant positions by radians, so there the frequencies are exact.
 */
function frequencyDType(config: ConfigReader): FloatDType {
  const dtype = config.raw('dtype');
  if (config.size('max_position_embeddings', shortContext) > shortContext) return 'f32';
  return dtype === 'bfloat16' ? 'bf16' : dtype === 'float16' ? 'f16' : 'f32';
}

function scaling(config: ConfigReader, rope: ConfigReader | undefined): RopeScaling {
  if (rope === undefined) return { kind: 'none' };
  const key = rope.has('rope_type') ? 'rope_type' : 'type';
  switch (rope.raw(key) ?? 'default') {
    case 'default':
      return { kind: 'none' };
    case 'linear':
      return { kind: 'linear', factor: rope.positive('factor') };
    case 'yarn':
      return yarn(config, rope);
    case 'llama3': {
      const found: RopeScaling = {
        kind: 'llama3',
        factor: rope.positive('factor'),
        lowFreqFactor: rope.positive('low_freq_factor'),
        highFreqFactor: rope.positive('high_freq_factor'),
        originalMaxPositionEmbeddings: rope.size(
          'original_max_position_embeddings',
          config.size('max_position_embeddings', 2048),
        ),
      };
      if (found.highFreqFactor <= found.lowFreqFactor) rope.fail('high_freq_factor', 'more than low_freq_factor');
      return found;
    }
    default:
      return rope.fail(key, 'default, linear, llama3 or yarn');
  }
}

/** YaRN (arXiv 2309.00071) as transformers reads it: the attention factor is written, or follows from the factor. */
function yarn(config: ConfigReader, rope: ConfigReader): RopeScaling {
  const factor = rope.positive('factor');
  const growth = (scale: number) => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  const attentionFactor =
    rope.has('mscale') && rope.has('mscale_all_dim')
      ? growth(rope.positive('mscale')) / growth(rope.positive('mscale_all_dim'))
      : growth(1);
  const found: RopeScaling = {
    kind: 'yarn',
    factor,
    betaFast: rope.positive('beta_fast', 32),
    betaSlow: rope.positive('beta_slow', 1),
    originalMaxPositionEmbeddings: rope.size(
      'original_max_position_embeddings',
      config.size('max_position_embeddings', 2048),
    ),
    attentionFactor: rope.positive('attention_factor', attentionFactor),
    truncate: rope.flag('truncate', true),
  };
  if (found.betaFast <= found.betaSlow) rope.fail('beta_fast', 'more than beta_slow');
  return found;
}
