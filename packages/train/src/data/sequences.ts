// Which sequences a step trains on: a stream of draws over the sources' sequences that a seed and counters decide, so
// that a resumed run goes on where the other one stopped. Owns cutting tokens into sequences and drawing among them.
// Does not own tokens (token-file.ts) or how sequences become rows (parts.ts).
import { RelufyError } from '@relufy/tensor';
import { permutation, Random } from '../random.js';
import type { TokenData } from './token-file.js';

/** A run of tokens: the first is only read, each later one may be scored. */
export interface Sequence {
  readonly ids: Int32Array;
  readonly mask: Uint8Array;
}

export type Packing = 'stream' | 'documents';

/** The sequences of one source, those without a scored token left out. */
export class SequenceSource {
  readonly #data: TokenData;
  /** [from, to) of each sequence. */
  readonly #spans: Int32Array;

  /** @throws RelufyError `input` when there is none. */
  constructor(data: TokenData, contextLength: number, packing: Packing) {
    this.#data = data;
    const spans = packing === 'stream' ? streamSpans(data, contextLength) : documentSpans(data, contextLength);
    if (spans.length === 0 && packing === 'stream' && data.ids.length <= contextLength)
      throw new RelufyError(
        'input',
        `${data.name}: expected more than contextLength (${contextLength}) tokens, got ${data.ids.length}. Shorten the context, or set packing to documents.`,
      );
    this.#spans = Int32Array.from(spans.filter(([from, to]) => isScored(data, from, to)).flat());
    if (this.#spans.length === 0)
      throw new RelufyError(
        'input',
        `${data.name}: expected sequences with scored tokens, got none. Set its loss to all, or check its answers.`,
      );
  }

  get count(): number {
    return this.#spans.length / 2;
  }

  at(index: number): Sequence {
    const [from, to] = [this.#spans[2 * index] as number, this.#spans[2 * index + 1] as number];
    return { ids: this.#data.ids.subarray(from, to), mask: this.#data.mask.subarray(from, to) };
  }
}

/** Sequences overlap by one token, which one reads and the other is scored on. */
function streamSpans({ ids }: TokenData, contextLength: number): [number, number][] {
  const spans: [number, number][] = [];
  for (let from = 0; from + contextLength < ids.length; from += contextLength)
    spans.push([from, from + contextLength + 1]);
  return spans;
}

function documentSpans({ ids, documents }: TokenData, contextLength: number): [number, number][] {
  const spans: [number, number][] = [];
  documents.forEach((start, i) => {
    const end = documents[i + 1] ?? ids.length;
    for (let from = start; from + 1 < end; from += contextLength)
      spans.push([from, Math.min(end, from + contextLength + 1)]);
  });
  return spans;
}

function isScored({ mask }: TokenData, from: number, to: number): boolean {
  for (let i = from + 1; i < to; i++) if (mask[i] === 1) return true;
  return false;
}

/** Draws so far: of all, and of each source. */
export interface DrawState {
  readonly drawn: number;
  readonly bySource: readonly number[];
}

/** An endless stream of sequences. Each source is gone through in a new order every epoch. */
export class SequenceStream {
  readonly #sources: readonly SequenceSource[];
  readonly #weights: readonly number[];
  readonly #seed: number;
  readonly #orders = new Map<number, { epoch: number; order: Uint32Array }>();
  #state: DrawState;

  constructor(
    sources: readonly { readonly source: SequenceSource; readonly weight: number }[],
    seed: number,
    state: DrawState = { drawn: 0, bySource: sources.map(() => 0) },
  ) {
    const total = sources.reduce((sum, { weight }) => sum + weight, 0);
    if (!(total > 0)) throw new RelufyError('option', 'data: expected a weight above 0, got none.');
    if (state.bySource.length !== sources.length)
      throw new RelufyError(
        'checkpoint',
        `data: expected to go on with ${sources.length} sources, got a state of ${state.bySource.length}. The checkpoint belongs to another run.`,
      );
    this.#sources = sources.map(({ source }) => source);
    this.#weights = sources.map(({ weight }) => weight / total);
    this.#seed = seed;
    this.#state = state;
  }

  /** What a new stream needs to go on here. */
  get state(): DrawState {
    return this.#state;
  }

  next(): Sequence {
    const { drawn, bySource } = this.#state;
    const chosen = this.#choose(new Random(this.#seed, 1, drawn).next());
    const source = this.#sources[chosen] as SequenceSource;
    const before = bySource[chosen] as number;
    const epoch = Math.floor(before / source.count);
    let known = this.#orders.get(chosen);
    if (known?.epoch !== epoch) {
      known = { epoch, order: permutation(source.count, this.#seed, 2, chosen, epoch) };
      this.#orders.set(chosen, known);
    }
    this.#state = { drawn: drawn + 1, bySource: bySource.map((n, i) => (i === chosen ? n + 1 : n)) };
    return source.at(known.order[before % source.count] as number);
  }

  #choose(share: number): number {
    let below = 0;
    for (const [i, weight] of this.#weights.entries()) {
      below += weight;
      if (share < below) return i;
    }
    // rounding has left a rest
    return this.#weights.lastIndexOf(Math.max(...this.#weights));
  }
}
