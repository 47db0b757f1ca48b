// axpyList: sums += x[k] * w[k] over a list of rows of a transposed weight, the heart of every product over [in, out].
//
//   for k in list, in order: for each of my columns c: sums[c] += x[k] * w[k][c]
//
// This order, strictly by k from +0, is the contract of transposed weights: dense and sparse products give an output
// these bits, since a skipped k would add x[k] = 0 times a finite weight, and a sum that began at +0 does not change.
// 1. Four rows a pass: the sums are loaded and stored once for four multiply-adds, and four streams are in flight.
// 2. A last pass of fewer rows is padded with the last row times 0, which changes nothing either.
// Memory: `sums` is private to the thread (L1 holds it); columns beyond `columns` are neither read nor written.
import { bytesOf, floats, high, load1, load4, loadRaw, low, madd, splat } from './simd';

/** The k at place i of the list; without a list (0) the rows follow each other. */
@inline function rowAt(list: usize, i: i32): i32 {
  return list ? load<i32>(list + floats(i)) : i;
}

/**
 * `w` and `x` stand at row 0 (or at the first row, without a list), `w` at my first column; `stride` is a whole row in
 * bytes.
 */
export function axpyList<T>(
  sums: usize, columns: i32, w: usize, stride: usize, x: usize, list: usize, count: i32,
): void {
  const step = 8 * sizeof<T>();
  for (let i = 0; i < count; i += 4) {
    const k0 = rowAt(list, i);
    const k1 = rowAt(list, min(i + 1, count - 1));
    const k2 = rowAt(list, min(i + 2, count - 1));
    const k3 = rowAt(list, min(i + 3, count - 1));
    const x0 = splat(load<f32>(x + floats(k0)));
    const x1 = splat(i + 1 < count ? load<f32>(x + floats(k1)) : 0);
    const x2 = splat(i + 2 < count ? load<f32>(x + floats(k2)) : 0);
    const x3 = splat(i + 3 < count ? load<f32>(x + floats(k3)) : 0);
    let w0 = w + <usize>k0 * stride;
    let w1 = w + <usize>k1 * stride;
    let w2 = w + <usize>k2 * stride;
    let w3 = w + <usize>k3 * stride;
    let at = sums;
    for (const end = sums + floats(columns & ~7); at < end; at += 32) {
      let raw = loadRaw<T>(w0);
      let sl = madd(v128.load(at), low<T>(raw), x0);
      let sh = madd(v128.load(at, 16), high<T>(raw, w0), x0);
      raw = loadRaw<T>(w1);
      sl = madd(sl, low<T>(raw), x1);
      sh = madd(sh, high<T>(raw, w1), x1);
      raw = loadRaw<T>(w2);
      sl = madd(sl, low<T>(raw), x2);
      sh = madd(sh, high<T>(raw, w2), x2);
      raw = loadRaw<T>(w3);
      v128.store(at, madd(sl, low<T>(raw), x3));
      v128.store(at, madd(sh, high<T>(raw, w3), x3), 16);
      w0 += step;
      w1 += step;
      w2 += step;
      w3 += step;
    }
    let rest = columns & 7;
    if (rest >= 4) {
      let s = madd(v128.load(at), load4<T>(w0), x0);
      s = madd(s, load4<T>(w1), x1);
      s = madd(s, load4<T>(w2), x2);
      v128.store(at, madd(s, load4<T>(w3), x3));
      const half = 4 * sizeof<T>();
      at += 16;
      w0 += half;
      w1 += half;
      w2 += half;
      w3 += half;
      rest -= 4;
    }
    for (let c: usize = 0; c < <usize>rest; c++) {
      const b = c * sizeof<T>();
      let s = load<f32>(at + 4 * c) + load1<T>(w0 + b) * f32x4.extract_lane(x0, 0);
      s += load1<T>(w1 + b) * f32x4.extract_lane(x1, 0);
      s += load1<T>(w2 + b) * f32x4.extract_lane(x2, 0);
      s += load1<T>(w3 + b) * f32x4.extract_lane(x3, 0);
      store<f32>(at + 4 * c, s);
    }
  }
}
