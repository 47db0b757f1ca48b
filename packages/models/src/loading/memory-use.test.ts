// What a process with a memory budget really takes, in a child process: its resident set grows by the budget, within a tenth.
// The model has 230 MB and takes half a minute to make, so RELUFY_MEMORY_TESTS=all asks for it.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { nativeAvailability } from '@relufy/native';
import { expect, test } from 'vitest';
import { convertModel } from '../node.js';
import { randomModel } from '../testing/random-model.js';

const config = {
  model_type: 'llama',
  hidden_size: 1024,
  intermediate_size: 8192,
  num_hidden_layers: 8,
  num_attention_heads: 8,
  num_key_value_heads: 2,
  vocab_size: 2000,
  max_position_embeddings: 256,
  hidden_act: 'relu',
};
const budget = 160e6;

/** Loads, reads a prompt, writes some tokens, and tells by how much its resident set grew. */
const program = `
const [model, backend, memoryBudget] = process.argv.slice(1);
const { loadModel } = await import(${JSON.stringify(new URL('../../dist/node.js', import.meta.url).href)});
const before = process.memoryUsage.rss();
const loaded = await loadModel(model, { backend, threads: 2, memoryBudget: Number(memoryBudget), contextLength: 256 });
const prompt = Array.from({ length: 150 }, (_, i) => (i * 37) % 2000);
await loaded.generate(prompt, { maxNewTokens: 8, stopTokenIds: [] }).result;
console.log(JSON.stringify({ grown: process.memoryUsage.rss() - before, ...loaded.stats().neurons }));
await loaded.dispose();`;

const backends = [...(nativeAvailability().available ? ['native'] : []), 'wasm'];
const asked = process.env.RELUFY_MEMORY_TESTS === 'all';
test.skipIf(!asked)(
  `a process grows by its memory budget, within a tenth${asked ? '' : ' (skipped: RELUFY_MEMORY_TESTS=all runs it)'}`,
  { timeout: 300_000 },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'relufy-memory-'));
    try {
      const model = join(folder, 'model');
      await convertModel(await randomModel(config), model, { dtype: 'int8' });
      for (const backend of backends) {
        const args = ['--input-type=module', '-e', program, model, backend, String(budget)];
        const { stdout } = await promisify(execFile)(process.execPath, args);
        const { grown, slots, neurons, read } = JSON.parse(stdout);
        console.log(`${backend}: ${stdout.trim()}`);
        expect(slots).toBeLessThan(neurons);
        expect(read).toBeGreaterThan(0);
        expect(grown).toBeLessThan(1.1 * budget);
        expect(grown).toBeGreaterThan(0.7 * budget);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);
