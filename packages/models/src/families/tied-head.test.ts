// What a tied model may store, and what counts: the same logits as transformers, whichever of head and embedding is in
// the file, in every family, and after converting.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memoryFiles, type TensorToWrite } from '@relufy/checkpoint';
import { folderFiles } from '@relufy/checkpoint/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { torchBin } from '../../../checkpoint/testing/bin.js';
import { convertModel, loadModel, parseConfig, planModel } from '../node.js';
import { type ChangeTensors, randomModel } from '../testing/random-model.js';

const sizes = { hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, vocab_size: 16 };
const llama = { ...sizes, model_type: 'llama', intermediate_size: 32, max_position_embeddings: 16 };
const configs: Readonly<Record<string, object>> = {
  llama,
  opt: { ...sizes, model_type: 'opt', ffn_dim: 32, max_position_embeddings: 16 },
  'opt with projections': { ...sizes, model_type: 'opt', ffn_dim: 32, word_embed_proj_dim: 16 },
  falcon: { ...sizes, model_type: 'falcon' },
  gpt_neox: { ...llama, model_type: 'gpt_neox' },
  nemotron: { ...llama, model_type: 'nemotron' },
  smollm3: { ...llama, model_type: 'smollm3' },
  minicpm: { ...llama, model_type: 'minicpm' },
};

const tied = (config: object, tie: boolean) => ({ ...config, tie_word_embeddings: tie });

function names(config: object): { head: string; embedding: string } {
  const { family, spec } = parseConfig(tied(config, false));
  const nameOf = (buffer: string) => family.weights(spec).get(buffer)?.[0]?.tensor as string;
  return { head: nameOf('lmHead'), embedding: nameOf('embedTokens') };
}

/** The tensors of the untied model under a config that ties them. */
async function stored(config: object, change: ChangeTensors = () => {}) {
  const files = await randomModel(tied(config, false), change);
  const readText: typeof files.readText = async (file, options) =>
    file === 'config.json' ? JSON.stringify(tied(config, true)) : files.readText(file, options);
  return { ...files, readText };
}

const logits = async (files: Parameters<typeof loadModel>[0], dtype: 'auto' | 'int8' = 'auto') => {
  await using model = await loadModel(files, { backend: 'reference', dtype });
  return (await model.forward([1, 5, 2])).logits;
};

describe.each(Object.entries(configs))('a tied %s', (_, config) => {
  const { head, embedding } = names(config);

  it('with a head of its own uses it', async () => {
    const expected = await logits(await randomModel(tied(config, false)));
    expect(await logits(await stored(config))).toEqual(expected);
    expect(await logits(await randomModel(tied(config, true)))).not.toEqual(expected);
  });

  it('with the head alone takes it as the embedding', async () => {
    const expected = await logits(await randomModel(tied(config, true)));
    const files = await stored(config, (tensors) => {
      const table = tensors.get(embedding) as TensorToWrite & { data: Float32Array };
      tensors.delete(embedding);
      tensors.set(head, { ...table, name: head });
    });
    expect(await logits(files)).toEqual(expected);
  });

  it('with the same numbers twice holds them once', async () => {
    const files = await stored(config, (tensors) => {
      const { data } = tensors.get(embedding) as { data: Float32Array };
      tensors.set(head, { ...(tensors.get(head) as TensorToWrite), data });
    });
    const { spec, decoder, checkpoint } = await planModel(files);
    await checkpoint.close();
    expect(spec.tieWordEmbeddings).toBe(true);
    expect(decoder.buffers.some(({ name }) => name === 'lmHead')).toBe(false);
  });
});

describe('a tied llama in a .bin', () => {
  const { head, embedding } = names(llama);
  type Tensors = Parameters<ChangeTensors>[0];
  const inBin = async (change: (tensors: Tensors) => void) => {
    let bytes = new Uint8Array();
    await randomModel(tied(llama, false), (tensors) => {
      change(tensors);
      bytes = Uint8Array.from(torchBin(tensors.values()));
    });
    const config = JSON.stringify(tied(llama, true));
    return memoryFiles('bin', { 'config.json': config, 'pytorch_model.bin': bytes });
  };

  it('with a head of its own uses it', async () => {
    const expected = await logits(await randomModel(tied(llama, false)));
    expect(await logits(await inBin(() => {}))).toEqual(expected);
  });

  it.each([
    ['the head alone', [head]],
    ['the embedding alone', [embedding]],
    ['both in one storage', [head, embedding]],
  ] as const)('with %s', async (_, kept) => {
    const files = await inBin((tensors) => {
      const { data } = tensors.get(embedding) as { data: Float32Array };
      for (const name of [head, embedding])
        if ((kept as readonly string[]).includes(name))
          tensors.set(name, { ...(tensors.get(name) as TensorToWrite), data });
        else tensors.delete(name);
    });
    expect(await logits(files)).toEqual(await logits(await randomModel(tied(llama, true))));
  });
});

it('an untied model without a head or an embedding is refused', async () => {
  for (const name of ['lm_head.weight', 'model.embed_tokens.weight']) {
    const files = randomModel(tied(llama, false), (tensors) => tensors.delete(name));
    await expect(logits(await files)).rejects.toThrow(`tensor "${name}": expected it among`);
  }
});

describe('converting', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'relufy-tied-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const sources = {
    both: () => stored(llama),
    'only the head': () => stored(llama, (tensors) => tensors.delete('model.embed_tokens.weight')),
  };
  for (const [name, source] of Object.entries(sources))
    it(`${name}: the same logits in every layout`, async () => {
      const files = await source();
      for (const [dtype, layout] of [
        ['f32', 'hf'],
        ['f32', 'packed'],
        ['int8', 'packed'],
      ] as const) {
        const out = join(folder, `${name}-${dtype}-${layout}`);
        await convertModel(files, out, { dtype, layout });
        const expected = await logits(files, dtype === 'int8' ? 'int8' : 'auto');
        expect(await logits(out)).toEqual(expected);
        const { tie_word_embeddings } = JSON.parse((await (await folderFiles(out)).readText('config.json')) as string);
        expect(tie_word_embeddings).toBe(name !== 'both');
      }
    });
});
