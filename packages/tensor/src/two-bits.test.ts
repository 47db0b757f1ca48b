// Two bits of every weight format, against the numbers that the formats stand for: the code is the nearest of four even steps,
// codes lie where the layout says, the padding is zero.
import { expect, it } from 'vitest';
import { packTwoBits, twoBitCode, twoBitWords, weightDTypes } from './index.js';
import { storedRows } from './testing/stored-rows.js';

it.each(weightDTypes)('%s: each number has the nearest of four values', (dtype) => {
  for (const columns of [1, 31, 32, 33, 127, 128, 129, 300]) {
    const rows = 3;
    const values = Float32Array.from(
      { length: rows * columns },
      (_, i) => Math.round(Math.sin(i * 12.9898) * 300) / 64,
    );
    const { stored, expected } = storedRows(dtype, values, columns);
    const { codes, scales } = packTwoBits(dtype, stored, columns);
    const words = twoBitWords(columns);
    expect(codes.length).toBe(rows * words);
    for (let row = 0; row < rows; row++) {
      const own = expected.subarray(row * columns, (row + 1) * columns);
      const rms = Math.sqrt(own.reduce((sum, value) => sum + value * value, 0) / columns);
      // bf16 rounds what is expected too
      expect(scales[row]).toBeCloseTo((0.9957 * rms) / 2, dtype === 'bf16' ? 2 : 6);
      const wordAt = (word: number) => codes[row * words + word] as number;
      for (let i = 0; i < words * 16; i++) {
        const code = twoBitCode(wordAt, i);
        if (i >= columns) {
          expect(code).toBe(0);
          continue;
        }
        const taken = (2 * code - 3) * (scales[row] as number);
        const error = Math.abs(taken - (own[i] as number));
        for (const other of [-3, -1, 1, 3])
          expect(error).toBeLessThanOrEqual(Math.abs(other * (scales[row] as number) - (own[i] as number)) + 2e-2);
      }
    }
  }
});

it('lies as the kernels read it: byte j of 32 has columns j, j + 32, j + 64 and j + 96', () => {
  const row = new Float32Array(256).fill(-1);
  for (const i of [5, 32 + 5, 64 + 7, 128 + 96]) row[i] = 1;
  const bytes = new Uint8Array(packTwoBits('f32', row, 256).codes.buffer);
  // all are 1 in size, above the step: 0 below, 3 above
  expect([...bytes.keys()].filter((at) => bytes[at] !== 0)).toEqual([5, 7, 32]);
  expect([bytes[5], bytes[7], bytes[32]]).toEqual([0b1111, 0b110000, 0b11000000]);
});

it('a row of zeros scores zero', () => {
  expect(packTwoBits('f32', new Float32Array(40), 40).scales).toEqual(new Float32Array(1));
});
