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
  /** The first plain steps, so many, take half as long again. */
  readonly coldPlain?: number;
  /** A plain step after one that verified takes so many times as long. */
  readonly after?: number;
  /** Times are up to this fraction above or below what they should be, and so many of them three times as long. */
  readonly noise?: number;
  readonly spikes?: number;
}

/** So many tokens; gives how much faster they came than by plain steps, and the last numbers of drafted tokens. */
function run(world: World, tokens: number, pace = new Pace(), seed = 1) {
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const chosen: number[] = [];
  let [verified, plain] = [0, 0];
  const cold = () => (verified++ < 2 ? (world.coldMs ?? 0) : 0);
  const { noise: width = 0.05, spikes = 0 } = world;
  const times = () => (1 - width + 2 * width * random()) * (random() < spikes ? 3 : 1);
  let [done, ms] = [0, 0];
  pace.begin();
  while (done < tokens) {
    const noise = times();
    const drafted = random() < (world.found ?? 1) ? pace.next(8) : 0;
    chosen.push(drafted);
    if (drafted === 0) {
      const after = chosen.at(-2) ? (world.after ?? 1) : 1;
      const took = 10 * noise * after * (plain++ < (world.coldPlain ?? 0) ? 1.5 : 1);
      pace.plain(took);
      ms += took;
      done++;
      continue;
    }
    let accepted = 0;
    while (accepted < drafted && random() < world.acceptance) accepted++;
    const [draftMs, stepMs] = [drafted * world.draftMs * noise, (10 + world.rowMs * drafted) * times() + cold()];
    pace.verified({ drafted, accepted, compared: Math.min(drafted, accepted + 1), draftMs, stepMs });
    ms += draftMs + stepMs;
    done += accepted + 1;
  }
  const undrafted = 10 * (1 + 2 * spikes) * done + 5 * (world.coldPlain ?? 0);
  return { speedUp: undrafted / ms, chosen, pace };
}

const mean = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0) / list.length;
const seeds = Array.from({ length: 40 }, (_, i) => 7919 * (i + 1));

describe('drafting', () => {
  it.each<World>([
    { acceptance: 0, draftMs: 0, rowMs: 5 },
    { acceptance: 0.1, draftMs: 0, rowMs: 10, found: 0.5 },
    { acceptance: 0.3, draftMs: 8, rowMs: 1 },
    { acceptance: 0.5, draftMs: 6, rowMs: 3 },
    { acceptance: 0.9, draftMs: 12, rowMs: 9 },
  ])('that does not pay costs less than 3 %%: %j', (world) => {
    for (const seed of seeds) expect(run(world, 300, new Pace(), seed).speedUp).toBeGreaterThan(0.97);
  });

  // a plan that drafts costs most of a step, and is nearly always right: no gain that a wrong time of a plain step does not hide
  const almost = { acceptance: 0.83, draftMs: 8.5, rowMs: 2.7 };
  it.each<[string, World]>([
    ['as it is', almost],
    ['first plain steps that are slow', { ...almost, coldPlain: 6 }],
    ['plain steps that are slow after drafts', { ...almost, acceptance: 0.95, after: 1.3 }],
    ['times that vary', { ...almost, noise: 0.2 }],
    ['times of a busy machine', { ...almost, noise: 0.2, spikes: 0.03 }],
  ])('by a plan that almost pays is switched off: %s', (_, world) => {
    const found = seeds.map((seed) => {
      const first = run(world, 128, new Pace(), seed);
      return { first: first.speedUp, later: run({ ...world, coldPlain: 0 }, 512, first.pace, seed + 1).speedUp };
    });
    expect(mean(found.map(({ first }) => first))).toBeGreaterThan(0.97);
    expect(mean(found.map(({ later }) => later))).toBeGreaterThan(0.985);
  });

  it('is tried more rarely the longer it loses', () => {
    const { chosen } = run({ acceptance: 0, draftMs: 2, rowMs: 2 }, 2000);
    const tries = chosen.flatMap((drafted, i) => (drafted > 0 && !chosen[i - 1] ? [i] : []));
    const gaps = tries.slice(1).map((at, i) => at - (tries[i] as number));
    expect(tries.length).toBeGreaterThan(5);
    expect(Math.max(...gaps.slice(0, 2))).toBeLessThan(Math.min(...gaps.slice(-2)));
    expect(chosen.filter((drafted) => drafted > 0).length).toBeLessThan(40);
  });

  it.each<[World, number]>([
    [{ acceptance: 0.9, draftMs: 0, rowMs: 0.5 }, 3.5],
    [{ acceptance: 0.7, draftMs: 1, rowMs: 1 }, 1.4],
    [{ acceptance: 0.8, draftMs: 0, rowMs: 4, found: 0.5 }, 1.1],
    [{ acceptance: 0.9, draftMs: 1, rowMs: 1, coldMs: 200 }, 1.6],
  ])('that pays is found: %j', (world, least) => {
    expect(run(world, 400).speedUp).toBeGreaterThan(least);
  });

  it('is found out in short answers too, where it did not pay before', () => {
    const pace = new Pace();
    run({ acceptance: 0, draftMs: 0.5, rowMs: 1 }, 1000, pace);
    const answers = Array.from({ length: 60 }, (_, i) =>
      run({ acceptance: 0.9, draftMs: 0.5, rowMs: 1 }, 20, pace, i + 1),
    );
    expect(mean(answers.slice(-20).map(({ speedUp }) => speedUp))).toBeGreaterThan(1.5);
  });

  it('is longer where more is accepted, and begins again where a text has changed', () => {
    const costs = { draftMs: 0.5, rowMs: 1 };
    const good = run({ acceptance: 0.9, ...costs }, 600);
    const fair = run({ acceptance: 0.5, ...costs }, 600);
    expect(mean(good.chosen.slice(-60))).toBeGreaterThan(mean(fair.chosen.slice(-60)) + 1);
    const bad = run({ acceptance: 0, ...costs }, 1000, good.pace);
    expect(bad.speedUp).toBeGreaterThan(0.95);
    expect(mean(bad.chosen.slice(-100))).toBeLessThan(0.2);
    expect(run({ acceptance: 0.9, ...costs }, 1000, bad.pace).speedUp).toBeGreaterThan(1.5);
  });
});
