// What one decoding step read, for whoever shows it while text is written: bytes, shares, and the neurons themselves.
// Does not own which neurons those are (decoder-products.ts) nor sums over many steps (statistics.ts).
import { elementsOf, type LoadedProgram } from '@relufy/tensor';
import type { DecoderProgram } from './decoder-program.js';
import { type ModelStats, rowsRead, StepStatistics } from './statistics.js';

export interface StepActivity {
  /** Bytes of weights that the step read, and that a dense step would have read. */
  readonly weightBytes: number;
  readonly denseWeightBytes: number;
  /** The share of weights that was read, by site and layer. */
  readonly density: ModelStats['density'];
  /** By layer: the FFN neurons whose weights were read, ascending; undefined: all of them. */
  readonly neurons: readonly (Uint32Array | undefined)[];
}

/** How a generation's steps differ from the model's own. */
export interface AdvanceOptions {
  readonly sparsity?: 'exact' | 'dense';
  /** Tell what each decoding step read. */
  readonly activity?: boolean;
}

export interface Advanced {
  /** Of the last id; valid until the next step. */
  readonly logits: Float32Array;
  /** Ids that were not computed again. */
  readonly cached: number;
  readonly activity?: StepActivity;
}

/** Counts a decoding step that has just run, of one row; gives its activity where it is wanted. */
export async function countDecode(
  { built, loaded }: { readonly built: DecoderProgram; readonly loaded: LoadedProgram },
  ms: number,
  statistics: readonly StepStatistics[],
  wantsActivity: boolean,
): Promise<StepActivity | undefined> {
  const rowsOf = await rowsRead(built, loaded);
  for (const each of statistics) each.decode(ms, built, rowsOf);
  if (!wantsActivity) return undefined;
  const layers = built.layers.length;
  const own = new StepStatistics(layers);
  own.decode(0, built, rowsOf);
  const { weightBytesPerToken, denseWeightBytesPerToken, density } = own.get();
  const neurons = new Array<Uint32Array | undefined>(layers).fill(undefined);
  for (const { layer, active, activeCount } of built.neurons) {
    const [count = 0] = await elementsOf(loaded, activeCount, 0, 1);
    // a copy: the next step writes over the list
    neurons[layer] = Uint32Array.from(await elementsOf(loaded, active, 0, count));
  }
  return { weightBytes: weightBytesPerToken, denseWeightBytes: denseWeightBytesPerToken, density, neurons };
}
