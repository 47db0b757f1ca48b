// What families read of a config.json alike: activations by their names, and keys that would change the arithmetic in a way
// that nothing here computes. Does not own reading single keys (ConfigReader of @relufy/tensor) or what a family's own mean.
import type { ConfigReader } from '@relufy/tensor';
import type { Activation } from '../spec.js';

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An activation by the names that Hugging Face configs use; `hidden_act_param` holds the threshold of fatrelu. */
export function activationOf(config: ConfigReader, key: string, byDefault: string): Activation {
  const parameterKey = 'hidden_act_param';
  const name: unknown = config.raw(key) ?? byDefault;
  switch (name) {
    case 'relu':
    case 'relu2':
    case 'gelu':
      return { kind: name, threshold: 0 };
    case 'silu':
    case 'swish':
      return { kind: 'silu', threshold: 0 };
    case 'gelu_new':
    case 'gelu_fast':
    case 'gelu_pytorch_tanh':
      return { kind: 'geluTanh', threshold: 0 };
    case 'fatrelu':
    case 'shifted_relu': {
      const threshold = config.raw(parameterKey);
      if (typeof threshold !== 'number' || !Number.isFinite(threshold) || threshold < 0)
        config.fail(parameterKey, `a number >= 0 for ${name}`);
      return { kind: name === 'fatrelu' ? 'fatrelu' : 'relu', threshold };
    }
    case 'swish_beta':
      return { kind: 'swish', threshold: config.positive(parameterKey) };
    default:
      return config.fail(key, 'relu, relu2, fatrelu, shifted_relu, silu, swish_beta, gelu or gelu_pytorch_tanh');
  }
}

/** Keys of any family that would change the arithmetic in a way that is not implemented. */
export function refuseUnsupported(config: ConfigReader, readsQuantization = false): void {
  config.neutral(
    'quantization_config',
    () => readsQuantization,
    'no quantised weights',
    'Use the original checkpoint, or a GGUF of it.',
  );
  config.neutral('rope_interleaved', (value) => value === false, 'false');
  config.neutral('attn_logit_softcapping', () => false, 'no soft-capped attention');
  config.neutral('num_local_experts', (value) => value === 0 || value === 1, 'a dense model');
  config.neutral('num_experts', (value) => value === 0 || value === 1, 'a dense model');
  config.neutral('is_encoder_decoder', (value) => value === false, 'a decoder-only model');
  config.neutral('add_cross_attention', (value) => value === false, 'a decoder-only model');
}
