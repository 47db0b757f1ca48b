// Block formats of GGML -> f32. Every product below is exact before it is rounded once to f32, so the numbers equal
// those of ggml and of gguf-py bit for bit.
// Owns: the insides of the blocks that can be read. `d` and `m` are f16 scales, `q` the small integers.
// Does not own: where the blocks lie (read.ts).
import { RelufyError, show, widen } from '@relufy/tensor';

/** Writes the elements of the block at byte `at` to `out[to...]`. */
type Unpack = (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void;

/** The value of every f16; a table, since computing one costs more than a block's 32 products. */
let f16Values: Float32Array | undefined;

function f16(bytes: Uint8Array, at: number): number {
  f16Values ??= widen('f16', new Uint8Array(Uint16Array.from({ length: 65536 }, (_, bits) => bits).buffer));
  return f16Values[(bytes[at] as number) | ((bytes[at + 1] as number) << 8)] as number;
}

const i8 = (value: number): number => (value << 24) >> 24;

/** d[2] q[16]: value i in the low half-byte i, value 16 + i in the high one; d * (q - 8) */
const q4_0: Unpack = (bytes, at, out, to) => {
  const d = f16(bytes, at);
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + 2 + i] as number;
    out[to + i] = d * ((q & 15) - 8);
    out[to + 16 + i] = d * ((q >> 4) - 8);
  }
};

/** d[2] m[2] q[16]; d * q + m */
const q4_1: Unpack = (bytes, at, out, to) => {
  const d = f16(bytes, at);
  const m = f16(bytes, at + 2);
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + 4 + i] as number;
    out[to + i] = d * (q & 15) + m;
    out[to + 16 + i] = d * (q >> 4) + m;
  }
};

/** d[2] h[4] q[16]: bit i of h is the fifth bit of value i; d * (q - 16) */
const q5_0: Unpack = (bytes, at, out, to) => {
  const d = f16(bytes, at);
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + 6 + i] as number;
    const low = ((bytes[at + 2 + (i >> 3)] as number) >> (i & 7)) & 1;
    const high = ((bytes[at + 4 + (i >> 3)] as number) >> (i & 7)) & 1;
    out[to + i] = d * (((q & 15) | (low << 4)) - 16);
    out[to + 16 + i] = d * (((q >> 4) | (high << 4)) - 16);
  }
};

/** d[2] m[2] h[4] q[16]; d * q + m */
const q5_1: Unpack = (bytes, at, out, to) => {
  const d = f16(bytes, at);
  const m = f16(bytes, at + 2);
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + 8 + i] as number;
    const low = ((bytes[at + 4 + (i >> 3)] as number) >> (i & 7)) & 1;
    const high = ((bytes[at + 6 + (i >> 3)] as number) >> (i & 7)) & 1;
    out[to + i] = d * ((q & 15) | (low << 4)) + m;
    out[to + 16 + i] = d * ((q >> 4) | (high << 4)) + m;
  }
};

/** d[2] q[32] signed; d * q */
const q8_0: Unpack = (bytes, at, out, to) => {
  const d = f16(bytes, at);
  for (let i = 0; i < 32; i++) out[to + i] = d * i8(bytes[at + 2 + i] as number);
};

/** Eight 6-bit scales and minima in 12 bytes: the first four whole, the upper bits of the last four in their tops. */
function scaleOf(bytes: Uint8Array, at: number, j: number): number {
  const byte = (i: number): number => bytes[at + i] as number;
  return j < 4 ? byte(j) & 63 : (byte(j + 4) & 15) | ((byte(j - 4) >> 6) << 4);
}

function minimumOf(bytes: Uint8Array, at: number, j: number): number {
  const byte = (i: number): number => bytes[at + i] as number;
  return j < 4 ? byte(j + 4) & 63 : (byte(j + 4) >> 4) | ((byte(j) >> 6) << 4);
}

