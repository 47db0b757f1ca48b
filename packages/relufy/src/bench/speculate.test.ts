// The bench of speculation: what it tells, and that it times nothing where drafts change an answer.
import { expect, it } from 'vitest';
import { loadModel } from '../node/load-model.js';
import { asked, benchSpeculated } from './speculate.js';

it('tells speed-up, acceptance and bytes of the same answers', async () => {
  await using model = await loadModel('llama-tales', { contextLength: 512 });
  const [copy] = asked as [(typeof asked)[0]];
  const found = await benchSpeculated(model, { draft: 'prompt', adaptive: false, tokens: 2 }, copy, 0.01);
  expect(found.speedUp).toBeGreaterThan(0.1);
  expect(found.speculation!.drafted).toBeGreaterThan(0);
  expect(found.bytes).toBeGreaterThan(0.3);
});

it('times nothing where an answer differs', async () => {
  let calls = 0;
  const model = {
    generate: () => ({
      async *[Symbol.asyncIterator]() {
        yield {};
      },
      result: Promise.resolve({ tokenIds: [calls++], stats: {} }),
    }),
  };
  const generating = model as unknown as Parameters<typeof benchSpeculated>[0];
  await expect(benchSpeculated(generating, 'prompt', { name: 'a', prompt: 'b' }, 0.01)).rejects.toThrowError(
    'bench speculate: an answer with drafts differs. Nothing was timed.',
  );
});
