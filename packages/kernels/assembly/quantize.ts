// quantize: activations to signed bytes in blocks of 32. Blocks are split across the threads.
//
//   scale = max|x| / 127 (0 below 1e-30); values = round(x * (1 / scale)), half to even; sum of values
//   a block with a number that is not finite: scale = NaN, values = 0
//
// Every step is rounded to f32 as the definition in @relufy/tensor is, so the integers are the same on every backend.
// Rounding is the addition of 1.5 * 2^23, whose last place is 1: what is left of |x / scale| <= 127 are the integers.
import { blockSize } from './block-format';
import { Quantize } from './generated/ops';
import { floats, hmax, hsumIntegers, share, splat } from './simd';

/** Bits of 1.5 * 2^23. */
const rounder: i32 = 0x4b400000;

@inline function rounded(x: usize, inverse: v128): v128 {
  const bits = i32x4.splat(rounder);
  return i32x4.sub(f32x4.add(f32x4.mul(v128.load(x), inverse), bits), bits);
}

/** One block of 32 numbers. */
function quantizeBlock(x: usize, values: usize, xScale: usize, xSum: usize): void {
  let top = splat(0);
  let strays = splat(0); // x - x: +0, or NaN where x is not finite
  for (let i: usize = 0; i < 128; i += 16) {
    const v = v128.load(x + i);
    top = f32x4.pmax(top, f32x4.abs(v));
    strays = v128.or(strays, f32x4.sub(v, v));
  }
  if (v128.any_true(strays)) {
    memory.fill(values, 0, blockSize);
    store<f32>(xScale, NaN);
    store<i32>(xSum, 0);
    return;
  }
  const largest = hmax(top);
  const nothing = <f64>largest / 127 < 1e-30;
  const scale: f32 = nothing ? 0 : largest / 127;
  const inverse = splat(nothing ? 0 : 1 / scale);
  let sum = i32x4.splat(0);
  for (let i: usize = 0; i < 2; i++) {
    const at = x + (i << 6);
    const a = rounded(at, inverse);
    const b = rounded(at + 16, inverse);
    const c = rounded(at + 32, inverse);
    const d = rounded(at + 48, inverse);
    sum = i32x4.add(sum, i32x4.add(i32x4.add(a, b), i32x4.add(c, d)));
    v128.store(values + (i << 4), i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)));
  }
  store<f32>(xScale, scale);
  store<i32>(xSum, hsumIntegers(sum));
}

/** Bytes of scratch: a block that a row ends in. */
export const quantizeScratch: usize = 128;

export function quantize(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const width = Quantize.width(op);
  const blocks = Quantize.blocks(op);
  const last = share(rows * blocks, 2, thread + 1, threads);
  for (let unit = share(rows * blocks, 2, thread, threads); unit < last; unit++) {
    const r = unit / blocks;
    const first = (unit - r * blocks) * blockSize;
    let x = Quantize.x(op) + floats(r * width + first);
    const count = width - first;
    if (count < blockSize) {
      memory.fill(scratch, 0, 128);
      for (let i: usize = 0; i < floats(count); i += 4) store<f32>(scratch + i, load<f32>(x + i));
      x = scratch;
    }
    quantizeBlock(
      x, Quantize.values(op) + <usize>(unit << 5), Quantize.xScales(op) + floats(unit), Quantize.xSums(op) + floats(unit),
    );
  }
}
