// What changes with the steps of a run: the learning rate, and lambda of ProSparse. Pure functions of the step.
// Does not own who applies them (run.ts).

export type LearningRateSchedule =
  | { readonly kind: 'constant' }
  /** Straight down, or along half a cosine, to `floor` times the rate at the last step. */
  | { readonly kind: 'linear' | 'cosine'; readonly floor: number }
  /** Warm-up, stable, decay: constant, then linear to `floor` over the last `decay` share of the steps. */
  | { readonly kind: 'wsd'; readonly floor: number; readonly decay: number };

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
      return 1 - (1 - schedule.floor) * progress;
    case 'cosine':
      return schedule.floor + ((1 - schedule.floor) * (1 + Math.cos(Math.PI * progress))) / 2;
    case 'wsd': {
      const begin = 1 - schedule.decay;
      if (progress <= begin) return 1;
      return 1 - ((1 - schedule.floor) * (progress - begin)) / schedule.decay;
    }
  }
}

/** A stage of ProSparse: lambda reaches `lambda` at step `until`. */
export interface PenaltyStage {
  readonly until: number;
  readonly lambda: number;
}

/**
 * lambda of ProSparse (arXiv 2402.13516, 3.2): the first stage is constant, each later one rises from the stage before
 * along half a sine; behind the last it stays.
 */
export function penaltyAt(stages: readonly PenaltyStage[], step: number): number {
  let before: PenaltyStage | undefined;
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
