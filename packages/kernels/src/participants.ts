// How many workers take part in the next step. Threads that have a core each are faster together; where one waits for
// another that the system does not run, fewer are faster. So a step that was mostly waiting is followed by steps with one
// thread less, for a multiple of the time that was lost: a stall costs a fixed share of the time at most. Then all try
// again. Bits do not depend on the number. Does not own the waits themselves (assembly/team.ts measures them).

/** Fewer take part for so many times as long as the step stalled, twice that after each relapse, and at most so long. */
const sulk = 5;
const mostRelapses = 3;
const longestMs = 500;

export class Participants {
  #fewerUntil = 0;
  #missing = 0;
  #relapses = 0;

  /** Of so many that a backend has. `now`: milliseconds, here and below. */
  of(threads: number, now: number): number {
    return now < this.#fewerUntil ? Math.max(1, threads - this.#missing) : threads;
  }

  /** What a step of `threads` took, and how much of it each thread waited in vain, in the mean. */
  heard(threads: number, tookMs: number, stalledMs: number, now: number): void {
    // without one thread a step takes threads / (threads - 1) of the time at best
    if (threads === 1 || stalledMs * (threads + 1) < tookMs) return;
    const isRelapse = now - this.#fewerUntil < sulk * stalledMs;
    this.#relapses = isRelapse ? Math.min(this.#relapses + 1, mostRelapses) : 0;
    this.#missing = isRelapse ? this.#missing + 1 : 1;
    this.#fewerUntil = now + Math.min(sulk * stalledMs * 2 ** this.#relapses, longestMs);
  }
}
