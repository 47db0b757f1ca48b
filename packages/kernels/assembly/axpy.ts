// axpyList: sums += x[k] * w[k] over a list of rows of a transposed weight, the heart of every product over [in, out].
//
//   for k in list, in order: for each of my columns c: sums[c] += x[k] * w[k][c]
//
// This order, strictly by k from +0, is the contract of transposed weights: dense and sparse products give an output
// these bits, since a skipped k would add x[k] = 0 times a finite weight, and a sum that began at +0 does not change.
// 1. Eight rows a pass wait for memory together, in two halves of four: the sums are loaded and stored for each half,
//    which V8 rewards (all eight at once do not fit its 16 registers). GB/s on f32 / bf16 at 10 % density, rows of 2048,
//    2 threads (see dot.ts for the machine): 29 / 14; one row a pass 13 / 8, two 18 / 10, four 24 / 14, sixteen 26 / 13.
// 2. A last pass of fewer rows is padded with the last row times 0, which changes nothing either.
// Memory: `sums` is private to the thread (L1 holds it); columns beyond `columns` are neither read nor written.
import { placeOf } from './lists';
import { bytesOf, floats, high, load1, loadRaw, low, madd, madd1, splat } from './simd';

/** The k at place i of the list; without a list (0) the rows follow each other. */
@inline function rowAt(list: usize, i: i32): i32 {
  return list ? load<i32>(list + floats(i)) : i;
}

/** sums[0 .. 8) += x0 w0 + x1 w1 + x2 w2 + x3 w3, in this order. */
@inline function add8<T>(
  sums: usize, w0: usize, w1: usize, w2: usize, w3: usize, x0: v128, x1: v128, x2: v128, x3: v128,
): void {
  let raw = loadRaw<T>(w0);
  let sl = madd(v128.load(sums), low<T>(raw), x0);
  let sh = madd(v128.load(sums, 16), high<T>(raw, w0), x0);
  raw = loadRaw<T>(w1);
  sl = madd(sl, low<T>(raw), x1);
  sh = madd(sh, high<T>(raw, w1), x1);
  raw = loadRaw<T>(w2);
  sl = madd(sl, low<T>(raw), x2);
  sh = madd(sh, high<T>(raw, w2), x2);
  raw = loadRaw<T>(w3);
  v128.store(sums, madd(sl, low<T>(raw), x3));
  v128.store(sums, madd(sh, high<T>(raw, w3), x3), 16);
}

/** One column, four rows. */
@inline function add1<T>(
  sum: f32, w0: usize, w1: usize, w2: usize, w3: usize, x0: v128, x1: v128, x2: v128, x3: v128,
): f32 {
  sum = madd1(sum, load1<T>(w0), f32x4.extract_lane(x0, 0));
  sum = madd1(sum, load1<T>(w1), f32x4.extract_lane(x1, 0));
  sum = madd1(sum, load1<T>(w2), f32x4.extract_lane(x2, 0));
  return madd1(sum, load1<T>(w3), f32x4.extract_lane(x3, 0));
}

/** `w` and `x` stand at row 0 (without a list: the first row), `w` at my first column; `stride` is a whole row in bytes. `table`: see placeOf. */
export function axpyList<T>(
  sums: usize, columns: i32, w: usize, stride: usize, x: usize, list: usize, count: i32, table: usize = 0,
): void {
  const last = count - 1;
  for (let i = 0; i < count; i += 8) {
    const k0 = rowAt(list, i);
    const k1 = rowAt(list, min(i + 1, last));
    const k2 = rowAt(list, min(i + 2, last));
    const k3 = rowAt(list, min(i + 3, last));
    const k4 = rowAt(list, min(i + 4, last));
    const k5 = rowAt(list, min(i + 5, last));
    const k6 = rowAt(list, min(i + 6, last));
    const k7 = rowAt(list, min(i + 7, last));
    const x0 = splat(load<f32>(x + floats(k0)));
    const x1 = splat(i + 1 < count ? load<f32>(x + floats(k1)) : 0);
    const x2 = splat(i + 2 < count ? load<f32>(x + floats(k2)) : 0);
    const x3 = splat(i + 3 < count ? load<f32>(x + floats(k3)) : 0);
    const x4 = splat(i + 4 < count ? load<f32>(x + floats(k4)) : 0);
    const x5 = splat(i + 5 < count ? load<f32>(x + floats(k5)) : 0);
    const x6 = splat(i + 6 < count ? load<f32>(x + floats(k6)) : 0);
    const x7 = splat(i + 7 < count ? load<f32>(x + floats(k7)) : 0);
    let w0 = w + placeOf(table, k0) * stride;
    let w1 = w + placeOf(table, k1) * stride;
    let w2 = w + placeOf(table, k2) * stride;
    let w3 = w + placeOf(table, k3) * stride;
    let w4 = w + placeOf(table, k4) * stride;
    let w5 = w + placeOf(table, k5) * stride;
    let w6 = w + placeOf(table, k6) * stride;
    let w7 = w + placeOf(table, k7) * stride;
    let at = sums;
    for (const end = sums + floats(columns & ~7); at < end; at += 32) {
      add8<T>(at, w0, w1, w2, w3, x0, x1, x2, x3);
      add8<T>(at, w4, w5, w6, w7, x4, x5, x6, x7);
      w0 += 8 * sizeof<T>();
      w1 += 8 * sizeof<T>();
      w2 += 8 * sizeof<T>();
      w3 += 8 * sizeof<T>();
      w4 += 8 * sizeof<T>();
      w5 += 8 * sizeof<T>();
      w6 += 8 * sizeof<T>();
      w7 += 8 * sizeof<T>();
    }
    for (let c = 0; c < (columns & 7); c++, at += 4) {
      const b = bytesOf<T>(c);
      const half = add1<T>(load<f32>(at), w0 + b, w1 + b, w2 + b, w3 + b, x0, x1, x2, x3);
      store<f32>(at, add1<T>(half, w4 + b, w5 + b, w6 + b, w7 + b, x4, x5, x6, x7));
    }
  }
}
