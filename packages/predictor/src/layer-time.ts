// What a layer of a decoding step takes with its predictor and without, of pairs of timings, and whether the difference is more
// than noise. Does not own the clock (subject.ts) nor what follows from it (fit.ts).

/** Milliseconds of a layer in a decoding step, with its predictor and without: medians. */
export interface LayerTime {
  readonly predicted: number;
  readonly exact: number;
  /** What the predictor saves at least: medians of pairs like these lie above it 39 times of 40. Not above 0: it may cost time. */
  readonly saved: number;
}

/**
 * Of pairs, token by token. The least saving is a bound by rank, which needs no form of noise: on a layer of 50 us, whose medians
 * move by 2 % from run to run, half of the layers changed sides where medians alone decided.
 */
export function layerTimeOf(predicted: readonly number[], exact: readonly number[]): LayerTime {
  const saved = ascending(exact.map((ms, pair) => ms - (predicted[pair] as number)));
  const place = Math.floor(saved.length / 2 - Math.sqrt(saved.length));
  return {
    predicted: middle(ascending(predicted)),
    exact: middle(ascending(exact)),
    // too few pairs say nothing
    saved: saved[place] ?? Number.NEGATIVE_INFINITY,
  };
}

const ascending = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);
const middle = (sorted: readonly number[]): number => sorted[Math.floor(sorted.length / 2)] as number;
