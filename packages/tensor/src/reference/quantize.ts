// The definition of the ops that take numbers as signed bytes: quantize, block by block, and twoBitScores, row by row. Does not
// own how weights are packed (block-format.ts, two-bits.ts) nor the products of what quantize gives (kernels.ts).
import { blockSize, roundEven } from '../block-format.js';
import { twoBitCode } from '../two-bits.js';
import { field, type Kernel, operand } from './call.js';

/** Below this a block counts as zero: the inverse of its scale would overflow. */
const smallestScale = 1e-30;

export const quantize: Kernel = (call) => {
  const [x, values, xScales, xSums] = [
    operand(call, 'x'),
    operand(call, 'values'),
    operand(call, 'xScales'),
    operand(call, 'xSums'),
  ];
  const [width, blocks] = [field(call, 'width'), field(call, 'blocks')];
  for (let r = 0; r < call.count; r++)
    for (let block = 0; block < blocks; block++) {
      const first = block * blockSize;
      const run = Array.from({ length: Math.min(blockSize, width - first) }, (_, i) => x.get(r * width + first + i));
      const { scale, integers } = inBytes(run);
      for (let i = 0; i < blockSize; i++) values.set(r * blocks * blockSize + first + i, integers[i] ?? 0);
      xScales.set(r * blocks + block, scale);
      xSums.set(
        r * blocks + block,
        integers.reduce((sum, q) => sum + q, 0),
      );
    }
};

/** Numbers as signed bytes with one scale, rounded to f32 at each step, as every backend does: the integers are the same everywhere. */
function inBytes(x: readonly number[]): { readonly scale: number; readonly integers: readonly number[] } {
  const largest = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  // what is not finite shows in the scale: integers could not tell
  if (!Number.isFinite(largest)) return { scale: Number.NaN, integers: x.map(() => 0) };
  const scale = largest / 127 < smallestScale ? 0 : Math.fround(largest / 127);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  return { scale, integers: x.map((value) => roundEven(Math.fround(value * inverse))) };
}

export const twoBitScores: Kernel = (call) => {
  const [x, codes, scales, out] = [
    operand(call, 'x'),
    operand(call, 'codes'),
    operand(call, 'scales'),
    operand(call, 'out'),
  ];
  const { bias } = call.operands;
  const [inWidth, outWidth] = [field(call, 'inWidth'), field(call, 'outWidth')];
  for (let r = 0; r < call.count; r++) {
    const { scale, integers } = inBytes(Array.from({ length: inWidth }, (_, i) => x.get(r * inWidth + i)));
    for (let n = 0; n < outWidth; n++) {
      const wordAt = (word: number) => codes.get(n * codes.columns + word);
      let sum = 0;
      for (const [i, q] of integers.entries()) sum += q * (2 * twoBitCode(wordAt, i) - 3);
      const product = Math.fround(Math.fround(scale * scales.get(n)) * Math.fround(sum));
      out.set(r * outWidth + n, bias ? product + bias.get(n) : product);
    }
  }
};
