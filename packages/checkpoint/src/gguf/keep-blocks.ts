// Blocks of GGML -> rows of the block formats that weights have in memory, without changing a number: Q8_0 and int8, Q4_0
// and int4, Q4_1 and uint4 are the same blocks in another order, and int8 has room for the integers of Q4_0, Q5_0 and
// IQ4_NL under their scale. Also which block format a quantised tensor takes when nobody says: its own, and int8 for the rest.
// Those of 5 and 6 bits lose little in int8 and much in int4 (LOG.md: perplexity 23.24 of a Q4_1, 32.2 as int4).
// Does not own: the layout of a row in memory (@relufy/tensor), reading the blocks (read.ts).
import { type BlockDType, blockRowBytes, blockSize, hasMinimum, scalesOffset } from '@relufy/tensor';
import { iq4Values } from './dequantize.js';

/** The integers of the block whose scale lies at byte `at`. */
type Unpack = (stored: Uint8Array, at: number, out: Uint8Array, to: number) => void;

const bytesPerBlock: Readonly<Record<string, number>> = { Q8_0: 34, Q4_0: 18, Q4_1: 20, Q5_0: 22, IQ4_NL: 18 };

/** A view for each of millions of blocks would cost more than their bytes do. */
function copy(stored: Uint8Array, at: number, out: Uint8Array, to: number, count: number): void {
  for (let i = 0; i < count; i++) out[to + i] = stored[at + i] as number;
}

const int8: Readonly<Record<string, Unpack>> = {
  Q8_0: (stored, at, out, to) => copy(stored, at + 2, out, to, 32),
  Q4_0: (stored, at, out, to) => {
    for (let j = 0; j < 16; j++) {
      const byte = stored[at + 2 + j] as number;
      out[to + j] = (byte & 15) - 8;
      out[to + 16 + j] = (byte >> 4) - 8;
    }
  },
  /** d[2] h[4] q[16]: bit i of h is the fifth bit of element i */
  Q5_0: (stored, at, out, to) => {
    for (let j = 0; j < 16; j++) {
      const byte = stored[at + 6 + j] as number;
      const high = (i: number): number => (((stored[at + 2 + (i >> 3)] as number) >> (i & 7)) & 1) << 4;
      out[to + j] = ((byte & 15) | high(j)) - 16;
      out[to + 16 + j] = ((byte >> 4) | high(j + 16)) - 16;
    }
  },
  IQ4_NL: (stored, at, out, to) => {
    for (let j = 0; j < 16; j++) {
      const byte = stored[at + 2 + j] as number;
      out[to + j] = iq4Values[byte & 15] as number;
      out[to + 16 + j] = iq4Values[byte >> 4] as number;
    }
  },
};

const int4: Readonly<Record<string, Unpack>> = {
  Q4_0: (stored, at, out, to) => copy(stored, at + 2, out, to, 16),
};

/** d[2] m[2] q[16] */
const uint4: Readonly<Record<string, Unpack>> = {
  Q4_1: (stored, at, out, to) => copy(stored, at + 4, out, to, 16),
};

const unpackers: Readonly<Record<BlockDType, Readonly<Record<string, Unpack>>>> = { int8, int4, uint4 };

/** Whether rows of this type are rows of the block format, number by number. */
export const keepsBlocks = (type: string, dtype: BlockDType): boolean => unpackers[dtype][type] !== undefined;

/** What a tensor of this type becomes in memory when nobody says; undefined for types that are not quantised. */
export function blockDTypeOf(type: string): BlockDType | undefined {
  if (type === 'Q4_0') return 'int4';
  if (type === 'Q4_1') return 'uint4';
  return /^I?Q/.test(type) ? 'int8' : undefined;
}

/** Whole rows of `columns` numbers as a block format lays them out. The type is one that it keeps. */
export function keepBlocks(type: string, dtype: BlockDType, stored: Uint8Array, columns: number): Uint8Array {
  const unpack = unpackers[dtype][type];
  const size = bytesPerBlock[type];
  if (unpack === undefined || size === undefined) throw new Error(`internal: ${dtype} does not keep ${type}`);
  const blocks = columns / blockSize;
  const rows = stored.byteLength / (blocks * size);
  const stride = blockRowBytes(dtype, columns);
  const scales = scalesOffset(dtype, columns);
  const minima = hasMinimum(dtype);
  const out = new Uint8Array(rows * stride);
  for (let row = 0; row < rows; row++)
    for (let block = 0; block < blocks; block++) {
      const at = (row * blocks + block) * size;
      unpack(stored, at, out, row * stride + (block * scales) / blocks);
      const to = row * stride + scales + 2 * block;
      copy(stored, at, out, to, 2);
      if (minima) copy(stored, at + 2, out, to + 2 * blocks, 2);
    }
  return out;
}
