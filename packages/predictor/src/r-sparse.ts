// R-Sparse (2504.19449): inputs by a threshold, and a low-rank product for what it leaves out. rho says which share of a matrix's
// budget goes to inputs: one number, or one a linear layer, which evolution looks for (the released recipes have one each).
// Does not own the search (evolution.ts) nor factors (low-rank.ts).
import type { InputPlace, LowRank } from '@relufy/models';
import type { PlanTensor } from './calibration.js';
import { type LowRankFactors, lowRankFactors } from './low-rank.js';
import { type Method, type MethodContext, thresholdMethod } from './method.js';
import { everyLayer, inputPlaces, matrixShape, siteAt } from './sites.js';

/** Blocks whose numbers are searched together. */
const blocksOfGroup = 4;

/** Of a budget of (1 - s) of a matrix: channels computed whole, and the rank of what stands in for the others. */
export function rSparseBudget(
  input: number,
  output: number,
  share: number,
  rho: number,
): { readonly k: number; readonly quantile: number; readonly rank: number } {
  const kept = 1 - share;
  const k = Math.max(1, Math.floor(input * kept * rho + 1e-9));
  const room = input * output * kept - k * output;
  return { k, quantile: 1 - kept * rho, rank: rho === 1 ? 0 : Math.max(1, Math.floor(room / (input + output) + 1e-9)) };
}

type RhoOf = (layer: number, place: number) => number;

export async function rSparse(context: MethodContext): Promise<Method> {
  const { subject, options } = context;
  const { spec } = subject;
  const { rho, allocation } = options;
  // a rho of its own needs a mask of its own
  const isSearched = allocation === 'evolutionary';
  const sites = inputPlaces(spec, isSearched).map((at) => siteAt(spec, at));
  const bars = await thresholdMethod(context, sites);
  const places = sites.flatMap(({ at }, site) => at.map((place) => ({ place: place as InputPlace, site })));
  const known = new Map<string, LowRankFactors>();
  const factorsOf = (layer: number, place: InputPlace, rank: number, share: number): LowRankFactors => {
    const key = `${layer} ${place}`;
    const found = known.get(key);
    if (found && found.rank >= rank) return found;
    const { rows, columns } = matrixShape(spec, place);
    // a search may ask for any rank up to that of rho 0, at shares nearby
    const most = isSearched ? rSparseBudget(columns, rows, Math.max(0, share - 0.05), 0).rank : rank;
    const made = lowRankFactors(subject.weight(layer, place), Math.max(rank, most));
    known.set(key, made);
    return made;
  };
  const draftWith =
    (rhoOf: RhoOf): Method['draft'] =>
    (shares) => {
      const tensors = new Map<string, PlanTensor>();
      const lowRank = places.map(({ place, site }, at): LowRank => {
        const ranks = everyLayer(spec, (layer) => {
          const share = shares[layer]?.[site] as number;
          const { rows, columns } = matrixShape(spec, place);
          const { rank } = share <= 0 ? { rank: 0 } : rSparseBudget(columns, rows, share, rhoOf(layer, at));
          if (rank === 0) return 0;
          const { left, right, rank: held } = factorsOf(layer, place, rank, share);
          const own = Math.min(rank, held);
          const name = `layers.${layer}.${place}.lowRank`;
          tensors.set(`${name}.a`, { shape: [own, columns], values: right.slice(0, own * columns) });
          const values = new Float32Array(rows * own);
          for (let row = 0; row < rows; row++) values.set(left.subarray(row * held, row * held + own), row * own);
          tensors.set(`${name}.b`, { shape: [rows, own], values });
          return own;
        });
        return { at: [place], rank: ranks, input: 'remainder' };
      });
      const rhoOfSite = (layer: number, site: number) =>
        rhoOf(
          layer,
          places.findIndex((place) => place.site === site),
        );
      const whole = bars.draft(
        shares.map((own, layer) =>
          own.map((share, site) => (share <= 0 ? 0 : 1 - (1 - share) * rhoOfSite(layer, site))),
        ),
      );
      return { plan: { ...whole.plan, lowRank }, tensors: new Map([...whole.tensors, ...tensors]) };
    };
  const method: Method = { sites, isThreshold: false, draft: draftWith(() => rho ?? 0.9) };
  if (!isSearched) return method;
  const byLayer = (numbers: readonly number[]) =>
    everyLayer(spec, (layer) => numbers.slice(layer * places.length, (layer + 1) * places.length));
  return {
    ...method,
    search: {
      size: places.length * spec.numHiddenLayers,
      group: places.length * blocksOfGroup,
      options: (numbers) => ({
        rho: Object.fromEntries(
          places.map(({ place }, at) => [place, byLayer(numbers).map((own) => +(own[at] as number).toFixed(4))]),
        ),
      }),
      with: (numbers) => ({ draft: draftWith((layer, at) => numbers[layer * places.length + at] as number) }),
    },
  };
}
