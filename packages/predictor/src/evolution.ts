// Differential evolution, group by group, as R-Sparse searches its rho (2504.19449, by its replication): each child mixes a
// parent with one vector plus half of the difference of two others, and the best of both generations live on. Does not own
// what the numbers mean (allocation.ts).
import { Random } from '@relufy/train';

export interface EvolutionOptions {
  /** Numbers that change together; the others stay at the best known. Default: all. */
  readonly group?: number;
  readonly population?: number;
  readonly generations?: number;
  readonly seed: number;
  /** How far the first generation lies from the start, at most. */
  readonly spread: number;
}

/** The vector in [0, 1]^n with the smallest `cost` that is found, beginning at `start`. */
export async function evolve(
  start: readonly number[],
  cost: (vector: readonly number[], trial: number) => Promise<number>,
  { group = start.length, population = 8, generations = 4, seed, spread }: EvolutionOptions,
): Promise<{ readonly best: readonly number[]; readonly cost: number; readonly trials: number }> {
  const random = new Random(seed);
  let trials = 0;
  const tryOut = async (vector: readonly number[]) => ({ vector, cost: await cost(vector, trials++) });
  let best = await tryOut([...start]);
  for (let from = 0; from < start.length; from += group) {
    const to = Math.min(start.length, from + group);
    const within = (value: (i: number) => number) =>
      best.vector.map((old, i) => (i < from || i >= to ? old : Math.min(1, Math.max(0, value(i)))));
    let all = [best];
    while (all.length < population)
      all.push(await tryOut(within((i) => best.vector[i]! + spread * (2 * random.next() - 1))));
    for (let generation = 0; generation < generations; generation++) {
      const children: typeof all = [];
      for (const parent of all) {
        const [a, b, c] = [0, 1, 2].map(() => all[random.below(all.length)] as typeof best);
        const child = within((i) =>
          random.next() > 0.5 ? a!.vector[i]! + 0.5 * (b!.vector[i]! - c!.vector[i]!) : parent.vector[i]!,
        );
        children.push(await tryOut(child));
      }
      all = [...all, ...children].sort((one, other) => one.cost - other.cost).slice(0, population);
    }
    best = all[0] as typeof best;
  }
  return { best: best.vector, cost: best.cost, trials };
}
