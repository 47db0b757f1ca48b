// Llama 3's rotary scaling: config.json holds four numbers, GGUF the factor of every frequency (`rope_freqs.weight`).
// Owns: both directions. Three of the four numbers are known only up to a common scale, which is fixed by
// low_freq_factor = 1, the value of every released model; the result is checked by computing the factors again.
// Does not own: applying them (the model does).
import { show } from '@relufy/tensor';
import { malformed } from '../malformed.js';

export interface Llama3Scaling {
  readonly factor: number;
  readonly low_freq_factor: number;
  readonly high_freq_factor: number;
  readonly original_max_position_embeddings: number;
}

/** One factor a rotated pair: 1 for short wavelengths, `factor` for long ones, in between a blend of 1/1 and 1/factor. */
export function ropeFactors(scaling: Llama3Scaling, theta: number, headDim: number): Float32Array {
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = scaling;
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const turns = original / wavelength(i, theta, headDim);
    if (turns > high) return 1;
    if (turns < low) return factor;
    const smooth = (turns - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

const wavelength = (i: number, theta: number, headDim: number): number => 2 * Math.PI * theta ** ((2 * i) / headDim);

/** `rope_scaling` of config.json from the factors. */
export function llama3Scaling(
  where: string,
  factors: Float32Array,
  theta: number,
  headDim: number,
): Llama3Scaling & { rope_type: 'llama3' } {
  const factor = factors.reduce((most, value) => Math.max(most, value), 1);
  for (const guess of [...fits(factors, factor, theta, headDim), { high: 4, original: 8192 }]) {
    const scaling = {
      factor: rounded(factor),
      low_freq_factor: 1,
      high_freq_factor: rounded(guess.high),
      original_max_position_embeddings: rounded(guess.original),
    };
    const again = ropeFactors(scaling, theta, headDim);
    if (factors.length === again.length && again.every((value, i) => Math.abs(value - factors[i]!) <= 1e-4 * value))
      return { rope_type: 'llama3', ...scaling };
  }
  throw malformed(
    where,
    `tensor "rope_freqs.weight", expected the factors of a llama3 scaling, got ${show([...factors].slice(0, 8))}`,
    'This scaling is not supported.',
  );
}

/**
 * In the blended part, (1/f - 1/factor) / (1 - 1/factor) is linear in 1/wavelength: slope and intercept tell the rest.
 * Small heads have one frequency there, or none; then several scalings give the same factors, and one is taken.
 */
function* fits(factors: Float32Array, factor: number, theta: number, headDim: number) {
  const at = (i: number): number => wavelength(i, theta, headDim);
  const points: { wave: number; smooth: number }[] = [];
  factors.forEach((value, i) => {
    if (value > 1.0001 && value < factor * 0.9999)
      points.push({ wave: at(i), smooth: (1 / value - 1 / factor) / (1 - 1 / factor) });
  });
  const [first, last] = [points[0], points.at(-1)];
  if (first && last && points.length > 1) {
    const slope = (last.smooth - first.smooth) / (1 / last.wave - 1 / first.wave);
    const high = 1 - 1 / (first.smooth - slope / first.wave);
    yield { high, original: slope * (high - 1) };
  }
  if (first) yield { high: 4, original: first.wave * (3 * first.smooth + 1) };
  const long = factors.indexOf(factor);
  if (long > 0 && factor > 1) {
    const high = Math.min(4, Math.sqrt(at(long) / at(long - 1)));
    yield { high, original: Math.sqrt(high * at(long - 1) * at(long)) };
  }
}

/** The nearest number that a person would have written. */
function rounded(value: number): number {
  const whole = Math.round(value);
  return Math.abs(value - whole) <= 1e-3 * Math.abs(value) ? whole : Number(value.toPrecision(6));
}
