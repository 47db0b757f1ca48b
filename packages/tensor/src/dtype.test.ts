// Conversions between number formats: exact where they can be, rounded to the nearest (ties to even) where not.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16, narrowToBf16, widen } from './index.js';

describe('bf16 and f16', () => {
  it('widen and narrow back without a change, every bit pattern', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const [b, h] = [bf16ToF32(bits), f16ToF32(bits)];
      if (!Number.isNaN(b)) expect(f32ToBf16(b)).toBe(bits);
      if (!Number.isNaN(h)) expect(f32ToF16(h)).toBe(bits);
    }
    expect([bf16ToF32(0x3f80), bf16ToF32(0xc049), f16ToF32(0x3c00), f16ToF32(0xfbff)]).toEqual([
      1, -3.140625, 1, -65504,
    ]);
  });

  it('round to the nearest, ties to even', () => {
    fc.assert(
      fc.property(fc.float({ min: -60000, max: 60000, noNaN: true }), (value) => {
        for (const [narrow, wide] of [
          [f32ToBf16, bf16ToF32],
          [f32ToF16, f16ToF32],
        ] as const) {
          const bits = narrow(value);
          const error = Math.abs(wide(bits) - value);
          for (const near of [bits - 1, bits + 1])
            if (near >= 0 && near < 65536 && (near & 0x8000) === (bits & 0x8000)) {
              const other = Math.abs(wide(near) - value);
              expect(error <= other || Number.isNaN(other)).toBe(true);
              if (error === other) expect(bits & 1).toBe(0);
            }
        }
      }),
    );
    expect(f32ToF16(65520)).toBe(0x7c00);
    expect(f32ToF16(65519)).toBe(0x7bff);
    expect(Number.isNaN(bf16ToF32(f32ToBf16(Number.NaN)))).toBe(true);
    expect(Number.isNaN(f16ToF32(f32ToF16(Number.NaN)))).toBe(true);
  });

  it('widens runs of bytes at any offset, of Buffers as of arrays', () => {
    const values = [1, -2.5, 0.15625, 3];
    const bits = Uint16Array.from(values, f32ToBf16);
    for (const offset of [0, 1, 2, 3]) {
      const bytes = new Uint8Array(16);
      bytes.set(new Uint8Array(bits.buffer), offset);
      expect([...widen('bf16', bytes.subarray(offset, offset + 8))]).toEqual(values);
      expect([...widen('bf16', Buffer.from(bytes.buffer, offset, 8))]).toEqual(values);
    }
    expect([...narrowToBf16(Float32Array.from(values))]).toEqual([...bits]);
  });
});
