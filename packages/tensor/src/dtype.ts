// Number formats of buffers and of checkpoints, and the exact conversions between them.
// Owns: sizes, bf16/f16 <-> f32. Block formats are block-format.ts.
import type { BlockDType } from './block-format.js';

/**
 * Formats that a program's buffer may have: f16 is one of KV caches, `i8` a plain signed byte, int8, int4 and uint4 block
 * formats of weights.
 */
export type DType = 'f32' | 'bf16' | 'f16' | 'i32' | 'i8' | BlockDType;

/** Float formats that a checkpoint may hold and a loader converts from. */
export type FloatDType = 'f32' | 'bf16' | 'f16';

export const bytesPerElement: Readonly<Record<Exclude<DType, BlockDType> | FloatDType, number>> = {
  f32: 4,
  bf16: 2,
  f16: 2,
  i32: 4,
  i8: 1,
};

const scratchF32 = new Float32Array(1);
const scratchU32 = new Uint32Array(scratchF32.buffer);

/** bf16 bits -> the number they stand for (exact). */
export function bf16ToF32(bits: number): number {
  scratchU32[0] = bits << 16;
  return scratchF32[0] as number;
}

/** The nearest bf16 (ties to even), as bits; NaN stays NaN. */
export function f32ToBf16(value: number): number {
  scratchF32[0] = value;
  const bits = scratchU32[0] as number;
  if ((bits & 0x7fffffff) > 0x7f800000) return ((bits >>> 16) | 0x40) & 0xffff;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** f16 bits -> the number they stand for (exact). */
export function f16ToF32(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The nearest f16 (ties to even), as bits; overflow gives infinity. */
export function f32ToF16(value: number): number {
  scratchF32[0] = value;
  const bits = scratchU32[0] as number;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds to 65520 or more
  if (magnitude < 0x38800000) {
    // subnormal: in units of 2^-24, rounded half to even
    scratchU32[0] = magnitude;
    const units = (scratchF32[0] as number) * 2 ** 24;
    const floor = Math.floor(units);
    const rest = units - floor;
    return sign | (rest > 0.5 || (rest === 0.5 && floor & 1) ? floor + 1 : floor);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** Widens a run of checkpoint numbers to f32 (exact). */
export function widen(dtype: FloatDType, bytes: Uint8Array): Float32Array {
  const count = bytes.byteLength / bytesPerElement[dtype];
  const out = new Float32Array(count);
  if (dtype === 'f32') {
    new Uint8Array(out.buffer).set(bytes);
    return out;
  }
  const halves = alignedU16(bytes, count);
  if (dtype === 'bf16') {
    const bits = new Uint32Array(out.buffer);
    for (let i = 0; i < count; i++) bits[i] = (halves[i] as number) << 16;
  } else {
    const table = f16Table();
    for (let i = 0; i < count; i++) out[i] = table[halves[i] as number] as number;
  }
  return out;
}

/** Rounds f32 to bf16 (nearest, ties to even). */
export function narrowToBf16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < out.length; i++) {
    const b = bits[i] as number;
    out[i] = (b & 0x7fffffff) > 0x7f800000 ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
  }
  return out;
}

function alignedU16(bytes: Uint8Array, count: number): Uint16Array {
  if (bytes.byteOffset % 2 === 0) return new Uint16Array(bytes.buffer, bytes.byteOffset, count);
  // a Node Buffer's slice() is a view of the same memory, a typed array's is a copy
  return new Uint16Array(Uint8Array.prototype.slice.call(bytes).buffer, 0, count);
}

let f16Values: Float32Array | undefined;

function f16Table(): Float32Array {
  f16Values ??= Float32Array.from({ length: 65536 }, (_, bits) => f16ToF32(bits));
  return f16Values;
}
