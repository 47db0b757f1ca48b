// What one decoding step read, for whoever shows it while text is written: bytes, shares, and the neurons themselves.
// Does not own which neurons those are (decoder-products.ts) nor sums over many steps (statistics.ts).
import { elementsOf, type LoadedProgram } from '@relufy/tensor';
import type { DecoderProgram, ProgramOptions } from '../decoder/decoder-program.js';
import { type ModelStats, StepStatistics, type TokenCost } from './statistics.js';

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
  /** Of a step whose tokens stand in a window that loads or reuses neurons. */
  readonly phase?: ProgramOptions['phase'];
  /** By the plan that drafts. */
  readonly drafts?: boolean;
  /** All rows are of this slot, and what they read is counted together too. */
  readonly together?: number;
}

export interface Advanced {
  /** [vocab], of one id. Valid until the next step. */
  readonly logits: Float32Array;
  /** Ids that were not computed again. */
  readonly cached: number;
  readonly activity?: StepActivity;
}

/** The neurons that each of the first `count` rows of a step read. */
export async function neuronsRead(
  { neurons, layers }: Pick<DecoderProgram, 'neurons' | 'layers'>,
  loaded: LoadedProgram,
  count: number,
): Promise<StepActivity['neurons'][]> {
  const rows = Array.from({ length: count }, () => new Array<Uint32Array | undefined>(layers.length).fill(undefined));
  for (const { layer, active, activeCount } of neurons) {
    const width = loaded.program.buffers.get(active)?.shape[1] as number;
    const counts = await elementsOf(loaded, activeCount, 0, count);
    for (const [row, lists] of rows.entries()) {
      const list = await elementsOf(loaded, active, row * width, row * width + (counts[row] as number));
      // a copy: the next step writes over the list
      lists[layer] = Uint32Array.from(list);
    }
  }
  return rows;
}

/** Of one row, by what it cost. */
export function activityOf(layers: number, cost: TokenCost, neurons: StepActivity['neurons']): StepActivity {
  const own = new StepStatistics(layers);
  own.decode(0, cost);
  return { weightBytes: cost.bytes, denseWeightBytes: cost.denseBytes, density: own.get().density, neurons };
}
