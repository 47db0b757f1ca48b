// What a step says that it read, held against what the model captures of the same tokens, on the portable backend.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadModel, type Model, type ModelFiles, type Piece } from '../node.js';
import { randomModel } from '../testing/random-model.js';
import { tinyConfig } from '../testing/tiny-folder.js';

const prompt = [1, 2, 3, 4];
const options = { maxNewTokens: 6, temperature: 0, stopTokenIds: [], activity: true };

async function piecesOf(model: Model, more = {}): Promise<Piece[]> {
  const pieces: Piece[] = [];
  for await (const piece of model.generate(prompt, { ...options, ...more })) pieces.push(piece);
  return pieces;
}

describe.each([
  { kind: 'gated', config: { hidden_act: 'relu', num_hidden_layers: 2 }, tap: 'neurons' },
  { kind: 'dense by nature', config: { hidden_act: 'silu', num_hidden_layers: 2 }, tap: undefined },
])('activity of a model that is $kind', ({ config, tap }) => {
  let files: ModelFiles;
  let model: Model;
  beforeAll(async () => {
    files = await randomModel({ ...tinyConfig, ...config });
    model = await loadModel(files, { backend: 'wasm' });
  });
  afterAll(() => model.dispose());

  test('names the neurons that are not zero, and the bytes that were read for them', async () => {
    const pieces = await piecesOf(model);
    const [first, ...others] = pieces;
    expect(first?.activity).toBeUndefined();
    expect(others).toHaveLength(5);
    const taps = tap ? [`${tap}.0`, `${tap}.1`] : [];
    const ids = [...prompt, ...pieces.map(({ tokenId }) => tokenId)];
    const { captured } = await model.forward(ids, { capture: taps });
    for (const [step, { activity }] of others.entries()) {
      const position = prompt.length + step;
      const expected = [0, 1].map((layer) => {
        const values = captured[`${tap}.${layer}`]?.subarray(position * 32, (position + 1) * 32);
        return values && Uint32Array.from([...values.keys()].filter((i) => values[i] !== 0));
      });
      expect(activity?.neurons).toEqual(expected);
      if (tap) expect(activity?.weightBytes).toBeLessThan(activity?.denseWeightBytes as number);
      else expect(activity?.weightBytes).toBe(activity?.denseWeightBytes);
      for (const [layer, list] of (activity?.neurons ?? []).entries())
        if (list) expect(activity?.density.up[layer]).toBeCloseTo(list.length / 32, 12);
    }
  });

  test('adds up to the statistics; a prompt that is cached but for its last token has it from the first one on', async () => {
    await model.generate(prompt, options).result;
    const stream = model.generate(prompt, options);
    const bytes: number[] = [];
    for await (const { activity } of stream) bytes.push(activity?.weightBytes ?? Number.NaN);
    const { stats } = await stream.result;
    expect(bytes.reduce((sum, one) => sum + one, 0) / 6).toBeCloseTo(stats.weightBytesPerToken, 6);
  });

  test('the same text when one generation reads everything', async () => {
    const [sparse, dense] = [await piecesOf(model), await piecesOf(model, { sparsity: 'dense' })];
    expect(dense.map(({ tokenId }) => tokenId)).toEqual(sparse.map(({ tokenId }) => tokenId));
    for (const { activity } of dense.slice(1)) {
      expect(activity?.neurons).toEqual([undefined, undefined]);
      expect(activity?.weightBytes).toBe(activity?.denseWeightBytes);
    }
    expect((await piecesOf(model, { activity: false })).every(({ activity }) => activity === undefined)).toBe(true);
  });
});

test('options that do not fit are refused by name', async () => {
  const model = await loadModel(await randomModel({ ...tinyConfig, num_hidden_layers: 1 }), { backend: 'wasm' });
  await expect(model.generate(prompt, { sparsity: 'none' as 'dense' }).result).rejects.toThrow('"sparsity"');
  await expect(model.generate(prompt, { activity: 1 as unknown as boolean }).result).rejects.toThrow('"activity"');
  await model.dispose();
});
