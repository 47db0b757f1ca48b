// A golden model through GGUF and back computes the logits that the Hugging Face implementation computed.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelFiles } from '@relufy/checkpoint';
import { folderFiles, writeGguf } from '@relufy/checkpoint/node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { loadModel } from './node.js';
import { expectWithin, readGolden } from './testing/golden.js';

/** The least that GGUF takes; the golden models have none. */
const tokenizer = {
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Digits', individual_digits: true },
      { type: 'ByteLevel', add_prefix_space: false },
    ],
  },
  model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [], ignore_merges: false },
};

describeShared('golden models as GGUF', 'golden/zoo', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'relufy-gguf-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it.each(['arcee', 'nemotron', 'jais2', 'mistral', 'qwen2', 'qwen3', 'smollm3', 'stablelm', 'gpt_neox'])(
    '%s',
    async (name) => {
      const original = await folderFiles(shared(`golden/zoo/${name}`));
      const files: ModelFiles = {
        ...original,
        readText: async (file, options) =>
          file === 'tokenizer.json' ? JSON.stringify(tokenizer) : original.readText(file, options),
      };
      const golden = await readGolden(`golden/zoo/${name}`);
      for (const [type, bound] of [
        ['f32', 1e-4],
        ['f16', 1e-2],
      ] as const) {
        const path = join(folder, `${name}-${type}.gguf`);
        await writeGguf(path, files, { type });
        await using model = await loadModel(path, { backend: 'wasm', threads: 1 });
        const { logits } = await model.forward(golden.inputIds, { logits: 'all' });
        expectWithin(`${name} ${type}`, logits, golden.tensors.get('logits') as Float32Array, bound);
        expect(model.spec.numHiddenLayers).toBe(3);
      }
    },
  );
});
