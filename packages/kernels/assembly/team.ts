// The barrier between the ops of a step: each thread of the team comes to it once an op.
// Owns one block of 256 bytes: arrivals, generation, waiters and the spin count, each in its own cache line. Knows
// nothing of steps.
//
//   last to arrive:  arrivals = 0; generation += 1; wake those who wait, if any
//   the others:      spin while generation is unchanged, then wait for it to change
//
// Spinning costs 0.2 us while every thread has a core; when threads outnumber cores a spinner only keeps the core from
// the thread it waits for, hence the bound. The spinners read, they do not write, so that the line stays shared.

const arrivals: usize = 0;
const generation: usize = 64;
const waiters: usize = 128;

/** Reads of the generation before a thread goes to sleep: it learns. */
const spins: usize = 192;
const fewest: i32 = 500;
const most: i32 = 150000;

export function barrier(at: usize, threads: i32): void {
  if (ASC_FEATURE_THREADS) {
    if (threads == 1) return;
    const mine = atomic.load<i32>(at, generation);
    if (atomic.add<i32>(at, 1, arrivals) == threads - 1) {
      atomic.store<i32>(at, 0, arrivals);
      atomic.store<i32>(at, mine + 1, generation);
      if (atomic.load<i32>(at, waiters) > 0) atomic.notify(at + generation, -1);
      return;
    }
    const limit = max(load<i32>(at, spins), fewest);
    for (let i = limit; i > 0; i--)
      if (atomic.load<i32>(at, generation) != mine) {
        store<i32>(at, min(most, limit + (limit >> 4)), spins);
        return;
      }
    store<i32>(at, limit - (limit >> 2), spins);
    atomic.add<i32>(at, 1, waiters);
    while (atomic.load<i32>(at, generation) == mine) atomic.wait<i32>(at + generation, mine, -1);
    atomic.sub<i32>(at, 1, waiters);
  }
}
