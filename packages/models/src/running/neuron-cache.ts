// What steps read of neurons that stay in a file, summed over steps: the counters that `fetchRows` leaves, taken after each.
// Does not own who has a slot (fetch-rows.ts of @relufy/tensor).
import { elementsOf, fetchCounter, rowBytes, type Session } from '@relufy/tensor';
import type { Decoder } from '../decoder/decoder.js';
import { fetchedName } from '../decoder/decoder-buffers.js';
import { listedNeuronRoles } from '../decoder/projections.js';
import type { ModelSpec } from '../spec.js';
import type { NeuronStats } from './statistics.js';

export class NeuronCache {
  readonly #slots: number;
  readonly #neurons: number;
  /** Rows of a neuron, and their bytes. */
  readonly #rows: number;
  readonly #bytes: number;
  #needed = 0;
  #read = 0;

  constructor(spec: ModelSpec, { buffers, neuronSlots }: Decoder) {
    this.#slots = neuronSlots as number;
    this.#neurons = spec.numHiddenLayers * spec.intermediateSize;
    const names = listedNeuronRoles(spec).map(fetchedName);
    const pools = buffers.filter(({ name }) => names.includes(name));
    this.#rows = pools.length;
    this.#bytes = pools.reduce((sum, { dtype, shape }) => sum + rowBytes(dtype, shape[1] as number), 0);
  }

  async afterStep(session: Session): Promise<void> {
    const counters = await elementsOf(session, 'neurons.counters');
    this.#needed += counters[fetchCounter.wanted] as number;
    this.#read += counters[fetchCounter.read] as number;
    await session.write('neurons.counters', [0, 0], fetchCounter.wanted);
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
