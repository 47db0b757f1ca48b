// The number of drafted tokens on a clock that costs what a formula says: what pays is found, and what does not pay costs
// next to nothing.
import { describe, expect, it } from 'vitest';
import { Pace } from './pace.js';

interface World {
  /** Chance that a drafted token is accepted whose predecessors were. */
  readonly acceptance: number;
  readonly draftMs: number;
  /** A plain step takes 10. */
  readonly rowMs: number;
  /** How often there is a draft at all. */
  readonly found?: number;
  /** What the first two steps that verify take besides, since they compile. */
  readonly coldMs?: number;
}

/** So many tokens; gives how much faster they came than by plain steps, and the last numbers of drafted tokens. */
function run(world: World, tokens: number, pace = new Pace()) {
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const chosen: number[] = [];
  let verified = 0;
  const cold = () => (verified++ < 2 ? (world.coldMs ?? 0) : 0);
  let [done, ms] = [0, 0];
  while (done < tokens) {
    const noise = 0.95 + 0.1 * random();
    const drafted = random() < (world.found ?? 1) ? pace.next(8) : 0;
    chosen.push(drafted);
    if (drafted === 0) {
      pace.plain(10 * noise);
      ms += 10 * noise;
      done++;
      continue;
    }
    let accepted = 0;
    while (accepted < drafted && random() < world.acceptance) accepted++;
    const [draftMs, stepMs] = [drafted * world.draftMs * noise, (10 + world.rowMs * drafted) * noise + cold()];
    pace.verified({ drafted, accepted, compared: Math.min(drafted, accepted + 1), draftMs, stepMs });
    ms += draftMs + stepMs;
    done += accepted + 1;
  }
  return { speedUp: (10 * done) / ms, chosen, pace };
}

describe('drafting', () => {
  it.each<World>([
    { acceptance: 0, draftMs: 0, rowMs: 5 },
    { acceptance: 0.1, draftMs: 0, rowMs: 10, found: 0.5 },
    { acceptance: 0.3, draftMs: 8, rowMs: 1 },
    { acceptance: 0.5, draftMs: 6, rowMs: 3 },
    { acceptance: 0.9, draftMs: 12, rowMs: 9 },
  ])('that does not pay costs less than 3 %%: %j', (world) => {
    expect(run(world, 300).speedUp).toBeGreaterThan(0.97);
  });

  it.each<[World, number]>([
    [{ acceptance: 0.9, draftMs: 0, rowMs: 0.5 }, 3.5],
    [{ acceptance: 0.7, draftMs: 1, rowMs: 1 }, 1.4],
    [{ acceptance: 0.8, draftMs: 0, rowMs: 4, found: 0.5 }, 1.1],
    [{ acceptance: 0.9, draftMs: 1, rowMs: 1, coldMs: 200 }, 1.6],
  ])('that pays is found: %j', (world, least) => {
    expect(run(world, 400).speedUp).toBeGreaterThan(least);
  });

  it('is longer where more is accepted, and begins again where a text has changed', () => {
    const costs = { draftMs: 0.5, rowMs: 1 };
    const mean = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0) / list.length;
    const good = run({ acceptance: 0.9, ...costs }, 600);
    const fair = run({ acceptance: 0.5, ...costs }, 600);
    expect(mean(good.chosen.slice(-60))).toBeGreaterThan(mean(fair.chosen.slice(-60)) + 1);
    const bad = run({ acceptance: 0, ...costs }, 1000, good.pace);
    expect(bad.speedUp).toBeGreaterThan(0.95);
    expect(mean(bad.chosen.slice(-100))).toBeLessThan(0.2);
    expect(run({ acceptance: 0.9, ...costs }, 1000, bad.pace).speedUp).toBeGreaterThan(1.5);
  });
});
