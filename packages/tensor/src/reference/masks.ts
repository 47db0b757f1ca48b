// The definition of the ops that choose: activate by a mask's code, keepTop, agreeingSigns, by which a predictor chooses,
// and markActive, which remembers what was chosen. As naive as kernels.ts. What is not chosen is +0, so that `selectActive` lists what is. Every comparison is of
// f32 numbers, so that every backend chooses alike.
import { activationCodes } from '../activations.js';
import { field, type Kernel, type OpCall, operand } from './call.js';

/** What x[r][c] is compared with; undefined where the row passes whole. */
export function thresholdOf(call: OpCall, r: number, c: number): number | undefined {
  const { strength } = call.operands;
  const threshold = operand(call, 'thresholds').get(field(call, 'perColumn') === 1 ? c : 0);
  if (strength === undefined) return threshold;
  return strength.get(r) === 0 ? undefined : Math.fround(threshold * strength.get(r));
}

/** Whether a mask lets x through. NaN is neither below a threshold nor above it: magnitudes keep it. */
export function passes(code: number, x: number, threshold: number | undefined): boolean {
  const size = Math.abs(x);
  switch (code) {
    case activationCodes.magnitude:
      return threshold === undefined || !(size <= threshold);
    case activationCodes.remainder:
      return threshold !== undefined && size <= threshold;
    case activationCodes.step:
      return threshold === undefined || x > threshold;
    case activationCodes.magnitudeOrEqual:
      return threshold === undefined || !(size < threshold);
    default:
      throw new Error(`internal: no mask has code ${code}`);
  }
}

export const mask: Kernel = (call) => {
  const [x, out, kind, width] = [operand(call, 'x'), operand(call, 'out'), field(call, 'kind'), field(call, 'width')];
  for (let r = 0; r < call.count; r++)
    for (let c = 0; c < width; c++) {
      const value = x.get(r * width + c);
      const kept = passes(kind, value, thresholdOf(call, r, c));
      out.set(r * width + c, !kept ? 0 : kind === activationCodes.step ? 1 : value);
    }
};

export const keepTop: Kernel = (call) => {
  const [x, out, { scale, strength }] = [operand(call, 'x'), operand(call, 'out'), call.operands];
  const [width, groupSize, k] = [field(call, 'width'), field(call, 'groupSize'), field(call, 'k')];
  const stretch = field(call, 'within') || width;
  for (let r = 0; r < call.count; r++)
    for (let first = 0; first < width; first += stretch) {
      const groups = Array.from({ length: stretch / groupSize }, (_, group) => {
        const begin = first + group * groupSize;
        let score = 0;
        for (let c = begin; c < begin + groupSize; c++)
          score = Math.fround(score + Math.fround(Math.abs(x.get(r * width + c)) * (scale ? scale.get(c) : 1)));
        return { begin, score };
      });
      // a stable sort: equals stay in order of index
      const best = [...groups].sort((a, b) => rank(b.score) - rank(a.score) || b.score - a.score || 0);
      const whole = strength !== undefined && strength.get(r) === 0;
      const kept = new Set(whole ? groups : best.slice(0, k));
      for (const group of groups)
        for (let c = group.begin; c < group.begin + groupSize; c++)
          out.set(r * width + c, kept.has(group) ? x.get(r * width + c) : 0);
    }
};

/** NaN before everything. */
const rank = (score: number): number => (Number.isNaN(score) ? 1 : 0);

export const agreeingSigns: Kernel = (call) => {
  const [x, signs, out] = [operand(call, 'x'), operand(call, 'signs'), operand(call, 'out')];
  const [inWidth, outWidth] = [field(call, 'inWidth'), field(call, 'outWidth')];
  for (let r = 0; r < call.count; r++)
    for (let n = 0; n < outWidth; n++) {
      let agreeing = 0;
      for (let i = 0; i < inWidth; i++) {
        const word = signs.get(n * signs.columns + Math.floor(i / 32));
        if (((word >>> (i % 32)) & 1) === Number(x.get(r * inWidth + i) < 0)) agreeing++;
      }
      out.set(r * outWidth + n, agreeing);
    }
};

export const markActive: Kernel = (call) => {
  const [x, slots, marks, width] = [
    operand(call, 'x'),
    operand(call, 'slots'),
    operand(call, 'marks'),
    field(call, 'width'),
  ];
  for (let r = 0; r < call.count; r++)
    for (let i = 0; i < width; i++) if (x.get(r * width + i) !== 0) marks.set(slots.get(r) * width + i, 1);
};
