// A model in less memory than its weights take: how many neurons' rows are kept, and what is refused before anything is
// allocated. Does not own which rows those are in a step (fetch-rows.ts of @relufy/tensor) or where they lie (packed.ts).
import {
  type Backend,
  type BufferDecl,
  heldBytes,
  parseBytes,
  planMemory,
  RelufyError,
  type Rule,
  type StepLimits,
  unitBytes,
} from '@relufy/tensor';
import type { Decoder } from '../decoder/decoder.js';
import { listedNeuronRoles } from '../decoder/projections.js';
import type { ModelSpec } from '../spec.js';

/** Bytes, or a text such as `600MB` or `1.5GiB`. */
export type MemoryBudget = number | string;

const bytesOf = (budget: MemoryBudget): number | undefined =>
  typeof budget === 'number' ? (Number.isFinite(budget) && budget > 0 ? budget : undefined) : parseBytes(budget);

export const aBudget: Rule = {
  expected: 'bytes, or a size such as 600MB or 1.5GiB',
  fits: (value) => (typeof value === 'number' || typeof value === 'string') && bytesOf(value) !== undefined,
};

/** What a backend needs besides buffers and activations: records, scratch of its threads, whole pages. */
const backendBytes = 8 << 20;

/** What a session of this decoder takes. */
export function sessionBytes({ buffers, build }: Pick<Decoder, 'buffers' | 'build'>, limits: StepLimits): number {
  const held = buffers.reduce((sum, buffer) => sum + heldBytes(buffer as BufferDecl, limits), 0);
  const { program } = build({ sparsity: 'exact' });
  return held + planMemory(program).totalUnits * unitBytes + backendBytes;
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6)}MB`;

/**
 * Slots for rows of neurons, so that all of a session fits the budget; undefined where all weights do.
 * @throws RelufyError `option` where no number of slots would do, with what would.
 */
export function neuronSlotsWithin(
  budget: MemoryBudget,
  { name, spec, limits, isPacked, dense, drafts, backend }: NeuronSource,
  build: (neuronSlots?: number) => Decoder,
): number | undefined {
  const bytes = bytesOf(budget) as number;
  const own = backend?.ownBytes ?? 0;
  const beside = own > 0 ? `, and ${megabytes(own)} of the backend's own` : '';
  const fewerThreads = own > 0 && backend && backend.threads > 1 ? 'Fewer threads, a' : 'A';
  const whole = sessionBytes(build(), limits) + own;
  if (whole <= bytes) return undefined;
  const { intermediateSize, numHiddenLayers } = spec;
  const refuse = (expected: string, remedy: string): never => {
    throw new RelufyError('option', `${name} memoryBudget: expected ${expected}, got ${megabytes(bytes)}. ${remedy}`);
  };
  const all = `at least ${megabytes(whole)} for all of its weights, a KV cache and activations${beside}`;
  if (dense || listedNeuronRoles(spec).length === 0)
    refuse(
      `${all}, since every token needs every neuron`,
      dense
        ? 'Load it with sparsity "exact".'
        : 'A model with a ReLU, or a plan that leaves neurons out (option plan), needs less.',
    );
  if (drafts)
    refuse(all, 'With a draftPlan every neuron has to be in memory: load it without, or draft from the prompt.');
  if (!isPacked)
    refuse(
      `${all}, since its file does not hold neurons row by row`,
      'Convert it to a format of memory (relufy convert MODEL --dtype int8, or convertModel), and load that folder.',
    );
  const least = sessionBytes(build(intermediateSize), limits) + own;
  if (least > bytes)
    refuse(
      `at least ${megabytes(least)}: all but the neurons, and room for those of one layer${beside}`,
      `${fewerThreads} smaller contextLength, kvCache "f16" or fewer slots take less.`,
    );
  const each = (sessionBytes(build(2 * intermediateSize), limits) + own - least) / intermediateSize;
  const most = intermediateSize * numHiddenLayers;
  return Math.min(most, intermediateSize + Math.floor((bytes - least) / each));
}

export interface NeuronSource {
  readonly name: string;
  readonly spec: ModelSpec;
  readonly limits: StepLimits;
  /** The checkpoint holds buffers as memory has them. */
  readonly isPacked: boolean;
  /** Every weight is to be read. */
  readonly dense: boolean;
  /** A plan is there for drafts alone. */
  readonly drafts: boolean;
  /** What will run it, where that is known. */
  readonly backend?: Pick<Backend, 'threads' | 'ownBytes'> | undefined;
}
