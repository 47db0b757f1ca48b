// A mean of times that forgets: the newest one counts a fixed fraction. What schedules by measured times keeps them so.
// Does not own which times those are (scheduler.ts, speculation/pace.ts, product-choice.ts).

/** The mean after `value`, of which `newest` is its fraction; 0 before the first one. */
export const runningMean = (before: number, value: number, newest = 0.2): number =>
  before === 0 ? value : before + newest * (value - before);
