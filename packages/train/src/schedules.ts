// What changes with the steps of a run: the learning rate, lambda of ProSparse, the densities of masks. Pure functions of the step.
// Does not own who applies them (run.ts).

export type LearningRateSchedule =
  | { readonly kind: 'constant' }
  /** Straight down, or along half a cosine, to `minLrRatio` times the rate at the last step. */
  | { readonly kind: 'linear' | 'cosine'; readonly minLrRatio: number }
  /** Warm-up, stable, decay: constant, then linear to `minLrRatio` over the last `decayRatio` of the steps. */
  | { readonly kind: 'wsd'; readonly minLrRatio: number; readonly decayRatio: number };

/** The factor of the learning rate at a step, counted from 0. Warm-up is linear and ends at its full rate. */
export function learningRateFactor(
  schedule: LearningRateSchedule,
  step: number,
  steps: number,
  warmup: number,
): number {
  if (step < warmup) return (step + 1) / warmup;
  const progress = steps - warmup <= 1 ? 0 : (step - warmup) / (steps - warmup - 1);
  switch (schedule.kind) {
    case 'constant':
      return 1;
    case 'linear':
      return 1 - (1 - schedule.minLrRatio) * progress;
    case 'cosine':
      return schedule.minLrRatio + ((1 - schedule.minLrRatio) * (1 + Math.cos(Math.PI * progress))) / 2;
    case 'wsd': {
      const begin = 1 - schedule.decayRatio;
      if (progress <= begin) return 1;
      return 1 - ((1 - schedule.minLrRatio) * (progress - begin)) / schedule.decayRatio;
    }
  }
}

/** A stage of ProSparse: lambda reaches `lambda` at step `until`. */
export interface L1Stage {
  readonly until: number;
  readonly lambda: number;
}

/** A stage of a mask: the share that it keeps reaches `density` at step `until`. */
export interface DensityStage {
  readonly until: number;
  readonly density: number;
}

/** lambda of ProSparse (arXiv 2402.13516, 3.2); without stages 0. */
export function l1At(stages: readonly L1Stage[], step: number): number {
  return eased(stages, ({ lambda }) => lambda, step) ?? 0;
}

/** The share that a mask keeps at a step. */
export function densityAt(stages: readonly DensityStage[], step: number): number {
  return eased(stages, ({ density }) => density, step) ?? 1;
}

/** The first stage is constant, each later one is reached from the stage before along half a sine; after the last it stays. */
function eased<Stage extends { readonly until: number }>(
  stages: readonly Stage[],
  pick: (stage: Stage) => number,
  step: number,
): number | undefined {
  let before: Stage | undefined;
  for (const stage of stages) {
    if (step <= stage.until) {
      if (before === undefined) return pick(stage);
      const progress = (step - before.until) / (stage.until - before.until);
      const rise = (Math.sin(-Math.PI / 2 + Math.PI * progress) + 1) / 2;
      return pick(before) + rise * (pick(stage) - pick(before));
    }
    before = stage;
  }
  return before && pick(before);
}
