// Drawing a token without an exponential for each of 49,152 logits: the same token as the filters and the sum over all of them
// give, bit for bit. Few tokens can be drawn; the others count by a table of exponentials that is within 1e-11 of the
// truth. Where a decision is closer than that, nothing is said, and whoever asked goes the whole way.
// Does not own the filters (logits-filters.ts) nor the random number (sampling.ts).
import {
  draw,
  type LogitsFilter,
  largest,
  minP,
  negligible,
  softmax,
  temperature,
  topK,
  topP,
} from './logits-filters.js';

export interface QuickOptions {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
}

/** The token, or nothing where it takes the whole way. `random` is from [0, 1). */
export type QuickChoice = (logits: Float64Array, top: number, random: number) => number | undefined;

/** Steps of the table in a nat: between two of them the third-order series is off by a 24th of the distance's fourth power, 1e-11. */
const steps = 256;
/** What is decided by less than this share of the whole is not decided here: ten times what table and sums are off. */
const doubt = 2e-10;
/** Logits over a temperature: above, their own rounding shows. */
const largestSure = 1e4;
/** Below, the filter goes another way. */
const leastTemperature = 1e-4;
/** Distances from the best one, in nats, within which enough tokens may lie. */
const reaches = [2, 4, 8, 12, 20];

let table: Float64Array | undefined;

/** e to the -i / steps; those from `negligible` on are 0. */
function exponentials(): Float64Array {
  table ??= Float64Array.from({ length: -negligible * steps + 1 }, (_, i) => Math.exp(-i / steps));
  return table;
}

/** undefined where these options leave nothing to gain. */
export function quickChoice(options: QuickOptions, vocabSize: number): QuickChoice | undefined {
  const { temperature: heat } = options;
  if (heat < leastTemperature) return undefined;
  const k = options.topK < vocabSize ? options.topK : 0;
  const shaping = (mass: boolean): LogitsFilter[] => [
    ...(heat === 1 ? [] : [temperature(heat)]),
    ...(k > 0 ? [topK(k)] : []),
    ...(mass && options.topP !== 1 ? [topP(options.topP)] : []),
    ...(options.minP > 0 ? [minP(options.minP)] : []),
  ];
  const all = shaping(true);
  const afterMass = shaping(false);
  const weights = new Float64Array(vocabSize);
  const indices = new Uint32Array(vocabSize);

  /** As the filters and the sum say of these indices, in their order; none of the others can be drawn. */
  const among = (logits: Float64Array, count: number, filters: readonly LogitsFilter[], random: number): number => {
    const values = new Float64Array(count);
    for (let i = 0; i < count; i++) values[i] = logits[indices[i] as number] as number;
    for (const filter of filters) filter(values, [], 0);
    return indices[draw(softmax(values, largest(values), values), random)] as number;
  };

  /** Fills `indices` with those within so much of the best logit. */
  const within = (logits: Float64Array, least: number): number => {
    let count = 0;
    for (let i = 0; i < logits.length; i++) if ((logits[i] as number) >= least) indices[count++] = i;
    return count;
  };

  const amongTopK = (logits: Float64Array, top: number, random: number): number | undefined => {
    for (const reach of reaches) {
      const count = within(logits, top - reach * heat);
      if (count >= k) return among(logits, count, all, random);
    }
    return undefined;
  };

  /** Fills `weights` with about e to the distance from the best one; gives their sum. */
  const weigh = (logits: Float64Array, top: number): number => {
    const powers = exponentials();
    const scale = steps / heat;
    const end = -negligible * steps;
    let sum = 0;
    for (let i = 0; i < logits.length; i++) {
      const distance = (top - (logits[i] as number)) * scale;
      let weight = 0;
      if (distance < end) {
        const at = distance | 0;
        const rest = (distance - at) / steps;
        weight = (powers[at] as number) * (1 - rest * (1 - rest * (0.5 - rest / 6)));
      }
      weights[i] = weight;
      sum += weight;
    }
    return sum;
  };

  const amongMass = (logits: Float64Array, top: number, random: number): number | undefined => {
    const sum = weigh(logits, top);
    const mass = options.topP * sum;
    const unsure = doubt * sum;
    for (const reach of reaches) {
      const least = Math.exp(-reach);
      let count = 0;
      let found = 0;
      for (let i = 0; i < weights.length; i++) {
        const weight = weights[i] as number;
        if (weight < least) continue;
        indices[count++] = i;
        found += weight;
      }
      if (found <= mass + unsure) continue;
      const kept = crossing(logits, count, least, mass, unsure);
      return kept === undefined ? undefined : among(logits, kept, afterMass, random);
    }
    return undefined;
  };

  /** Leaves in `indices` the likeliest of the first `count`, up to the one that crosses the mass; nothing where that is close. */
  const crossing = (
    logits: Float64Array,
    count: number,
    least: number,
    mass: number,
    unsure: number,
  ): number | undefined => {
    const order = indices.subarray(0, count);
    const value = (id: number) => (logits[id] as number) / heat;
    order.sort((a, b) => value(b) - value(a) || a - b);
    let sum = 0;
    let kept = 0;
    while (kept < count && sum < mass) {
      sum += weights[order[kept++] as number] as number;
      if (Math.abs(sum - mass) <= unsure) return undefined;
    }
    // next to the end of what was looked at, the table may have turned two around
    if ((weights[order[kept - 1] as number] as number) < least * (1 + doubt)) return undefined;
    order.subarray(0, kept).sort();
    return kept;
  };

  const amongAll = (logits: Float64Array, top: number, random: number): number | undefined => {
    const sum = weigh(logits, top);
    const drawn = random * sum;
    const unsure = doubt * sum;
    let before = 0;
    for (let i = 0; i < weights.length; i++) {
      const after = before + (weights[i] as number);
      if (after > drawn + unsure) return before < drawn - unsure || i === 0 ? i : undefined;
      before = after;
    }
    return undefined;
  };

  const bar = options.minP > 0 ? -Math.log(options.minP) * heat : 0;
  const choose =
    k > 0
      ? amongTopK
      : options.topP !== 1
        ? amongMass
        : options.minP > 0
          ? (logits: Float64Array, top: number, random: number) =>
              // a little more: the filter says which of them are kept
              among(logits, within(logits, top - bar - 1e-6 * (heat + bar)), all, random)
          : amongAll;
  return (logits, top, random) => (Math.abs(top) / heat > largestSure ? undefined : choose(logits, top, random));
}
