// Where a slot's part of a session's state lies: keys and values of its positions, or what a recurrent mixer keeps of its
// tokens. Whoever copies a slot (a fork, a conversation that is parked) goes by these runs.
// Does not own what the slots hold (slots.ts) nor the buffers (decoder-buffers.ts).
import { recurrentState } from '../decoder/recurrent.js';
import type { ModelSpec } from '../spec.js';

/** Elements [at, at + count) of a state buffer. */
export interface SlotRun {
  readonly buffer: string;
  readonly at: number;
  readonly count: number;
}

export interface SlotLayout {
  readonly contextLength: number;
  /**
   * The state of a prefix is part of the state: keys and values are those of a position. A recurrent state is that of the
   * last token: it is kept whole or not at all.
   */
  readonly keepsPrefixes: boolean;
  /** What the first `length` tokens of a slot take, of all slots in the same order. */
  runs(slot: number, length: number): readonly SlotRun[];
}

export function slotLayout(spec: ModelSpec, contextLength: number): SlotLayout {
  const { mixer, numHiddenLayers } = spec;
  if (mixer.kind !== 'attention') {
    const state = recurrentState(spec);
    return {
      contextLength,
      keepsPrefixes: false,
      runs: (slot, length) =>
        length === 0 ? [] : state.map(({ name, width }) => ({ buffer: name, at: slot * width, count: width })),
    };
  }
  return keyValueLayout(numHiddenLayers * mixer.numKeyValueHeads, mixer.headDim, contextLength);
}

/** Of `kCache` and `vCache`: [slots, heads of all layers, contextLength, headDim]. */
export function keyValueLayout(heads: number, headDim: number, contextLength: number): SlotLayout {
  return {
    contextLength,
    keepsPrefixes: true,
    runs: (slot, length) =>
      ['kCache', 'vCache'].flatMap((buffer) =>
        Array.from({ length: heads }, (_, head) => {
          return { buffer, at: (slot * heads + head) * contextLength * headDim, count: length * headDim };
        }),
      ),
  };
}