/** d[2] dmin[2] scales[12] q[128]: 8 groups of 32, two groups share 32 bytes; d * scale * q - dmin * minimum */
const q4K: Unpack = (bytes, at, out, to) => {
  const d = f16(bytes, at);
  const dmin = f16(bytes, at + 2);
  for (let group = 0; group < 8; group++) {
    const scale = d * scaleOf(bytes, at + 4, group);
    const minimum = dmin * minimumOf(bytes, at + 4, group);
    const q = at + 16 + 32 * (group >> 1);
    const shift = 4 * (group & 1);
    for (let i = 0; i < 32; i++)
      out[to + 32 * group + i] = scale * (((bytes[q + i] as number) >> shift) & 15) - minimum;
  }
};

/** d[2] dmin[2] scales[12] h[32] q[128]: bit `group` of h[i] is the fifth bit */
const q5K: Unpack = (bytes, at, out, to) => {
  const d = f16(bytes, at);
  const dmin = f16(bytes, at + 2);
  for (let group = 0; group < 8; group++) {
    const scale = d * scaleOf(bytes, at + 4, group);
    const minimum = dmin * minimumOf(bytes, at + 4, group);
    const q = at + 48 + 32 * (group >> 1);
    const shift = 4 * (group & 1);
    for (let i = 0; i < 32; i++) {
      const high = ((bytes[at + 16 + i] as number) >> group) & 1;
      out[to + 32 * group + i] = scale * ((((bytes[q + i] as number) >> shift) & 15) | (high << 4)) - minimum;
    }
  }
};

/** low[128] high[64] scales[16] signed, d[2]: two halves of 128, each four groups of 32; d * scale * (q - 32) */
const q6K: Unpack = (bytes, at, out, to) => {
  const d = f16(bytes, at + 208);
  for (let group = 0; group < 8; group++) {
    const half = group >> 2;
    const part = group & 3;
    const low = at + 64 * half + 32 * (part & 1);
    const high = at + 128 + 32 * half;
    for (let i = 0; i < 32; i++) {
      const q =
        (((bytes[low + i] as number) >> (4 * (part >> 1))) & 15) |
        ((((bytes[high + i] as number) >> (2 * part)) & 3) << 4);
      const scale = d * i8(bytes[at + 192 + 2 * group + (i >> 4)] as number);
      out[to + 32 * group + i] = scale * (q - 32);
    }
  }
};

/** scales[16] q[64] d[2] dmin[2]: two halves of 128, each four groups of 32 of two scales; d * scale * q - dmin * minimum */
const q2K: Unpack = (bytes, at, out, to) => {
  const d = f16(bytes, at + 80);
  const dmin = f16(bytes, at + 82);
  for (let group = 0; group < 16; group++) {
    const both = bytes[at + group] as number;
    const scale = d * (both & 15);
    const minimum = dmin * (both >> 4);
    const q = at + 16 + 32 * (group >> 3) + 16 * (group & 1);
    const shift = 2 * ((group >> 1) & 3);
    for (let i = 0; i < 16; i++) out[to + 16 * group + i] = scale * (((bytes[q + i] as number) >> shift) & 3) - minimum;
  }
};

/** h[32] q[64] scales[12] d[2]: bit `group of 32` of h[i] is 1 where 4 is not subtracted; d * (scale - 32) * q */
const q3K: Unpack = (bytes, at, out, to) => {
  const d = f16(bytes, at + 108);
  for (let group = 0; group < 16; group++) {
    const low = ((bytes[at + 96 + (group & 7)] as number) >> (4 * (group >> 3))) & 15;
    const high = ((bytes[at + 104 + (group & 3)] as number) >> (2 * (group >> 2))) & 3;
    const scale = d * ((low | (high << 4)) - 32);
    const column = 16 * (group & 1);
    const q = at + 32 + 32 * (group >> 3) + column;
    const shift = 2 * ((group >> 1) & 3);
    for (let i = 0; i < 16; i++) {
      const whole = ((bytes[at + column + i] as number) >> (group >> 1)) & 1;
      out[to + 16 * group + i] = scale * ((((bytes[q + i] as number) >> shift) & 3) - (whole ? 0 : 4));
    }
  }
};

