// The bench beside busy loops: what it tells, that it compares like with like, and that its loops end with it.
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { loadModel } from '../node/load-model.js';
import { benchBusy, type Contender } from './busy.js';

const saying = (ids: readonly number[]): Contender['model'] => ({
  generate: () =>
    ({
      result: Promise.resolve({ tokenIds: ids }),
      async *[Symbol.asyncIterator]() {
        for (const tokenId of ids) yield { tokenId, text: '' };
      },
    }) as unknown as ReturnType<Contender['model']['generate']>,
});

describe('bench busy', () => {
  it('tells tokens/s, the median, the 99th percentile and the ratio to one thread, for each number of loops', async () => {
    await using one = await loadModel('llama-tales', { backend: 'wasm', threads: 1 });
    await using two = await loadModel('llama-tales', { backend: 'wasm', threads: 2 });
    const contenders = [one, two].map((model, i) => ({ backend: 'wasm', threads: i + 1, model }));
    const results = await benchBusy(contenders, [0, 1], 0.01);
    expect(results.map(({ loops, threads }) => [loops, threads])).toEqual([
      [0, 1],
      [0, 2],
      [1, 1],
      [1, 2],
    ]);
    for (const { medianMs, p99Ms, tokensPerSecond } of results) {
      expect(medianMs).toBeGreaterThan(0);
      expect(p99Ms).toBeGreaterThanOrEqual(medianMs);
      expect(tokensPerSecond).toBeGreaterThan(1);
    }
    const [alone, together] = results.slice(2) as [(typeof results)[0], (typeof results)[0]];
    expect(alone.overOne).toBeUndefined();
    expect(together.overOne).toBeCloseTo(together.tokensPerSecond / alone.tokensPerSecond, 6);
    const children = execFileSync('ps', ['-o', 'args', '--ppid', String(process.pid)], { encoding: 'utf8' });
    expect(children).not.toContain('const end = Date.now()');
  }, 30_000);

  it('times nothing where threads change the answer', async () => {
    const contenders = [
      { backend: 'wasm', threads: 1, model: saying([1, 2, 3]) },
      { backend: 'wasm', threads: 2, model: saying([1, 2, 4]) },
    ];
    await expect(benchBusy(contenders, [0], 0.01)).rejects.toThrowError(
      'bench busy: wasm: 2 threads say something else. Nothing was timed.',
    );
  });
});
