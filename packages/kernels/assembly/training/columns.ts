// Sums over the rows of a step, column by column: gradients of biases.
//
//   out[c] += sum over r, in order from +0, of x[r][c]
//
// `width` is a whole row of x, of which the first `total` columns are summed. Columns are split across the
// threads in cache lines; sixteen sums at a time in registers.
import { floats, share, splat } from '../simd';

export function addColumns(out: usize, x: usize, width: i32, total: i32, rows: i32, thread: i32, threads: i32): void {
  const last = share(total, 16, thread + 1, threads);
  const stride = floats(width);
  let c = share(total, 16, thread, threads);
  for (; c + 16 <= last; c += 16) {
    let s0 = splat(0);
    let s1 = splat(0);
    let s2 = splat(0);
    let s3 = splat(0);
    for (let r = 0, at = x + floats(c); r < rows; r++, at += stride) {
      s0 = f32x4.add(s0, v128.load(at));
      s1 = f32x4.add(s1, v128.load(at, 16));
      s2 = f32x4.add(s2, v128.load(at, 32));
      s3 = f32x4.add(s3, v128.load(at, 48));
    }
    const to = out + floats(c);
    v128.store(to, f32x4.add(v128.load(to), s0));
    v128.store(to, f32x4.add(v128.load(to, 16), s1), 16);
    v128.store(to, f32x4.add(v128.load(to, 32), s2), 32);
    v128.store(to, f32x4.add(v128.load(to, 48), s3), 48);
  }
  for (; c < last; c++) {
    let sum: f32 = 0;
    for (let r = 0, at = x + floats(c); r < rows; r++, at += stride) sum += load<f32>(at);
    store<f32>(out + floats(c), load<f32>(out + floats(c)) + sum);
  }
}
