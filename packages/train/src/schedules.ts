// What changes with the steps of a run: the learning rate, and lambda of ProSparse. Pure functions of the step.
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

/**
 * lambda of ProSparse (arXiv 2402.13516, 3.2): the first stage is constant, each later one rises from the stage before
 * along half a sine; behind the last it stays.
 */
export function l1At(stages: readonly L1Stage[], step: number): number {
  let before: L1Stage | undefined;
  for (const stage of stages) {
    if (step <= stage.until) {
      if (before === undefined) return stage.lambda;
      const progress = (step - before.until) / (stage.until - before.until);
      const rise = (Math.sin(-Math.PI / 2 + Math.PI * progress) + 1) / 2;
      return before.lambda + rise * (stage.lambda - before.lambda);
    }
    before = stage;
  }
  return before?.lambda ?? 0;
}
