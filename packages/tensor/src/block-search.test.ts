// What the search promises: the error that counts is never larger than without it, and inputs that count decide.
import { describe, expect, it } from 'vitest';
import { type BlockDType, blockRowBytes, dequantizeRow, quantizeRow } from './block-format.js';

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const columns = 80;

function errorOf(dtype: BlockDType, values: Float32Array, counts: Float32Array, searched: boolean): number {
  const row = new Uint8Array(blockRowBytes(dtype, columns));
  quantizeRow(dtype, values, row, 'test', searched ? counts : undefined);
  return dequantizeRow(dtype, row, columns).reduce(
    (sum, value, i) => sum + (counts[i] as number) * (value - (values[i] as number)) ** 2,
    0,
  );
}

describe.each(['int4', 'uint4'] as const)('%s', (dtype) => {
  it('errs less where it counts, over many rows', () => {
    const next = random(7);
    let [plain, searched] = [0, 0];
    for (let row = 0; row < 200; row++) {
      const values = Float32Array.from({ length: columns }, () => (next() + next() + next() - 1.5) ** 3);
      const counts = Float32Array.from({ length: columns }, () => (next() < 0.1 ? 100 * next() : next()));
      plain += errorOf(dtype, values, counts, false);
      searched += errorOf(dtype, values, counts, true);
    }
    expect(searched).toBeLessThan(0.8 * plain);
  });

  it('keeps zeros, constants and rows where nothing counts', () => {
    const none = new Float32Array(columns);
    const some = new Float32Array(columns).fill(1);
    const values = Float32Array.from({ length: columns }, (_, i) => Math.sin(i));
    expect(errorOf(dtype, none, some, true)).toBe(0);
    expect(errorOf(dtype, new Float32Array(columns).fill(0.5), some, true)).toBeLessThan(1e-5);
    const bytes = [undefined, none].map((counts) => {
      const row = new Uint8Array(blockRowBytes(dtype, columns));
      quantizeRow(dtype, values, row, 'test', counts);
      return [...row];
    });
    expect(bytes[1]).toEqual(bytes[0]);
  });
});
