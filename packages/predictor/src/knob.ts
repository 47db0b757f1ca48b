// How the number that says how much is left out is found: plans at several knobs are tried until one is as sparse as asked,
// or as good. Does not own what a knob means (calibrate.ts) nor trying (subject.ts).
import { RelufyError } from '@relufy/tensor';
import type { PlanDraft, Trial } from './calibration.js';

/** Plans for any number that says how much is left out, 0 for nothing. */
export interface Dial {
  /** The largest share of the blocks' weights that it can leave out. */
  readonly most: number;
  /** The knob at which it does. */
  readonly end: number;
  draft(knob: number): PlanDraft;
}

/** How near a sparsity that was asked for is met. */
const nearEnough = 0.0015;
const mostTrials = 8;

export interface Tried {
  readonly draft: PlanDraft;
  readonly trial: Trial;
}

type TryKnob = (knob: number) => Promise<Tried>;

/** The knob at which the trial text is as sparse as asked: by the line between the two nearest that were tried. */
export async function atSparsity(
  wanted: number,
  { dial, method, own }: { readonly dial: Dial; readonly method: string; readonly own: number },
  at: TryKnob,
): Promise<Tried> {
  if (wanted > dial.most + 1e-9) throw unreachable(method, wanted, dial.most);
  if (wanted <= own)
    throw new RelufyError(
      'option',
      `calibrate: expected a sparsity above ${percent(own)}, which the model has by itself, got ${percent(wanted)}. Ask for more, or run it without a plan.`,
    );
  let [low, high] = [
    { knob: 0, sparsity: own },
    { knob: dial.end, sparsity: dial.most },
  ];
  const between = () => {
    const width = high.sparsity - low.sparsity;
    const part = width > 1e-9 ? (wanted - low.sparsity) / width : 0.5;
    // not nearer to an end than this: the line may bend
    return low.knob + Math.min(0.98, Math.max(0.02, part)) * (high.knob - low.knob);
  };
  let knob = between();
  let found = await at(knob);
  let last = found;
  for (let trial = 1; trial < mostTrials && Math.abs(found.trial.sparsity - wanted) > nearEnough; trial++) {
    const here = { knob, sparsity: last.trial.sparsity };
    if (here.sparsity < wanted) low = here;
    else high = here;
    knob = between();
    last = await at(knob);
    if (Math.abs(last.trial.sparsity - wanted) < Math.abs(found.trial.sparsity - wanted)) found = last;
  }
  if (Math.abs(found.trial.sparsity - wanted) > 0.02) throw unreachable(method, wanted, found.trial.sparsity);
  return found;
}

/** The sparsest plan within the budget, by bisection. */
export async function atPerplexity(
  increase: number,
  { dial, dense, method }: { readonly dial: Dial; readonly dense: number; readonly method: string },
  at: TryKnob,
): Promise<Tried> {
  const most = dense * (1 + increase);
  let [low, high] = [0, dial.end];
  let best: Tried | undefined;
  for (let trial = 0; trial < mostTrials; trial++) {
    const knob = (low + high) / 2;
    const found = await at(knob);
    if (found.trial.perplexity <= most) {
      low = knob;
      if (best === undefined || found.trial.sparsity >= best.trial.sparsity) best = found;
    } else high = knob;
  }
  if (best === undefined)
    throw new RelufyError(
      'option',
      `calibrate: expected a plan of ${method} that raises perplexity by at most ${+(100 * increase).toFixed(2)} %, got none: the least that was tried rises more. Allow more, or take another method.`,
    );
  return best;
}

const percent = (share: number): string => `${+(100 * share).toFixed(1)} %`;

function unreachable(method: string, wanted: number, most: number): RelufyError {
  return new RelufyError(
    'option',
    `calibrate: expected a sparsity of at most ${percent(most)}, which is what the method ${method} reaches in this model, got ${percent(wanted)}. Ask for less, or take a method that masks more places.`,
  );
}
