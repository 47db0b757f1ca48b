// Medians, spread, and ratios within rounds.

/** @param {readonly number[]} values @param {number} share */
function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  return sorted[below] + (at - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
}

/** @param {readonly number[]} values */
export const median = (values) => quantile(values, 0.5);

/** (90th - 10th percentile) / median. @param {readonly number[]} values */
export const spread = (values) => (quantile(values, 0.9) - quantile(values, 0.1)) / median(values);

/** One ratio a round. @param {readonly number[]} over @param {readonly number[]} under */
export const ratios = (over, under) => over.map((value, round) => value / under[round]);
