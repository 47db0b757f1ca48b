// f32 -> the tensor types that we write, bit for bit as ggml's reference quantisers do it (ggml-quants.c): every
// intermediate is rounded to f32.
// Owns: F32, F16, Q8_0, Q4_0, and refusing numbers that one of them cannot hold. Does not own: which tensor gets which
// type (export.ts).
import { areFinite, f32ToF16 } from '@relufy/tensor';
import { malformed } from '../malformed.js';

export type WritableType = 'F32' | 'F16' | 'Q8_0' | 'Q4_0';

const { fround } = Math;

/**
 * `values` are whole blocks; `where` names their tensor.
 * @throws RelufyError `checkpoint` for numbers that are not finite, or that the type has no room for.
 */
export function quantize(type: WritableType, values: Float32Array, where: string): Uint8Array {
  if (!areFinite('f32', values)) throw malformed(where, 'expected finite numbers, got NaN or infinity');
  if (type === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const bytes = type === 'F16' ? toF16(values) : type === 'Q8_0' ? quantizeQ8(values) : quantizeQ4(values);
  if (bytes !== undefined) return bytes;
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const what = type === 'F16' ? 'numbers that fit' : `numbers whose ${type} block scale fits`;
  throw malformed(
    where,
    `expected ${what} f16 (at most 65504), got ${largest.toPrecision(3)}`,
    'Write it as type f32, which holds every number.',
  );
}

// Each of these gives undefined where an f16 would be infinite.

function toF16(values: Float32Array): Uint8Array | undefined {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) {
    const b = bits[i] as number;
    const magnitude = b & 0x7fffffff;
    // Normal f16 by a shift with rounding to even; the rest (tiny, huge, NaN) by the definition.
    out[i] =
      magnitude >= 0x38800000 && magnitude < 0x477ff000
        ? ((b >>> 16) & 0x8000) | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
        : f32ToF16(values[i] as number);
  }
  return areFinite('f16', out) ? new Uint8Array(out.buffer) : undefined;
}

function quantizeQ8(values: Float32Array): Uint8Array | undefined {
  const blocks = values.length / 32;
  const out = new Uint8Array(blocks * 34);
  for (let block = 0; block < blocks; block++) {
    const from = block * 32;
    let largest = 0;
    for (let i = 0; i < 32; i++) largest = Math.max(largest, Math.abs(values[from + i] as number));
    const d = fround(largest / 127);
    const inverse = d === 0 ? 0 : fround(1 / d);
    if (!putF16(out, block * 34, d)) return undefined;
    for (let i = 0; i < 32; i++) {
      const scaled = fround((values[from + i] as number) * inverse);
      out[block * 34 + 2 + i] = scaled < 0 ? -Math.floor(0.5 - scaled) : Math.floor(scaled + 0.5); // half away from zero
    }
  }
  return out;
}

function quantizeQ4(values: Float32Array): Uint8Array | undefined {
  const blocks = values.length / 32;
  const out = new Uint8Array(blocks * 18);
  for (let block = 0; block < blocks; block++) {
    const from = block * 32;
    let largest = 0; // the value of largest magnitude, with its sign: it becomes -8 exactly
    for (let i = 0; i < 32; i++) {
      const value = values[from + i] as number;
      if (Math.abs(value) > Math.abs(largest)) largest = value;
    }
    const d = fround(largest / -8);
    const inverse = d === 0 ? 0 : fround(1 / d);
    if (!putF16(out, block * 18, d)) return undefined;
    for (let i = 0; i < 16; i++) {
      const low = toFourBits(values[from + i] as number, inverse);
      const high = toFourBits(values[from + 16 + i] as number, inverse);
      out[block * 18 + 2 + i] = low | (high << 4);
    }
  }
  return out;
}

const toFourBits = (value: number, inverse: number): number =>
  Math.min(15, Math.trunc(fround(fround(value * inverse) + 8.5)));

/** Whether it is finite. */
function putF16(out: Uint8Array, at: number, value: number): boolean {
  const bits = f32ToF16(value);
  out[at] = bits & 0xff;
  out[at + 1] = bits >> 8;
  return (bits & 0x7c00) !== 0x7c00;
}
