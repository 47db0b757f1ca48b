// One threshold after the other under a budget of loss, as sparse RWKV sets them (2501.16337): each site's candidates are
// quantiles of what it sees with the thresholds before it in force, and the sparsest that costs little enough is kept. The
// budget is per site and compounds. Does not own statistics (order-statistics.ts) nor the options (options.ts).
import { TokenLoss } from '@relufy/models';
import type { PlanDraft } from './calibration.js';
import { type Journal, remembered } from './journal.js';
import { everyLayer, inputPlaces, type Site, siteAt, tapOf, thresholdMask, thresholdTensors } from './sites.js';
import { type Hear, ordersAt } from './statistics.js';
import type { Subject } from './subject.js';

/** Shares kept that are tried. */
const fractions = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1] as const;

export interface SequentialContext {
  readonly subject: Subject;
  readonly windows: readonly (readonly number[])[];
  /** A site may make the loss so much larger: 0.0005 is 0.05 %. */
  readonly increase: number;
  readonly denseTokens: number;
  readonly journal: Journal | undefined;
  readonly hear: Hear;
}

/** What was decided at one site. */
interface Decision {
  /** 0: nothing was cheap enough, and the site stays whole. */
  readonly threshold: number;
  /** 1 for a site that stays whole. */
  readonly kept: number;
  /** Mean loss of a token with it. */
  readonly loss: number;
}

export interface SequentialPlan extends PlanDraft {
  /** Share kept by site and layer, as it was asked for: of quantiles of each token, a mean. */
  readonly kept: Readonly<Record<string, readonly number[]>>;
  /** Mean loss of a token of the calibration text, before and after. */
  readonly losses: { readonly dense: number; readonly sparse: number };
}

export async function sequential(context: SequentialContext): Promise<SequentialPlan> {
  const { subject, journal, hear, increase, denseTokens } = context;
  const { spec } = subject;
  const sites = inputPlaces(spec, true).map((at) => siteAt(spec, at));
  const bars = everyLayer(spec, () => sites.map(() => 0));
  const kept = everyLayer(spec, () => sites.map(() => 1));
  const draftOf = (): PlanDraft => ({
    plan: { method: 'hard-shrink', masks: sites.map(thresholdMask), ...(denseTokens > 0 && { denseTokens }) },
    tensors: thresholdTensors(sites, bars.length, (layer, site) => bars[layer]?.[site] as number),
  });
  const lossOf = async (): Promise<number> => {
    await subject.use(draftOf());
    return meanLoss(subject, context.windows, sites);
  };
  const dense = await remembered(journal, 'loss of the model as it is', lossOf);
  let base = dense;
  for (const [layer, own] of bars.entries())
    for (const [at, site] of sites.entries()) {
      hear((layer * sites.length + at) / (bars.length * sites.length));
      const before = base;
      const decision = await remembered(
        journal,
        `sequential by ${increase}, ${layer} ${at}`,
        async (): Promise<Decision> => {
          await subject.use(draftOf());
          const orders = await ordersAt(subject, context.windows, sites, { layer, site });
          const tryOut = async (fraction: number): Promise<Decision> => {
            own[at] = orders.quantile(1 - fraction);
            return { threshold: own[at]!, kept: fraction, loss: await lossOf() };
          };
          const fits = ({ loss }: Decision) => loss <= before * (1 + increase);
          const found = await sparsest(tryOut, fits, usual(kept.slice(0, layer).map((row) => row[at] as number)));
          return found ?? { threshold: 0, kept: 1, loss: before };
        },
      );
      own[at] = decision.threshold;
      kept[layer]![at] = decision.kept;
      base = decision.loss;
    }
  return {
    ...draftOf(),
    kept: Object.fromEntries(sites.map((site, at) => [site.at.join(), kept.map((row) => row[at] as number)])),
    losses: { dense, sparse: base },
  };
}

/** From `first` on to sparser ones until one does not fit; where it does not itself, back to the first that does. */
async function sparsest(
  tryOut: (fraction: number) => Promise<Decision>,
  fits: (decision: Decision) => boolean,
  first: number,
): Promise<Decision | undefined> {
  const from = Math.max(0, (fractions as readonly number[]).indexOf(first));
  let best: Decision | undefined;
  for (const fraction of fractions.slice(from)) {
    const tried = await tryOut(fraction);
    if (!fits(tried)) break;
    best = tried;
  }
  for (let at = from - 1; best === undefined && at >= 0; at--) {
    const tried = await tryOut(fractions[at] as number);
    if (fits(tried)) best = tried;
  }
  return best;
}

/** What the same site of the blocks before was given most often; of several the sparsest, and .9 at first. */
function usual(before: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const share of before) if (share < 1) counts.set(share, (counts.get(share) ?? 0) + 1);
  return [...counts].reduce(
    (best, one) => (one[1] > best[1] || (one[1] === best[1] && one[0] < best[0]) ? one : best),
    [fractions[0] as number, 0] as [number, number],
  )[0];
}

async function meanLoss(
  subject: Subject,
  windows: readonly (readonly number[])[],
  sites: readonly Site[],
): Promise<number> {
  const taps = everyLayer(subject.spec, (layer) => sites.map((site) => tapOf(site, layer))).flat();
  const loss = new TokenLoss();
  // the program of the statistics, so that none has to be built for each
  for (const ids of windows) loss.add(await subject.pass(ids, taps));
  return Math.log(loss.perplexity);
}
