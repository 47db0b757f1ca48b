// Block formats: what goes in comes out within half a step, padding is inert, and the layout is the documented one.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BlockDType,
  blockDTypes,
  blockRowBytes,
  dequantizeRow,
  f16ToF32,
  quantizeRow,
  scalesOffset,
} from './index.js';

const row = (dtype: BlockDType, values: Float32Array) => {
  const bytes = new Uint8Array(blockRowBytes(dtype, values.length));
  quantizeRow(dtype, values, bytes);
  return bytes;
};

describe('block formats', () => {
  it.each([
    ['int8', 1 / 127 / 1.99],
    ['int4', 1 / 7],
    ['uint4', 1 / 15],
  ] as const)('%s: errors stay within a share of the block largest value', (dtype, share) => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -3000, max: 3000 }), { minLength: 1, maxLength: 100 }), (numbers) => {
        const values = Float32Array.from(numbers, (n) => n / 1000);
        const back = dequantizeRow(dtype, row(dtype, values), values.length);
        for (let first = 0; first < values.length; first += 32) {
          const block = values.subarray(first, first + 32);
          const largest = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          block.forEach((value, i) => {
            expect(Math.abs((back[first + i] as number) - value)).toBeLessThanOrEqual(largest * share * 1.6 + 1e-6);
          });
        }
      }),
    );
  });

  it('int4 is no worse than q4_0, which maps the largest value to -8, where weights count by their square', () => {
    let state = 1;
    const next = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32 - 0.5;
    };
    const sums = { ours: 0, theirs: 0 };
    for (let n = 0; n < 200; n++) {
      const values = Float32Array.from({ length: 32 }, () => next() + next() + next());
      const back = dequantizeRow('int4', row('int4', values), 32);
      const largest = values.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
      const scale = largest / -8;
      values.forEach((value, i) => {
        sums.ours += (value * ((back[i] as number) - value)) ** 2;
        const theirs = scale * Math.max(-8, Math.min(7, Math.floor(value / scale + 8.5) - 8));
        sums.theirs += (value * (theirs - value)) ** 2;
      });
    }
    expect(sums.ours).toBeLessThan(0.9 * sums.theirs);
  });

  it('has the documented layout', () => {
    const values = Float32Array.from({ length: 33 }, (_, i) => (i === 32 ? -2 : (i - 16) / 16));
    const int8 = row('int8', values);
    expect(int8.length).toBe(128); // two blocks of 32 bytes, two scales, padded to 64
    expect(scalesOffset('int8', 33)).toBe(64);
    expect(new Int8Array(int8.buffer)[0]).toBe(-127);
    expect(new Int8Array(int8.buffer)[32]).toBe(-127);
    expect([...int8.subarray(33, 64)].every((byte) => byte === 0)).toBe(true);
    expect(f16ToF32((int8[66] as number) | ((int8[67] as number) << 8))).toBeCloseTo(2 / 127, 4);
    const int4 = row('int4', values);
    expect(int4.length).toBe(64);
    expect([...int4.subarray(17, 32)].every((byte) => byte === 0x88)).toBe(true);
    expect(dequantizeRow('int4', int4, 33)[32]).toBeCloseTo(-2, 2);
    const uint4 = row('uint4', values);
    expect(uint4.length).toBe(64); // two blocks of 16 bytes, two scales, two minima
    const halves = new Uint16Array(uint4.buffer, 32, 4);
    expect([...halves].map(f16ToF32).map((value) => Math.round(value * 1e3) / 1e3)).toEqual([0.129, 0, -1, -2]);
    expect(uint4[0]).toBe(0x80); // -1 and 0
  });

  it('keeps ternary weights: one magnitude, exact but for the rounding of the scale', () => {
    const values = Float32Array.from({ length: 96 }, (_, i) => [0.0123, 0, -0.0123, 0.0123][(i * i) % 4] as number);
    const back = dequantizeRow('int4', row('int4', values), 96);
    expect([...back].map(Math.sign)).toEqual([...values].map(Math.sign));
    for (const block of [0, 32, 64])
      expect(new Set([...back.subarray(block, block + 32)].map(Math.abs).filter(Boolean)).size).toBe(1);
    back.forEach((value, i) => {
      expect(Math.abs(value - (values[i] as number))).toBeLessThanOrEqual(Math.abs(values[i] as number) / 2048);
    });
  });

  it('keeps zeros exactly zero', () => {
    for (const dtype of blockDTypes)
      expect([...dequantizeRow(dtype, row(dtype, new Float32Array(40)), 40)].every((value) => value === 0)).toBe(true);
  });

  it.each([
    ['int8', 127],
    ['int4', -8],
    ['int4', 7], // ternary
  ] as const)('%s: refuses a block whose scale f16 cannot hold', (dtype, steps) => {
    const at = (scale: number) => {
      const values = new Float32Array(70);
      values[40] = scale * steps;
      if (steps === -8) values[41] = scale; // no ternary block
      return values;
    };
    expect(dequantizeRow(dtype, row(dtype, at(65504)), 70)[40]).toBe(65504 * steps);
    row(dtype, at(65519));
    for (const scale of [65521, 1e30]) {
      const bytes = new Uint8Array(blockRowBytes(dtype, 70));
      expect(() => quantizeRow(dtype, at(scale), bytes, 'm tensor "w"')).toThrowError(
        new RegExp(
          `^m tensor "w": expected numbers whose ${dtype} block scale fits f16 .* got a block with [\\d.e+]+. Use`,
        ),
      );
    }
  });
});
