// What the scheduler puts into a step, on steps that cost what a formula says: no clock, no model.
import type { Session } from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import { ParkedSlots } from './parked-slots.js';
import { type Lane, Scheduler } from './scheduler.js';
import { SlotClaims } from './slot-claims.js';
import { keyValueLayout } from './slot-layout.js';
import { SlotCache } from './slots.js';
import { StepStatistics } from './statistics.js';
import type { Row, Steps } from './steps.js';

const vocabSize = 4;
const poison = 3;
const cost = { bytes: 1, denseBytes: 2, shares: [] };

interface Ran {
  readonly rows: readonly Row[];
  readonly decoding: number;
  readonly ms: number;
}

/** 10 ms, and half a millisecond for each row of a prompt. */
const even = (_decoding: number, promptRows: number): number => 10 + promptRows / 2;

/** `slots` lanes over steps that take what `msOf` says; a poisoned row makes its step fail. */
function setUp(slots: number, maxRows = 128, msOf = even) {
  const layout = keyValueLayout(1, 1, 5000);
  const cache = new SlotCache(slots, layout);
  const session = { copy: () => {} } as unknown as Session;
  const claims = new SlotClaims(session, cache, new ParkedSlots(layout, 0), () => {});
  const ran: Ran[] = [];
  const steps: Pick<Steps, 'advance'> = {
    advance: async (_options, rows, outputRows, counted) => {
      await new Promise((resolve) => setImmediate(resolve));
      if (rows.some(({ token }) => token === poison)) throw new Error('not finite');
      for (const { slot, position, token } of rows) {
        expect(position).toBe(cache.length(slot));
        cache.append(slot, [token]);
      }
      const ms = msOf(counted, rows.length - counted);
      ran.push({ rows, decoding: counted, ms });
      const costs = Array.from({ length: counted }, () => cost);
      return { logits: new Float32Array(outputRows.length * vocabSize), costs, neurons: [], ms };
    },
  };
  const limits = { maxRows, maxOutputs: maxRows };
  const parts = { cache, limits, spec: { numHiddenLayers: 1 } as never };
  const total = new StepStatistics(1);
  const scheduler = new Scheduler(steps as Steps, claims, parts, () => total);
  const open = (): Lane =>
    scheduler.open({ stopped: () => false, statistics: new StepStatistics(1), options: { sparsity: 'exact' } });
  return { open, ran, claims, total };
}

/** A sequence of so many tokens after a prompt. */
async function generate(lane: Lane, prompt: number, tokens: number, token = 1): Promise<void> {
  const ids = Array.from({ length: prompt }, () => token);
  try {
    for (let n = 0; n < tokens; n++) {
      await lane.advance(ids);
      ids.push(1);
    }
  } finally {
    lane.leave();
  }
}

describe('a step', () => {
  it('with a long prompt in it takes two to three times as long as one without', async () => {
    const { open, ran, total } = setUp(5);
    const answers = [1, 2, 3].map((length) => generate(open(), length, 300));
    await Promise.all([
      ...answers,
      (async () => {
        while (ran.length < 40) await new Promise((resolve) => setImmediate(resolve));
        await generate(open(), 2000, 1, 2);
      })(),
    ]);
    const beside = ran.filter(({ rows, decoding }) => decoding === 3 && rows.length > decoding);
    expect(beside.length).toBeGreaterThan(50);
    for (const { ms } of beside) expect(ms).toBeLessThan(28);
    // and no less than that: the prompt gets on
    expect(beside.slice(16, -1).every(({ ms }) => ms >= 20)).toBe(true);
    const { prefill, decode } = total.get();
    expect([prefill.tokens, decode.tokens]).toEqual([2 + 3 + 2000, 1 + 3 * 299]);
    expect(prefill.ms + decode.ms).toBeCloseTo(
      ran.reduce((sum, { ms }) => sum + ms, 0),
      6,
    );
  });

  it.each([1, 4])('keeps to that where few rows are dear and many are cheap, beside %i', async (answering) => {
    // int4 on one thread by rows (LOG.md), and attention that grows with what is there; now and then the machine is busy
    const times = [1, 1.66, 2.2, 2.79, 3.6, 4.34, 5, 5.65, 6.1, 6.5, 7, 7.42];
    const rows = (n: number) => 8 * (times[n - 1] ?? 7.42 + (n - 12) * 0.12);
    let steps = 0;
    const busy = () => (steps++ % 40 === 39 ? 4 : 1);
    const { open, ran } = setUp(answering + 1, 128, (decoding, promptRows) => rows(decoding + promptRows) * busy());
    const answers = Array.from({ length: answering }, (_, i) => generate(open(), i + 1, 1800));
    await Promise.all([
      ...answers,
      (async () => {
        // a prompt by itself is computed by many rows, which are cheap: that says nothing about few
        while (ran.length < 40) await new Promise((resolve) => setImmediate(resolve));
        await generate(open(), 2000, 1, 2);
      })(),
    ]);
    const beside = ran.filter((step) => step.decoding === answering && step.rows.length > answering);
    const alone = rows(answering);
    const quiet = beside.filter(({ ms, rows: of }) => ms === rows(of.length)).map(({ ms }) => ms);
    expect(quiet.length).toBeGreaterThan(20);
    expect(Math.max(...quiet)).toBeLessThan(3 * alone);
    // half of the time is the prompt's
    const mean = quiet.reduce((sum, ms) => sum + ms, 0) / quiet.length;
    expect(mean).toBeGreaterThan(1.5 * alone);
  });

  it('is shared by prompts in equal parts, and is full where nobody decodes', async () => {
    const { open, ran } = setUp(3, 30);
    await Promise.all([generate(open(), 100, 1, 0), generate(open(), 15, 1, 1), generate(open(), 40, 1, 2)]);
    expect(ran.every(({ rows }) => rows.length <= 30)).toBe(true);
    expect(ran.reduce((sum, { rows }) => sum + rows.length, 0)).toBe(155);
    // the short one does not wait for the long one
    const last = (token: number) => ran.map(({ rows }) => rows.some((row) => row.token === token)).lastIndexOf(true);
    expect(last(1)).toBeLessThan(last(2));
    expect(last(2)).toBeLessThan(last(0));
  });

  it('holds as many lanes as it has rows for, and the others the next time', async () => {
    const { open, ran } = setUp(5, 2);
    await Promise.all([1, 2, 3, 4, 5].map(() => generate(open(), 1, 10)));
    expect(ran.reduce((sum, { rows }) => sum + rows.length, 0)).toBe(50);
    const served = [0, 0, 0, 0, 0];
    for (const { rows } of ran.slice(0, 15)) for (const { slot } of rows) served[slot]!++;
    expect(Math.max(...served) - Math.min(...served)).toBeLessThanOrEqual(2);
  });

  it('that fails for one sequence fails for that one only', async () => {
    const { open, claims } = setUp(3);
    const results = await Promise.allSettled([
      generate(open(), 3, 8),
      generate(open(), 3, 8, poison),
      generate(open(), 5, 8, 2),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(claims.occupancy).toEqual({ running: 0, waiting: 0 });
  });
});
