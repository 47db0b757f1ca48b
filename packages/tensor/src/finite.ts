// Whether stored numbers are finite, in every format of weights: of block formats the scales, since their integers are.
// NaN or infinity is an exponent of all ones. One more carries it into the sign's place and no further, so a word takes
// three operations and no branch, two numbers at once where they are halves: large files are checked at about the speed
// at which memory is read (LOG.md).
// Does not own what is done about it (whoever loads names the tensor and refuses).
import type { BufferView } from './backend.js';
import { type BlockDType, blockRowBytes, isBlockDType, scalesBytes, scalesOffset } from './block-format.js';
import type { FloatDType } from './dtype.js';

/** The exponent's bits in a word, what carries it over, and where the carry shows. */
interface WordBits {
  readonly exponent: number;
  readonly one: number;
  readonly carry: number;
}

const wordBits: Readonly<Record<FloatDType, WordBits>> = {
  f32: { exponent: 0x7f800000, one: 0x00800000, carry: 0x80000000 | 0 },
  bf16: { exponent: 0x7f807f80, one: 0x00800080, carry: 0x80008000 | 0 },
  f16: { exponent: 0x7c007c00, one: 0x04000400, carry: 0x80008000 | 0 },
};

/** `values`: f32, or the bits of bf16 or f16. */
export function areFinite(dtype: FloatDType, values: Float32Array | Uint16Array): boolean {
  const { buffer, byteOffset, byteLength } = values;
  const within = byteOffset % 4; // halves may begin or end within a word
  const count = Math.max(0, (byteLength - within) >> 2);
  const ends = values instanceof Uint16Array && values.length > 0 ? [values[0], values.at(-1)] : [];
  const exponent = wordBits[dtype].exponent & 0xffff;
  if (ends.some((half) => ((half as number) & exponent) === exponent)) return false;
  return count === 0 || wordsAreFinite(wordBits[dtype], new Int32Array(buffer, byteOffset + within, count), 0, count);
}

/** Whether the scales and minima of whole rows of `columns` numbers are finite. `rows` begins at a multiple of 4 bytes. */
export function scalesAreFinite(dtype: BlockDType, rows: Uint8Array, columns: number): boolean {
  const stride = blockRowBytes(dtype, columns) / 4;
  const halves = scalesBytes(dtype, columns) / 2;
  const words = new Int32Array(rows.buffer, rows.byteOffset, rows.byteLength >> 2);
  for (let first = scalesOffset(dtype, columns) / 4; first < words.length; first += stride) {
    if (!wordsAreFinite(wordBits.f16, words, first, first + (halves >> 1))) return false;
    // the other half of the last word is padding, whatever it holds
    if (halves % 2 === 1 && ((words[first + (halves >> 1)] as number) & 0x7c00) === 0x7c00) return false;
  }
  return true;
}

/** The same of a buffer of weights; formats that hold integers only are always finite. */
export function isFiniteBuffer(dtype: string, view: BufferView, columns: number): boolean {
  if (isBlockDType(dtype)) return scalesAreFinite(dtype, view as Uint8Array, columns);
  return dtype in wordBits ? areFinite(dtype as FloatDType, view as Float32Array | Uint16Array) : true;
}

function wordsAreFinite({ exponent, one, carry }: WordBits, words: Int32Array, from: number, to: number): boolean {
  let seen = 0;
  for (let i = from; i < to; i++) seen |= ((words[i] as number) & exponent) + one;
  return (seen & carry) === 0;
}
