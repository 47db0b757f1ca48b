// The constant tables behind positions: cosines and sines of rotary embeddings, and the key biases of ALiBi.
// Owns the arithmetic, rounded as the Hugging Face implementation rounds it: at position 8000 the rounding of an angle
// to f32 is worth 5e-4 radians, so the exact angle would be the wrong one.
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '@relufy/tensor';
import type { PositionSpec } from '../spec.js';

type Rope = Extract<PositionSpec, { kind: 'rope' }>;
type Alibi = Extract<PositionSpec, { kind: 'alibi' }>;

/** [positions, rotaryDim]: cos of each angle, then sin of each. */
export function ropeTable(rope: Rope, positions: number): Float32Array {
  const half = rope.rotaryDim / 2;
  const frequencies = ropeFrequencies(rope);
  const table = new Float32Array(positions * rope.rotaryDim);
  const scale = rope.scaling.kind === 'yarn' ? rope.scaling.attentionFactor : 1;
  for (let p = 0; p < positions; p++)
    for (let i = 0; i < half; i++) {
      const angle = Math.fround((frequencies[i] as number) * p);
      table[p * rope.rotaryDim + i] = Math.fround(Math.cos(angle)) * scale;
      table[p * rope.rotaryDim + half + i] = Math.fround(rope.reversed ? -Math.sin(angle) : Math.sin(angle)) * scale;
    }
  return table;
}

/** One frequency a pair of dimensions, scaled as the config says, rounded as the model has it. */
export function ropeFrequencies(rope: Rope): Float32Array {
  const exact = scaledFrequencies(rope);
  switch (rope.frequencyDType) {
    case 'f32':
      return exact;
    case 'bf16':
      return exact.map((frequency) => bf16ToF32(f32ToBf16(frequency)));
    case 'f16':
      return exact.map((frequency) => f16ToF32(f32ToF16(frequency)));
  }
}

function scaledFrequencies(rope: Rope): Float32Array {
  const { rotaryDim, ropeTheta, scaling } = rope;
  const frequencies = Float32Array.from(
    { length: rotaryDim / 2 },
    (_, i) => 1 / Math.fround(ropeTheta ** Math.fround((2 * i) / rotaryDim)),
  );
  switch (scaling.kind) {
    case 'none':
      return frequencies;
    case 'linear':
      return frequencies.map((frequency) => frequency / scaling.factor);
    case 'llama3': {
      // Llama 3.1: long wavelengths are stretched, short ones kept, those between are blended
      const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings: original } = scaling;
      return frequencies.map((frequency) => {
        const wavelength = (2 * Math.PI) / frequency;
        if (wavelength < original / highFreqFactor) return frequency;
        if (wavelength > original / lowFreqFactor) return frequency / factor;
        const smooth = (original / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
        return ((1 - smooth) * frequency) / factor + smooth * frequency;
      });
    }
    case 'yarn': {
      // pairs that turn often within the original context are kept, those that turn less than once are stretched
      const { factor, betaFast, betaSlow, truncate, originalMaxPositionEmbeddings: original } = scaling;
      const pairThatTurns = (times: number) =>
        (rotaryDim * Math.log(original / (times * 2 * Math.PI))) / (2 * Math.log(ropeTheta));
      const [first, last] = [pairThatTurns(betaFast), pairThatTurns(betaSlow)];
      const low = Math.max(0, truncate ? Math.floor(first) : first);
      const high = Math.min(rotaryDim - 1, truncate ? Math.ceil(last) : last);
      const width = high === low ? 0.001 : high - low;
      return frequencies.map((frequency, i) => {
        const stretched = Math.max(0, Math.min(1, (i - low) / width));
        return (frequency / factor) * stretched + frequency * (1 - stretched);
      });
    }
  }
}

/**
 * [heads, positions]: what ALiBi (arXiv 2108.12409) adds to a key's score, before scaling. Falcon computes slope,
 * position and product in bf16, and so does this.
 */
export function alibiTable(alibi: Alibi, heads: number, positions: number): Float32Array {
  const bf16 = (value: number) => bf16ToF32(f32ToBf16(value));
  const table = new Float32Array(heads * positions);
  alibiSlopes(heads).forEach((slope, head) => {
    for (let p = 0; p < positions; p++) table[head * positions + p] = alibi.times * bf16(bf16(slope) * bf16(p));
  });
  return table;
}

/** A geometric sequence for a power of two of heads; further heads take every other term of the next finer one. */
export function alibiSlopes(heads: number): number[] {
  const power = 2 ** Math.floor(Math.log2(heads));
  const base = 2 ** -(2 ** -(Math.log2(power) - 3));
  const slopes = Array.from({ length: power }, (_, i) => base ** (i + 1));
  const finer = 2 ** -(2 ** -(Math.log2(2 * power) - 3));
  for (let i = 0; slopes.length < heads; i++) slopes.push(finer ** (2 * i + 1));
  return slopes;
}
