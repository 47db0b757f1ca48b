// What a site costs at the model's end, and sharing out by it among all sites of all blocks: each is tried alone, its cost is
// how far the model's predictions move (the Kullback-Leibler divergence from the dense model's), and it is taken to grow with
// the energy that is left out. Then whatever costs least for the next weights goes next. Divergence rather than loss: which
// word comes next in a text is noise that a few hundred tokens do not average out. Does not own thresholds (methods.ts).
import type { Allocate, SearchContext } from './allocation.js';
import { nothing } from './allocation.js';
import { remembered } from './journal.js';
import type { Method } from './method.js';

/** Share of a site's channels that are left out where it is tried; of those that are not zero by themselves, where many are. */
const probed = 0.6;
/** Shares at which a site's energy is known; straight lines between. */
const energyPoints = 64;
/** No site is emptied beyond this share. */
const mostOfSite = 0.95;
/** Of predictions that are held for comparison, at most. */
const heldBytes = 48 << 20;

/** By layer and site, what leaving out all of its energy would cost, if it went on as it began. */
export type SiteCosts = readonly (readonly number[])[];

/** Tries every site alone. */
export async function siteCosts(context: SearchContext): Promise<SiteCosts> {
  const { subject, method, windows, journal, hear } = context;
  const { numHiddenLayers, vocabSize } = subject.spec;
  const held = Math.floor(heldBytes / (4 * vocabSize));
  const looked: (readonly number[])[] = [];
  let room = held;
  for (const ids of windows) {
    if (room < 2) break;
    looked.push(ids.slice(0, room));
    room -= ids.length;
  }
  const hearSite = hear('weighing sites');
  let dense: Float32Array[] | undefined;
  const divergence = async (layer: number, site: number, share: number): Promise<number> => {
    if (dense === undefined) {
      await subject.use(method.draft(nothing(method, numHiddenLayers)));
      dense = await predictions(context, looked);
    }
    const shares = nothing(method, numHiddenLayers);
    shares[layer]![site] = share;
    await subject.use(method.draft(shares));
    return meanDivergence(context, looked, dense);
  };
  const costs: number[][] = [];
  for (let layer = 0; layer < numHiddenLayers; layer++) {
    const own: number[] = [];
    for (const site of method.sites.keys()) {
      hearSite((layer * method.sites.length + site) / (numHiddenLayers * method.sites.length));
      const share = probeOf(method, layer, site);
      const key = `site ${layer} ${site}${share === probed ? '' : ` at ${share}`}`;
      const cost = await remembered(journal, key, () => divergence(layer, site, share));
      own.push(cost / Math.max(1e-12, energyOf(method, layer, site, share)));
    }
    costs.push(own);
  }
  return costs;
}

/** Beyond the zeros that a ReLU makes, which cost nothing: tried within them, a site would look as if all of it were free. */
function probeOf(method: Method, layer: number, site: number): number {
  let zeros = 0;
  while (zeros < energyPoints && energyOf(method, layer, site, (zeros + 1) / energyPoints) === 0) zeros++;
  const own = zeros / energyPoints;
  return own + probed * (1 - own);
}

const energyOf = (method: Method, layer: number, site: number, share: number): number => {
  if (method.energy === undefined) throw new Error('internal: a method without energies');
  return method.energy(layer, site, share);
};

/** log p of every word at every position but the last of each window, [positions, vocab]. */
async function predictions(
  { subject }: Pick<SearchContext, 'subject'>,
  windows: readonly (readonly number[])[],
): Promise<Float32Array[]> {
  const { vocabSize } = subject.spec;
  const held: Float32Array[] = [];
  for (const ids of windows) {
    const own = new Float32Array((ids.length - 1) * vocabSize);
    await subject.logits(ids, (logits, at) => own.set(logits, at * vocabSize));
    for (let at = 0; at < own.length; at += vocabSize) toLogProbabilities(own.subarray(at, at + vocabSize));
    held.push(own);
  }
  return held;
}

async function meanDivergence(
  { subject }: Pick<SearchContext, 'subject'>,
  windows: readonly (readonly number[])[],
  dense: readonly Float32Array[],
): Promise<number> {
  const { vocabSize } = subject.spec;
  let [sum, count] = [0, 0];
  for (const [index, ids] of windows.entries()) {
    const wanted = dense[index] as Float32Array;
    await subject.logits(ids, (logits, at, rows) => {
      for (let row = 0; row < rows; row++) {
        const got = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
        toLogProbabilities(got);
        const from = (at + row) * vocabSize;
        for (let i = 0; i < vocabSize; i++) sum += Math.exp(wanted[from + i]!) * (wanted[from + i]! - got[i]!);
        count++;
      }
    });
  }
  return sum / count;
}

function toLogProbabilities(logits: Float32Array): void {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > most) most = logits[i]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - most);
  const all = most + Math.log(sum);
  for (let i = 0; i < logits.length; i++) logits[i]! -= all;
}

/** How much of each site goes for a share of all weights; `factors`, one a layer, make blocks dearer or cheaper. */
export type ByCost = (factors?: readonly number[]) => Allocate;

/** Steps of a hundredth of a site: whatever costs least for its weights goes next. */
export function cheapest(method: Method, costs: SiteCosts): ByCost {
  const { sites } = method;
  const curves = costs.map((own, layer) =>
    own.map((_, site) =>
      Float64Array.from({ length: energyPoints + 1 }, (_, at) => energyOf(method, layer, site, at / energyPoints)),
    ),
  );
  const energyAt = (layer: number, site: number, share: number): number => {
    const curve = curves[layer]?.[site] as Float64Array;
    const at = Math.min(energyPoints - 1, Math.floor(share * energyPoints));
    return curve[at]! + (share * energyPoints - at) * (curve[at + 1]! - curve[at]!);
  };
  return (factors) => (share) => {
    const shares = costs.map((own) => own.map(() => 0));
    const unit = 0.01;
    const growth = (layer: number, site: number): number => {
      const own = shares[layer]![site]!;
      if (own + unit > mostOfSite + 1e-9) return Number.POSITIVE_INFINITY;
      const more = energyAt(layer, site, own + unit) - energyAt(layer, site, own);
      return ((factors?.[layer] ?? 1) * costs[layer]![site]! * more) / sites[site]!.share;
    };
    const next = costs.map((own, layer) => own.map((_, site) => growth(layer, site)));
    const wanted = share * costs.length;
    let sum = 0;
    while (sum < wanted - 1e-9) {
      let [layer, site] = [0, 0];
      for (const [l, own] of next.entries())
        for (const [s, value] of own.entries()) if (value < next[layer]![site]!) [layer, site] = [l, s];
      if (next[layer]![site] === Number.POSITIVE_INFINITY) break;
      const by = Math.min(unit, (wanted - sum) / sites[site]!.share);
      shares[layer]![site]! += by;
      sum += by * sites[site]!.share;
      next[layer]![site] = growth(layer, site);
    }
    return shares;
  };
}
