// Which way a step of several rows takes, and that the answer and what it tells of its cost do not depend on it.
import { afterEach, describe, expect, it, vi } from 'vitest';
import { loadModel } from '../node.js';
import { randomModel } from '../testing/random-model.js';
import { tinyConfig } from '../testing/tiny-folder.js';
import { ProductChoice, type WeightsRead } from './product-choice.js';

/** Steps in turn, which take what `ms` says; gives the ways that were taken. */
function ways(choice: ProductChoice, rows: number, steps: number, ms: (way: WeightsRead) => number): WeightsRead[] {
  return Array.from({ length: steps }, () => {
    const way = choice.next(rows);
    choice.took(rows, way, ms(way));
    return way;
  });
}

describe('the choice', () => {
  it('is the faster way, by the number of rows; the other one is tried less and less often', () => {
    const choice = new ProductChoice();
    const all = ways(choice, 128, 400, (way) => (way === 'all' ? 10 : 30));
    expect(all.slice(0, 6).filter((way) => way === 'listed')).toHaveLength(3);
    expect(all.slice(6).filter((way) => way === 'listed').length).toBeLessThan(5);
    expect(ways(choice, 4, 40, (way) => (way === 'all' ? 3 : 1)).slice(6, 30)).not.toContain('all');
    expect(ways(choice, 1, 5, () => 1)).toEqual(new Array(5).fill('listed'));
  });

  it('changes when the times do', () => {
    const choice = new ProductChoice();
    ways(choice, 8, 100, (way) => (way === 'all' ? 1 : 2));
    const later = ways(choice, 8, 600, (way) => (way === 'all' ? 4 : 2));
    expect(later.slice(-50).filter((way) => way === 'listed').length).toBeGreaterThan(45);
  });
});

describe('both ways', () => {
  afterEach(() => void vi.restoreAllMocks());

  it.each(['wasm', 'reference'] as const)('give the same bits and the same costs: %s', async (backend) => {
    const files = await randomModel({ ...tinyConfig, hidden_act: 'relu', num_hidden_layers: 2 });
    const answers = [];
    for (const way of ['listed', 'all'] as const) {
      vi.spyOn(ProductChoice.prototype, 'next').mockReturnValue(way);
      await using model = await loadModel(files, { backend, slots: 3 });
      const options = { maxNewTokens: 6, temperature: 0, stopTokenIds: [], logprobs: 3, activity: true };
      const streams = [
        [1, 2, 3],
        [4, 5],
        [6, 7, 8, 9],
      ].map((prompt) => model.generate(prompt, options));
      const pieces = await Promise.all(
        streams.map(async (stream) => {
          const own = [];
          for await (const piece of stream) own.push(piece);
          const { stats } = await stream.result;
          return { own, density: stats.density, bytes: stats.weightBytesPerToken };
        }),
      );
      answers.push(pieces);
    }
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[0]?.[0]?.bytes).toBeGreaterThan(0);
  });
});
