// Mean squares of inputs against a plain sum over captured inputs, and what conversion makes of them.
import { createReferenceBackend, RelufyError } from '@relufy/tensor';
import { expect, test } from 'vitest';
import { inputMeanSquares, planConversion } from '../index.js';
import { loadModel } from '../node.js';
import { randomModel } from '../testing/random-model.js';
import { tinyConfig } from '../testing/tiny-folder.js';

const config = { ...tinyConfig, hidden_act: 'silu', num_hidden_layers: 2 };
const sequences = [
  [1, 2, 3, 4, 5],
  [6, 7],
];

test('each input counts by its mean square over all tokens', async () => {
  const model = await loadModel(await randomModel(config), { backend: createReferenceBackend() });
  const importance = await inputMeanSquares(model, sequences);
  expect([...importance.keys()].filter((buffer) => buffer.startsWith('layers.1.'))).toEqual(
    ['qkv', 'o', 'gate', 'up', 'down'].map((role) => `layers.1.${role}.weight`),
  );
  for (const [buffer, tap] of [
    ['layers.1.qkv.weight', 'qkv.1'],
    ['layers.0.up.weight', 'upGate.0'],
    ['layers.1.down.weight', 'down.1'],
  ] as const) {
    const all: number[][] = [];
    for (const ids of sequences) {
      const { captured } = await model.forward(ids, { capture: [tap] });
      const values = captured[tap] as Float32Array;
      const width = values.length / ids.length;
      for (let row = 0; row < ids.length; row++) all.push([...values.subarray(row * width, (row + 1) * width)]);
    }
    const expected = (all[0] as number[]).map((_, i) => all.reduce((sum, row) => sum + (row[i] ?? 0) ** 2, 0) / 7);
    expect([...(importance.get(buffer) as Float32Array)]).toEqual(expected.map((value) => expect.closeTo(value, 6)));
  }
  await expect(inputMeanSquares(model, [])).rejects.toThrow('importance: expected a text of at least one token');
  await model.dispose();
});

test('4-bit blocks change with it, 8-bit ones are refused', async () => {
  const files = await randomModel(config);
  const model = await loadModel(files, { backend: createReferenceBackend() });
  const importance = await inputMeanSquares(model, sequences);
  await model.dispose();
  const bytesOf = async (dtype: 'int4' | 'uint4', options = {}) => {
    const conversion = await planConversion(files, { dtype, ...options });
    const tensor = conversion.tensors.find(({ name }) => name.includes('layers.0.up.weight'));
    const chunks: Uint8Array[] = [];
    const { data } = tensor ?? {};
    for await (const chunk of typeof data === 'function' ? data() : []) chunks.push(chunk as Uint8Array);
    await conversion.close();
    return Buffer.concat(chunks).toString('hex');
  };
  for (const dtype of ['int4', 'uint4'] as const) {
    const plain = await bytesOf(dtype);
    expect(plain.length).toBeGreaterThan(0);
    expect(await bytesOf(dtype, { importance })).not.toBe(plain);
  }
  await expect(planConversion(files, { dtype: 'int8', importance })).rejects.toThrow(RelufyError);
  const damaged = new Map([['layers.0.up.weight', Float32Array.of(Number.NaN)]]);
  await expect(planConversion(files, { dtype: 'int4', importance: damaged })).rejects.toThrow(
    'expected finite numbers',
  );
});