/** What a half-byte of IQ4 stands for. */
export const iq4Values = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const;

function iq4Block(bytes: Uint8Array, at: number, scale: number, out: Float32Array, to: number): void {
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + i] as number;
    out[to + i] = scale * (iq4Values[q & 15] as number);
    out[to + 16 + i] = scale * (iq4Values[q >> 4] as number);
  }
}

/** d[2] q[16], as Q4_0 */
const iq4Nl: Unpack = (bytes, at, out, to) => iq4Block(bytes, at + 2, f16(bytes, at), out, to);

/** d[2] high[2] low[4] q[128]: 8 groups of 32 with scales of 6 bits; d * (scale - 32) * value */
const iq4Xs: Unpack = (bytes, at, out, to) => {
  const d = f16(bytes, at);
  const tops = (bytes[at + 2] as number) | ((bytes[at + 3] as number) << 8);
  for (let group = 0; group < 8; group++) {
    const low = ((bytes[at + 4 + (group >> 1)] as number) >> (4 * (group & 1))) & 15;
    const scale = d * ((low | (((tops >> (2 * group)) & 3) << 4)) - 32);
    iq4Block(bytes, at + 8 + 16 * group, scale, out, to + 32 * group);
  }
};

const unpackers: Readonly<Record<string, { elements: number; bytes: number; unpack: Unpack }>> = {
  Q4_0: { elements: 32, bytes: 18, unpack: q4_0 },
  Q4_1: { elements: 32, bytes: 20, unpack: q4_1 },
  Q5_0: { elements: 32, bytes: 22, unpack: q5_0 },
  Q5_1: { elements: 32, bytes: 24, unpack: q5_1 },
  Q8_0: { elements: 32, bytes: 34, unpack: q8_0 },
  Q2_K: { elements: 256, bytes: 84, unpack: q2K },
  Q3_K: { elements: 256, bytes: 110, unpack: q3K },
  Q4_K: { elements: 256, bytes: 144, unpack: q4K },
  Q5_K: { elements: 256, bytes: 176, unpack: q5K },
  Q6_K: { elements: 256, bytes: 210, unpack: q6K },
  IQ4_NL: { elements: 32, bytes: 18, unpack: iq4Nl },
  IQ4_XS: { elements: 256, bytes: 136, unpack: iq4Xs },
};

const plain = { F32: 'f32', F16: 'f16', BF16: 'bf16' } as const;

/** The types that `dequantize` takes. */
export const readableTypes: readonly string[] = [...Object.keys(plain), ...Object.keys(unpackers)];

const blockBytesOf = (type: string): number | undefined =>
  Object.hasOwn(plain, type)
    ? type === 'F32'
      ? 4
      : 2
    : Object.hasOwn(unpackers, type)
      ? unpackers[type]?.bytes
      : undefined;

/**
 * Whole blocks of a readable type -> f32.
 * @throws RelufyError `option` for another type, and for bytes that are no whole blocks.
 */
export function dequantize(type: string, bytes: Uint8Array): Float32Array {
  const blockBytes = typeof type === 'string' ? blockBytesOf(type) : undefined;
  if (blockBytes === undefined)
    throw new RelufyError(
      'option',
      `dequantize: type: expected one of ${readableTypes.join(', ')}, got ${show(type)}.`,
    );
  if (!(bytes instanceof Uint8Array) || bytes.byteLength % blockBytes !== 0)
    throw new RelufyError(
      'option',
      `dequantize: bytes: expected a Uint8Array of whole blocks of ${blockBytes} bytes for ${type}, got ${bytes instanceof Uint8Array ? `${bytes.byteLength} bytes` : show(bytes)}.`,
    );
  if (type === 'F32' || type === 'F16' || type === 'BF16') return widen(plain[type], bytes);
  const format = unpackers[type] as (typeof unpackers)[string];
  const blocks = bytes.byteLength / format.bytes;
  const out = new Float32Array(blocks * format.elements);
  for (let block = 0; block < blocks; block++) format.unpack(bytes, block * format.bytes, out, block * format.elements);
  return out;
}
