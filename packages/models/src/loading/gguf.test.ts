// A golden model through GGUF and back computes the logits that the Hugging Face implementation computed.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeSafetensors, type ModelFiles, memoryFiles, openCheckpoint } from '@relufy/checkpoint';
import { folderFiles, writeGguf } from '@relufy/checkpoint/node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeShared, shared } from '../../../../tools/testing/shared.js';
import { loadModel } from '../node.js';
import { expectWithin, readGolden } from '../testing/golden.js';

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

/** The golden model with one tensor renamed or config.json changed, held in memory. */
async function changed(folder: string, config: object, rename: Readonly<Record<string, string>>): Promise<ModelFiles> {
  const original = await folderFiles(shared(folder));
  const checkpoint = await openCheckpoint(original);
  const tensors = await Promise.all(
    [...checkpoint.tensors.values()].map(async ({ name, dtype, shape }) => {
      const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
      return { name: rename[name] ?? name, dtype, shape, data: (await checkpoint.readStored(name, 0, rows)).slice() };
    }),
  );
  await checkpoint.close();
  return memoryFiles('changed', {
    'config.json': JSON.stringify({ ...JSON.parse((await original.readText('config.json')) as string), ...config }),
    'tokenizer.json': JSON.stringify(tokenizer),
    'model.safetensors': await encodeSafetensors(tensors),
  });
}

describeShared('golden models whose ties are not what config.json says, as GGUF', 'golden/llama-relu', () => {
  it.each([
    ['a head of its own under a config that ties', 'llama-relu', { tie_word_embeddings: true }, {}],
    [
      'the head alone',
      'llama-mha-tied-bf16-sharded',
      {},
      { 'model.embed_tokens.weight': 'lm_head.weight', 'embed_tokens.weight': 'lm_head.weight' },
    ],
  ])('%s', async (_, name, config, rename) => {
    const files = await changed(`golden/${name}`, config, rename);
    const golden = await readGolden(`golden/${name}`);
    const folder = await mkdtemp(join(tmpdir(), 'relufy-gguf-tied-'));
    try {
      const path = join(folder, 'model.gguf');
      await writeGguf(path, files, { type: 'f32' });
      for (const source of [files, path]) {
        await using model = await loadModel(source, { backend: 'wasm', threads: 1 });
        const { logits } = await model.forward(golden.inputIds, { logits: 'all' });
        expectWithin(`${name} ${source}`, logits, golden.tensors.get('logits') as Float32Array, 1e-4);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

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
