// Timing that can be believed: tasks are interleaved, so that a busy moment of the machine hits all of them alike; medians
// and spread are told, ratios come from the same rounds. Owns the clock; what is timed is the benches' business.

export interface Timing {
  /** Median of the rounds, in milliseconds. */
  readonly ms: number;
  /** (90th - 10th percentile) / median. */
  readonly spread: number;
  /** Of each round, in milliseconds. */
  readonly samples: readonly number[];
}

/** Runs the tasks in turn, `warmups` times untimed, then until `seconds` are over and at least `minRounds` are done. */
export async function takeTurns<Name extends string>(
  tasks: Readonly<Record<Name, () => Promise<void>>>,
  { seconds = 3, minRounds = 7, warmups = 2 } = {},
): Promise<Record<Name, Timing>> {
  const entries = Object.entries(tasks) as [Name, () => Promise<void>][];
  const samples = new Map<Name, number[]>(entries.map(([name]) => [name, []]));
  for (let round = 0; round < warmups; round++) for (const [, task] of entries) await task();
  const end = performance.now() + seconds * 1000;
  for (let round = 0; round < minRounds || performance.now() < end; round++)
    for (const [name, task] of entries) {
      const start = performance.now();
      await task();
      samples.get(name)?.push(performance.now() - start);
    }
  return Object.fromEntries(entries.map(([name]) => [name, summary(samples.get(name) as number[])])) as Record<
    Name,
    Timing
  >;
}

export function summary(samples: readonly number[]): Timing {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
  const median = at(0.5);
  return { ms: median, spread: (at(0.9) - at(0.1)) / median, samples };
}
