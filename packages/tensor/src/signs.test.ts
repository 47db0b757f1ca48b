// Sign bits of every weight format, against the numbers that the formats stand for: zeros, padding, odd widths.
import { expect, it } from 'vitest';
import { packSigns, signWords, weightDTypes } from './index.js';
import { storedRows } from './testing/stored-rows.js';

const widths = [1, 31, 32, 33, 127, 128, 129, 160];

it.each(weightDTypes)('%s: a bit is 1 where the number is negative; 0, -0 and the padding are not', (dtype) => {
  for (const columns of widths) {
    const rows = 3;
    const values = Float32Array.from({ length: rows * columns }, (_, i) =>
      i % 5 === 0 ? 0 : i % 7 === 0 ? -0 : Math.sin(i * 12.9898) * 3,
    );
    const { stored, expected } = storedRows(dtype, values, columns);
    const signs = packSigns(dtype, stored, columns);
    expect(signs.length).toBe(rows * signWords(columns));
    for (let row = 0; row < rows; row++)
      for (let i = 0; i < 32 * signWords(columns); i++) {
        const bit = ((signs[row * signWords(columns) + (i >> 5)] as number) >>> (i & 31)) & 1;
        const negative = i < columns && (expected[row * columns + i] as number) < 0;
        expect(bit, `${dtype} [${row}, ${i} of ${columns}]`).toBe(Number(negative));
      }
  }
});
