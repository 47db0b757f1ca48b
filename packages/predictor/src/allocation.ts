// How what is left out is shared among the sites of a block: from one number, the share of all weights, to a share by layer
// and site. Evenly, or as TEAL does (2408.14690): whatever changes the block's output least goes next. Does not own sharing
// between blocks (site-costs.ts), thresholds (methods.ts) nor the search for the number (calibrate.ts).
import { type Journal, remembered } from './journal.js';
import type { Method } from './method.js';
import type { Shares } from './sites.js';
import type { Hear } from './statistics.js';
import type { Subject } from './subject.js';

/** Shares by layer and site for a share of all weights of the blocks that the sites can reach. */
export type Allocate = (share: number) => Shares;

/** What of a block one step of the greedy search leaves out. */
const step = 0.025;
/** No block is emptied beyond this share of its weights. */
const mostOfBlock = 0.85;
/** Positions at the beginning of a window whose errors do not count: attention's sinks lie there. */
const uncounted = 0.25;

/** Where the greedy search of one block went. */
interface BlockTable {
  /** Of the block's weights. */
  readonly share: number;
  /** By site. */
  readonly sites: readonly number[];
  /** Mean over channels of the norm over tokens of what changes, over the same of the block's output. */
  readonly error: number;
}

/** All sites alike: a share of all weights of the blocks, divided by what the sites can reach. */
export function uniform({ sites }: Pick<Method, 'sites'>, layers: number): Allocate {
  const reach = sites.reduce((sum, { share }) => sum + share, 0);
  return (share) => Array.from({ length: layers }, () => sites.map(() => Math.min(1, share / reach)));
}

export interface SearchContext {
  readonly subject: Subject;
  readonly method: Method;
  readonly windows: readonly (readonly number[])[];
  readonly journal: Journal | undefined;
  readonly hear: (what: string) => Hear;
}

/** TEAL's greedy search of every block by itself, on what the dense model feeds it. */
export async function blockTables(context: SearchContext): Promise<readonly (readonly BlockTable[])[]> {
  const { subject, method, windows, journal, hear } = context;
  const { numHiddenLayers } = subject.spec;
  const hearBlock = hear('sharing out within blocks');
  let states: Float32Array[][] | undefined;
  const tables: (readonly BlockTable[])[] = [];
  for (let layer = 0; layer < numHiddenLayers; layer++) {
    hearBlock(layer / numHiddenLayers);
    const known = journal?.get(`block ${layer}`);
    if (known === undefined) {
      await subject.use(method.draft(nothing(method, numHiddenLayers)));
      states ??= await inTurn(windows, (ids) => subject.hiddenStates(ids));
    }
    tables.push(
      await remembered(journal, `block ${layer}`, () => searchBlock(context, layer, states as Float32Array[][])),
    );
  }
  return tables;
}

export const nothing = ({ sites }: Method, layers: number): number[][] =>
  Array.from({ length: layers }, () => sites.map(() => 0));

/** What a block's output becomes where shares of its sites are left out, against what the dense model feeds it. */
export function blockErrorOf(
  { subject, method }: Pick<SearchContext, 'subject' | 'method'>,
  layer: number,
  states: readonly (readonly Float32Array[])[],
): (shares: readonly number[]) => Promise<number> {
  const { numHiddenLayers, hiddenSize } = subject.spec;
  const at = (boundary: number) => states.map((own) => own[boundary] as Float32Array);
  const [given, wanted] = [at(layer), at(layer + 1)];
  const out = given.map(({ length }) => new Float32Array(length));
  return async (shares) => {
    const all = nothing(method, numHiddenLayers);
    all[layer] = [...shares];
    await subject.use(onlyLayer(method, all, layer));
    for (const [index, input] of given.entries()) await subject.block(layer, input, out[index] as Float32Array);
    return relativeError(out, wanted, given, hiddenSize);
  };
}

async function searchBlock(
  { subject, method }: SearchContext,
  layer: number,
  states: readonly (readonly Float32Array[])[],
): Promise<BlockTable[]> {
  const { numHiddenLayers } = subject.spec;
  const { sites } = method;
  const errorOf = blockErrorOf({ subject, method }, layer, states);
  const shares = sites.map(() => 0);
  const table: BlockTable[] = [{ share: 0, sites: [...shares], error: 0 }];
  for (let share = step; share <= mostOfBlock + 1e-9; share += step) {
    let best: { site: number; error: number; to: number } | undefined;
    for (const [site, { share: weight }] of sites.entries()) {
      if (shares[site]! >= 1) continue;
      const to = Math.min(1, shares[site]! + step / weight);
      const error = await errorOf(shares.map((one, at) => (at === site ? to : one)));
      if (best === undefined || error < best.error) best = { site, error, to };
    }
    if (best === undefined) break;
    shares[best.site] = best.to;
    const own = sites.reduce((sum, { share: weight }, at) => sum + weight * shares[at]!, 0);
    table.push({ share: own, sites: [...shares], error: best.error });
  }
  await subject.use(onlyLayer(method, nothing(method, numHiddenLayers), layer));
  return table;
}

/** The numbers of one layer: the others stay as they are. */
export function onlyLayer(method: Method, shares: Shares, layer: number) {
  const { plan, tensors } = method.draft(shares);
  const own = [...tensors].filter(([name]) => name.startsWith(`layers.${layer}.`));
  return { plan, tensors: new Map(own) };
}

/** Of channels: the norm over tokens of what came out otherwise, over that of what the block adds; then their mean. */
function relativeError(
  got: readonly Float32Array[],
  wanted: readonly Float32Array[],
  given: readonly Float32Array[],
  width: number,
): number {
  let [sum, all] = [0, 0];
  for (const [index, values] of got.entries()) {
    const [dense, input] = [wanted[index] as Float32Array, given[index] as Float32Array];
    const rows = values.length / width;
    const errors = new Float64Array(width);
    const sizes = new Float64Array(width);
    for (let at = Math.floor(rows * uncounted) * width; at < values.length; at++) {
      const [error, size] = [values[at]! - dense[at]!, dense[at]! - input[at]!];
      errors[at % width]! += error * error;
      sizes[at % width]! += size * size;
    }
    for (let i = 0; i < width; i++) {
      sum += Math.sqrt(errors[i]!);
      all += Math.sqrt(sizes[i]!);
    }
  }
  return sum / all;
}

/** A block's sites at any share of its weights: between the two rows of its table. */
function sitesAt(table: readonly BlockTable[], share: number): readonly number[] {
  const after = table.findIndex((row) => row.share >= share - 1e-12);
  const last = table.at(-1) as BlockTable;
  if (after < 0) return last.sites;
  if (after === 0) return (table[0] as BlockTable).sites;
  const [low, high] = [table[after - 1] as BlockTable, table[after] as BlockTable];
  const part = (share - low.share) / (high.share - low.share);
  return low.sites.map((value, site) => value + part * (high.sites[site]! - value));
}

/** TEAL: every block the same share, within it as its table says. */
export const greedy =
  (tables: readonly (readonly BlockTable[])[]): Allocate =>
  (share) =>
    tables.map((table) => sitesAt(table, share));

async function inTurn<In, Out>(items: readonly In[], each: (item: In) => Promise<Out>): Promise<Out[]> {
  const out: Out[] = [];
  for (const item of items) out.push(await each(item));
  return out;
}
