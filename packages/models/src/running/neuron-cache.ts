// What steps read of neurons that stay in a file, summed over steps: the counters that `fetchRows` leaves, taken after each.
// Where small neurons that are not in memory are left out, it says what small is: thresholds by what activations were of late.
// Does not own who has a slot (fetch-rows.ts of @relufy/tensor).
import { elementsOf, fetchCounter, type LoadedProgram, rowBytes, type Session, slotFields } from '@relufy/tensor';
import type { Decoder } from '../decoder/decoder.js';
import { favouredName, fetchedName } from '../decoder/decoder-buffers.js';
import type { DecoderProgram } from '../decoder/decoder-program.js';
import { listedNeuronRoles } from '../decoder/projections.js';
import type { ModelSpec } from '../spec.js';
import { runningMean } from './running-mean.js';
import type { NeuronStats } from './statistics.js';

export class NeuronCache {
  readonly #slots: number;
  readonly #neurons: number;
  /** Rows of a neuron, and their bytes. */
  readonly #rows: number;
  readonly #bytes: number;
  readonly #width: number;
  /** Share of the mean activation that a neuron must exceed which is not in memory; 0: none. */
  readonly #favour: number;
  /** By layer: the mean of active neurons, as of late; 0: not known. */
  readonly #means: number[];
  #needed = 0;
  #read = 0;

  constructor(spec: ModelSpec, { buffers, neuronSlots, favoursHeld }: Decoder, favourHeld = 0) {
    this.#favour = favoursHeld ? favourHeld : 0;
    this.#width = spec.intermediateSize;
    this.#means = Array.from({ length: spec.numHiddenLayers }, () => 0);
    this.#slots = neuronSlots as number;
    this.#neurons = spec.numHiddenLayers * spec.intermediateSize;
    const names = listedNeuronRoles(spec).map(fetchedName);
    const pools = buffers.filter(({ name }) => names.includes(name));
    this.#rows = pools.length;
    this.#bytes = pools.reduce((sum, { dtype, shape }) => sum + rowBytes(dtype, shape[1] as number), 0);
  }

  async afterStep(session: Session, { loaded, built }: RanProgram): Promise<void> {
    if (this.#favour > 0) await this.#setThresholds(session, loaded, built);
    const counters = await elementsOf(session, 'neurons.counters');
    this.#needed += counters[fetchCounter.wanted] as number;
    this.#read += counters[fetchCounter.read] as number;
    await session.write('neurons.counters', [0, 0], fetchCounter.wanted);
  }

  /** Those of the next step: 0 for whoever is in memory. What is active is taken from a step's first row. */
  async #setThresholds(session: Session, loaded: LoadedProgram, { taps }: DecoderProgram): Promise<void> {
    const width = this.#width;
    const slots = await elementsOf(session, 'neurons.slots');
    const thresholds = this.#means.map(() => new Float32Array(width));
    for (const [layer, all] of thresholds.entries()) {
      const tap = taps.get(`unfavoured.${layer}`);
      if (tap !== undefined) {
        const mean = meanOfActive(await elementsOf(loaded, tap, 0, width));
        if (mean > 0) this.#means[layer] = runningMean(this.#means[layer] as number, mean);
      }
      all.fill(this.#favour * (this.#means[layer] as number));
    }
    for (let at = 0; at < slots.length; at += slotFields) {
      const owner = (slots[at] as number) - 1;
      if (owner >= 0) (thresholds[Math.floor(owner / width)] as Float32Array)[owner % width] = 0;
    }
    for (const [layer, all] of thresholds.entries()) await session.write(favouredName(layer), all);
  }

  stats(): NeuronStats {
    const [needed, read] = [this.#needed, this.#read];
    return {
      slots: this.#slots,
      neurons: this.#neurons,
      needed,
      read,
      hitShare: needed === 0 ? 1 : 1 - read / needed,
      rowsRead: read * this.#rows,
      bytesRead: read * this.#bytes,
    };
  }

  reset(): void {
    this.#needed = 0;
    this.#read = 0;
  }
}

/** What a step ran. */
interface RanProgram {
  readonly loaded: LoadedProgram;
  readonly built: DecoderProgram;
}

/** The mean of what is not zero, without signs; 0 where nothing is. */
function meanOfActive(values: ArrayLike<number>): number {
  let [sum, count] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = Math.abs(values[i] as number);
    if (value > 0 && value < Number.POSITIVE_INFINITY) {
      sum += value;
      count++;
    }
  }
  return count === 0 ? 0 : sum / count;
}
