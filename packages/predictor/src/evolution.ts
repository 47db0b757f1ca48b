// Differential evolution, group by group, as R-Sparse searches its rho (2504.19449, by its replication): each child mixes a
// parent with one vector plus half of the difference of two others, and the best of both generations live on. Does not own
// what the numbers mean (allocation.ts).
import { Random } from '@relufy/train';

export interface EvolutionOptions {
  /** Numbers that change together; the others stay at the best known. Default: all. */
  readonly group?: number;
  /** Default 8; at least 4, three others to mix and itself. */
  readonly population?: number;
  /** Default 4. */
  readonly generations?: number;
  readonly seed: number;
  /**
   * How far the first generation lies from the best known, at most. `anywhere`: drawn from all of [0, 1]; a vector is drawn
   * beside the start too, and each group's first generation has the start's numbers among it, as R-Sparse does.
   */
  readonly spread: number | 'anywhere';
}

/** How often `evolve` asks for a cost. */
export function trialsOf(size: number, options: EvolutionOptions): number {
  const { group = size, population = 8, generations = 4, spread } = options;
  return (spread === 'anywhere' ? 2 : 1) + Math.ceil(size / group) * (population - 1 + population * generations);
}

/** The vector in [0, 1]^n with the smallest `cost` that is found, beginning at `start`. */
export async function evolve(
  start: readonly number[],
  cost: (vector: readonly number[], trial: number) => Promise<number>,
  options: EvolutionOptions,
): Promise<{ readonly best: readonly number[]; readonly cost: number; readonly trials: number }> {
  const { group = start.length, population = 8, generations = 4, seed, spread } = options;
  const random = new Random(seed);
  let trials = 0;
  const tryOut = async (vector: readonly number[]) => ({ vector, cost: await cost(vector, trials++) });
  let best = await tryOut([...start]);
  if (spread === 'anywhere') {
    const other = await tryOut(start.map(() => random.next()));
    if (other.cost < best.cost) best = other;
  }
  for (let from = 0; from < start.length; from += group) {
    const to = Math.min(start.length, from + group);
    const within = (value: (i: number) => number) =>
      best.vector.map((old, i) => (i < from || i >= to ? old : Math.min(1, Math.max(0, value(i)))));
    let all = [best];
    if (spread === 'anywhere') all.push(await tryOut(within((i) => start[i]!)));
    while (all.length < population)
      all.push(
        await tryOut(
          within((i) => (spread === 'anywhere' ? random.next() : best.vector[i]! + spread * (2 * random.next() - 1))),
        ),
      );
    for (let generation = 0; generation < generations; generation++) {
      const children: typeof all = [];
      for (const parent of all) {
        const [a, b, c] = distinct(random, all.length).map((at) => all[at] as typeof best);
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

/** Three of so many, no two the same. */
function distinct(random: Random, count: number): number[] {
  const drawn: number[] = [];
  while (drawn.length < Math.min(3, count)) {
    const at = random.below(count);
    if (!drawn.includes(at)) drawn.push(at);
  }
  return drawn;
}
