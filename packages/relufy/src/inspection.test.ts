import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { modelUrl } from '@relufy/llama-tales';
import { describe, expect, test } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { inspectModel } from './inspection.js';
import { loadModel, openModelFiles } from './node.js';

describe('inspectModel', () => {
  test('tells of the bundled model what loading it makes', async () => {
    const { inspection, program } = await inspectModel(await openModelFiles(modelUrl));
    await using model = await loadModel('llama-tales', { threads: 1 });
    expect(inspection.spec).toEqual(model.spec);
    expect(inspection.contextLength).toBe(model.contextLength);
    expect(program).toEqual(model.program);
    // a backend adds what it needs itself: padding, scratch, the encoded program
    expect(model.memoryBytes / inspection.memory.total).toBeGreaterThan(0.95);
    expect(model.memoryBytes / inspection.memory.total).toBeLessThan(1.2);
    await model.generate('a b', { maxNewTokens: 3 }).result;
    const bytes = inspection.sites.reduce((sum, { weightBytes }) => sum + weightBytes, 0);
    expect(bytes).toBe(model.stats().denseWeightBytesPerToken);
  });

  test('dtype, sparsity and context are those asked for', async () => {
    const { inspection } = await inspectModel(await openModelFiles(modelUrl), {
      dtype: 'f32',
      sparsity: 'dense',
      contextLength: 64,
    });
    expect(Object.keys(inspection.memory.weights)).toEqual(['f32']);
    expect(inspection.memory.kvCache).toBe(2 * 8 * 4 * 64 * 32 * 4);
    expect(inspection.sites.every(({ sparse }) => !sparse)).toBe(true);
    await expect(inspectModel(await openModelFiles(modelUrl), { contextLength: 2000 })).rejects.toThrow(
      "contextLength: expected at most 512 (the model's max_position_embeddings), got 2000.",
    );
  });

  test('formats: what is stored as what in memory', async () => {
    const { inspection } = await inspectModel(await openModelFiles(modelUrl), { dtype: 'int8' });
    expect(inspection.formats).toEqual([{ stored: 'BF16', memory: 'int8' }]);
  });

  test('a folder without a config is one error', async () =>
    expect(inspectModel(await openModelFiles(fileURLToPath(new URL('..', modelUrl))))).rejects.toThrow(
      'expected a config.json, found none',
    ));
});

describeShared('inspectModel on golden checkpoints', 'golden', () => {
  const folders = readdirSync(shared('golden'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const names = folders.map(({ name }) => name).filter((name) => /^(llama|opt|falcon)-/.test(name));

  test.each(names)('%s', async (name) => {
    const { inspection, tensors } = await inspectModel(await openModelFiles(shared(`golden/${name}`)));
    expect(inspection.parameters).toBeGreaterThan(10_000);
    expect(inspection.memory.total).toBeGreaterThan(inspection.memory.kvCache);
    expect(tensors.length).toBe(inspection.checkpoint.tensors);
  });
});
