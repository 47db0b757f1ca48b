// NaN and infinity are found wherever they lie, in every format, and nothing else is taken for them.
import { describe, expect, it } from 'vitest';
import { scalesAreFinite } from './finite.js';
import { areFinite, bf16ToF32, blockRowBytes, blocksOf, f16ToF32, isFiniteBuffer, scalesOffset } from './index.js';

const widenHalf = { bf16: bf16ToF32, f16: f16ToF32 };

describe('finite numbers', () => {
  it.each(['bf16', 'f16'] as const)('%s: every one of the 65536 as what it is, at either half of a word', (dtype) => {
    const wrong = Array.from({ length: 65536 }, (_, bits) => bits).filter((bits) => {
      const expected = Number.isFinite(widenHalf[dtype](bits));
      const [low, high] = [Uint16Array.of(bits, 0x3c00), Uint16Array.of(0x3c00, bits)];
      return areFinite(dtype, low) !== expected || areFinite(dtype, high) !== expected;
    });
    expect(wrong).toEqual([]);
  });

  it('f32: the largest number is one, what is beyond is none', () => {
    const largest = 3.4028234663852886e38;
    expect(areFinite('f32', Float32Array.of(largest, -largest, 0, 1e-45, -0))).toBe(true);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      expect(areFinite('f32', Float32Array.of(1, value, 1))).toBe(false);
  });

  it('at every place of every view, and not beside it', () => {
    for (let from = 0; from < 4; from++)
      for (let length = 0; length < 6; length++) {
        const all = new Uint16Array(12).fill(0x7f80);
        const view = all.subarray(from, from + length).fill(0x7f7f);
        expect(areFinite('bf16', view)).toBe(true);
        for (let at = 0; at < length; at++) {
          view[at] = 0xff80;
          expect(areFinite('bf16', view)).toBe(false);
          view[at] = 0x7f7f;
        }
      }
  });

  it.each(['int8', 'int4'] as const)(
    '%s: the scale of every block of every row; integers and padding are none',
    (dtype) => {
      for (const columns of [1, 32, 33, 96, 576, 1024]) {
        const stride = blockRowBytes(dtype, columns);
        const rows = new Uint8Array(3 * stride).fill(0xff); // as f16: NaN
        const first = scalesOffset(dtype, columns);
        for (let row = 0; row < 3; row++)
          rows.fill(0x7b, row * stride + first, row * stride + first + 2 * blocksOf(columns));
        expect(isFiniteBuffer(dtype, rows, columns)).toBe(true);
        for (let row = 0; row < 3; row++)
          for (let block = 0; block < blocksOf(columns); block++) {
            const at = row * stride + first + 2 * block + 1;
            rows[at] = 0xfc;
            expect(scalesAreFinite(dtype, rows, columns)).toBe(false);
            rows[at] = 0x7b;
          }
      }
    },
  );
});
