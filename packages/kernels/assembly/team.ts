// The barrier between the ops of a step: each thread of the team comes to it once an op.
// Owns one block of 256 bytes: arrivals, generation, waiters and mood, each in its own cache line; beside the mood, how
// long threads waited in vain, for whoever decides how many take part (participants.ts). Knows nothing of steps.
//
//   last to arrive:  arrivals = 0; generation += 1; wake those who wait, if any
//   the others:      spin while generation is unchanged, then wait for it to change
//
// Spinning costs 0.2 us while every thread has a core; waking a sleeper costs 30 to 50 us. But where threads outnumber
// the cores that are free, a spinner only keeps the core from the thread it waits for. So the team learns: after some
// waits in a row that spun in vain it sleeps at once at the next hundred barriers or so, then tries again.
// A step of 72 small ops on 2 threads of a 2-core VM (Zen 4, Node 20, November 2026): with both cores free 2.3 ms with
// long spins and 3.3 with short ones; with other programs on them 10.5 and 6.5, and 6.5 with learning. The spinners
// read, they do not write, so that the line stays shared.

const arrivals: usize = 0;
const generation: usize = 64;
const waiters: usize = 128;
/** Waits in a row that spun in vain; or, below 0, waits that are still to sleep at once. */
const mood: usize = 192;
/** Microseconds that waits lasted beyond their long spin, of all threads. */
const stalled: usize = 196;

/** Milliseconds. */
@external('env', 'now') declare function now(): f64;

/** Reads of the generation before a thread goes to sleep: about 40 us, and 0.2. */
const longSpin: i32 = 100000;
const shortSpin: i32 = 500;
/**
 * Reads after those of the long spin: as long as a sleeper needs to wake up. Shorter, and two threads that once slept in
 * turns do so at every op that follows, each waiting for the other to wake: nine of ten steps on two free cores.
 */
const wakeSpin: i32 = 300000;
const patience: i32 = 4;
/** Barriers to sleep at once, times the threads that come to them. */
const sulk: i32 = 128;

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
    // threads may write the mood over each other; any of their values will do
    const vain = load<i32>(at, mood);
    for (let i = vain < 0 ? shortSpin : longSpin; i > 0; i--)
      if (atomic.load<i32>(at, generation) != mine) {
        store<i32>(at, vain < 0 ? vain + 1 : 0, mood);
        return;
      }
    const since = now();
    for (let i = vain < 0 ? 0 : wakeSpin; i > 0; i--)
      if (atomic.load<i32>(at, generation) != mine) {
        atomic.add<i32>(at, <i32>(1000 * (now() - since)), stalled);
        return;
      }
    store<i32>(at, vain < 0 ? vain + 1 : vain + 1 == patience ? -sulk * (threads - 1) : vain + 1, mood);
    atomic.add<i32>(at, 1, waiters);
    while (atomic.load<i32>(at, generation) == mine) atomic.wait<i32>(at + generation, mine, -1);
    atomic.sub<i32>(at, 1, waiters);
    atomic.add<i32>(at, <i32>(1000 * (now() - since)), stalled);
  }
}
