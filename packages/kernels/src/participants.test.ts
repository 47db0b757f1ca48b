// Who takes part in a step: by the numbers, without threads.
import { describe, expect, it } from 'vitest';
import { Participants } from './participants.js';

/** Milliseconds of so many steps, each worth 1 ms on one thread; `stall(now)`: what two threads lose then. */
function run(threads: number, steps: number, stall: (now: number) => number) {
  const participants = new Participants();
  let now = 0;
  let alone = 0;
  for (let i = 0; i < steps; i++) {
    const taking = participants.of(threads, now);
    const stalled = taking === 1 ? 0 : stall(now);
    const took = 1 / taking + stalled;
    now += took;
    if (taking === 1) alone++;
    participants.heard(taking, took, stalled, now);
  }
  return { ms: now, alone };
}

describe('participants of a step', () => {
  it('are all while nobody waits for long', () => {
    expect(run(2, 100, () => 0)).toEqual({ ms: 50, alone: 0 });
    expect(run(2, 100, () => 0.1).alone).toBe(0);
    expect(new Participants().of(8, 1e9)).toBe(8);
  });

  it.each([0.5, 1, 4, 20])('lose little where each try stalls: %d ms', (stalled) => {
    const { ms, alone } = run(2, 4000, () => stalled);
    expect(ms).toBeLessThan(4000 / 0.8);
    expect(alone).toBeGreaterThan(3000);
  });

  it('are all again when the cores are free again, within half a second', () => {
    const participants = new Participants();
    let now = 0;
    for (let i = 0; i < 50; i++) {
      participants.heard(2, 25, 20, now);
      expect(participants.of(2, now)).toBe(1);
      while (participants.of(2, now) === 1) now++;
    }
    participants.heard(2, 25, 20, now);
    expect(participants.of(2, now + 501)).toBe(2);
    // and a stall after a long peace costs little again
    participants.heard(2, 25, 20, now + 10_000);
    expect(participants.of(2, now + 10_000 + 101)).toBe(2);
  });

  it('are fewer by one where there are many, and by more at each relapse, but never none', () => {
    const participants = new Participants();
    const seen: number[] = [];
    let now = 0;
    for (let i = 0; i < 6; i++) {
      participants.heard(participants.of(4, now), 2, 1, now);
      seen.push(participants.of(4, ++now));
    }
    expect(seen).toEqual([3, 2, 1, 1, 1, 1]);
    expect(participants.of(4, now + 500)).toBe(4);
  });
});
