// The bench of several streams: what it tells, and that it times nothing where company changes an answer.
import { describe, expect, it } from 'vitest';
import { loadModel } from '../node/load-model.js';
import { benchPromptBeside, benchStreams } from './batch.js';

describe('bench batch', () => {
  it('tells tokens a second by streams, and the wait beside a prompt', async () => {
    await using model = await loadModel('llama-tales', { slots: 3, contextLength: 512 });
    const results = await benchStreams(model, [1, 2], 0.01);
    expect(results.map(({ streams }) => streams)).toEqual([1, 2]);
    expect(results[0]?.overOne).toBe(1);
    for (const { tokensPerSecond } of results) expect(tokensPerSecond).toBeGreaterThan(1);
    const beside = await benchPromptBeside(model, 1, 200, 100);
    expect(beside.besideP99Ms).toBeGreaterThanOrEqual(beside.besideMs);
    expect(beside.firstTokenMs).toBeGreaterThan(beside.besideMs);
    // nothing of the prompts that come in is held from the row before
    model.resetStats();
    await benchPromptBeside(model, 2, 200, 100);
    expect(model.stats().prefill.tokens).toBeGreaterThan(2 * 199);
  }, 30_000);

  it('times nothing where an answer differs in company', async () => {
    let calls = 0;
    const model = {
      spec: { vocabSize: 10 },
      generate: () => ({ result: Promise.resolve({ tokenIds: [calls++] }) }),
    };
    await expect(benchStreams(model as unknown as Parameters<typeof benchStreams>[0], [2], 0.01)).rejects.toThrowError(
      'bench batch: an answer differs in company. Nothing was timed.',
    );
  });
});
