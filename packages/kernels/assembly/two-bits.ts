// twoBitScores: products with weights of two bits, by which a predictor ranks neurons. The definition is in @relufy/tensor.
//
//   step = max|x[r]| / 127, q = round(x[r] / step), all in bytes;  out[r][n] = step scales[n] (2 sum of q code[n] - 3 sum of q) + bias[n]
//
// Sums are exact integers, so bits depend on nothing. Neurons are split across the threads, and every thread prepares all
// rows of x, which takes as long as a few neurons: each neuron's codes are read once for all rows. 128 columns are a unit of
// 32 bytes, whose byte j has columns j, j + 32, j + 64 and j + 96: shifted and masked, a vector of codes has the columns of
// x in order. Scratch, a row: step, sum, and x in bytes, whole units.
import { TwoBitScores } from './generated/ops';
import { floats, hmax, hsumIntegers, share, splat } from './simd';

const headBytes: usize = 16;
/** Units whose products, at most 16 of 3 * 127 a lane, add up to less than 2^15. */
const unitsIn16Bits: usize = 5;
/** Bits of 1.5 * 2^23, whose last place is 1: added and taken off again, it leaves the nearest integer, half to even. */
const rounder: i32 = 0x4b400000;

@inline function unitsOf(columns: i32): usize {
  return <usize>((columns + 127) >> 7);
}

@inline function preparedBytes(columns: i32): usize {
  return headBytes + (unitsOf(columns) << 7);
}

function prepare(x: usize, width: i32, to: usize): void {
  memory.fill(to, 0, preparedBytes(width));
  const whole = x + floats(width & ~3);
  const end = x + floats(width);
  let most = splat(0);
  let strays = splat(0); // x - x: +0, or NaN where x is not finite
  let at = x;
  for (; at < whole; at += 16) {
    const v = v128.load(at);
    most = f32x4.pmax(most, f32x4.abs(v));
    strays = v128.or(strays, f32x4.sub(v, v));
  }
  for (; at < end; at += 4) {
    const v = f32x4.splat(load<f32>(at));
    most = f32x4.pmax(most, f32x4.abs(v));
    strays = v128.or(strays, f32x4.sub(v, v));
  }
  if (v128.any_true(strays)) {
    store<f32>(to, NaN);
    return;
  }
  const largest = hmax(most);
  if (<f64>largest / 127 < 1e-30) return;
  const step: f32 = largest / 127;
  store<f32>(to, step);
  const inverse: f32 = <f32>1 / step;
  const bits: f32 = reinterpret<f32>(rounder);
  let sum = 0;
  for (let byte = to + headBytes; x < end; x += 4, byte++) {
    const shifted: f32 = load<f32>(x) * inverse + bits;
    const q = reinterpret<i32>(shifted) - rounder;
    store<i8>(byte, <i8>q);
    sum += q;
  }
  store<i32>(to + 4, sum);
}

/** The products of 16 codes and as many of x, in pairs of neighbours eight apart. */
@inline function products(codes: v128, x: usize): v128 {
  const q = v128.load(x);
  return i16x8.add(i16x8.extmul_low_i8x16_s(codes, q), i16x8.extmul_high_i8x16_s(codes, q));
}

/** Those of a vector of codes, four from each byte. */
@inline function allProducts(codes: v128, x: usize): v128 {
  const low = i8x16.splat(3);
  return i16x8.add(
    i16x8.add(
      products(v128.and(codes, low), x),
      products(v128.and(i16x8.shr_u(codes, 2), low), x + 32),
    ),
    i16x8.add(
      products(v128.and(i16x8.shr_u(codes, 4), low), x + 64),
      products(v128.and(i16x8.shr_u(codes, 6), low), x + 96),
    ),
  );
}

/** The sum of codes times x. */
function dot(codes: usize, x: usize, units: usize): i32 {
  let sums = i32x4.splat(0);
  for (const end = codes + (units << 5); codes < end; ) {
    let few = i16x8.splat(0);
    for (const stop = min(end, codes + (unitsIn16Bits << 5)); codes < stop; codes += 32, x += 128) {
      few = i16x8.add(few, allProducts(v128.load(codes), x));
      few = i16x8.add(few, allProducts(v128.load(codes, 16), x + 16));
    }
    sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_s(few));
  }
  return hsumIntegers(sums);
}

export function twoBitScoresScratch(op: usize, rows: i32): usize {
  return <usize>rows * preparedBytes(TwoBitScores.inWidth(op));
}

export function twoBitScores(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const inWidth = TwoBitScores.inWidth(op);
  const outWidth = TwoBitScores.outWidth(op);
  const units = unitsOf(inWidth);
  const stride = preparedBytes(inWidth);
  const bias = TwoBitScores.bias(op);
  const last = share(outWidth, 16, thread + 1, threads);
  const first = share(outWidth, 16, thread, threads);
  if (first == last) return;
  for (let r = 0; r < rows; r++) prepare(TwoBitScores.x(op) + floats(r * inWidth), inWidth, scratch + <usize>r * stride);
  for (let n = first; n < last; n++) {
    const codes = TwoBitScores.codes(op) + <usize>n * (units << 5);
    const neuron = load<f32>(TwoBitScores.scales(op) + floats(n));
    for (let r = 0; r < rows; r++) {
      const x = scratch + <usize>r * stride;
      const sum = 2 * dot(codes, x + headBytes, units) - 3 * load<i32>(x, 4);
      let score = load<f32>(x) * neuron * <f32>sum;
      if (bias) score += load<f32>(bias + floats(n));
      store<f32>(TwoBitScores.out(op) + floats(r * outWidth + n), score);
    }
  }
}
