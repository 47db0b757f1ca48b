// roundRow: activations to 8 bits with one scale a row, kept as f32 (BitNet b1.58).
//
//   s = 127 / max(max|x|, 1e-5);  out = round(x * s) / s, half to even
//
// No clamp: |x * s| is at most 127 but for a rounding. Rows are split across the threads; when there are fewer rows than
// threads each thread finds the whole row's maximum and writes its share of the columns. Not when out = x (see norm.ts).
import { RoundRow } from './generated/ops';
import { floats, hmax, share, splat } from './simd';

@inline function largest(x: usize, width: i32): f32 {
  let top = splat(0);
  const end = x + floats(width & ~3);
  for (; x < end; x += 16) top = f32x4.max(top, f32x4.abs(v128.load(x)));
  let most = hmax(top);
  const last = x + floats(width & 3);
  for (; x < last; x += 4) most = max<f32>(most, abs<f32>(load<f32>(x)));
  return max<f32>(most, 1e-5);
}

export function roundRow(op: usize, rows: i32, thread: i32, threads: i32): void {
  const x = RoundRow.x(op);
  const out = RoundRow.out(op);
  const width = RoundRow.width(op);
  const byRows = rows >= threads || x == out;
  const first = byRows ? share(rows, 1, thread, threads) : 0;
  const last = byRows ? share(rows, 1, thread + 1, threads) : rows;
  const column = byRows ? 0 : share(width, 16, thread, threads);
  const columns = (byRows ? width : share(width, 16, thread + 1, threads)) - column;
  if (columns == 0) return;
  for (let r = first; r < last; r++) {
    const scale: f32 = 127 / largest(x + floats(r * width), width);
    const s = splat(scale);
    let from = x + floats(r * width + column);
    let to = out + floats(r * width + column);
    const end4 = from + floats(columns & ~3);
    for (; from < end4; from += 16, to += 16)
      v128.store(to, f32x4.div(f32x4.nearest(f32x4.mul(v128.load(from), s)), s));
    const end = from + floats(columns & 3);
    for (; from < end; from += 4, to += 4) store<f32>(to, nearest<f32>(load<f32>(from) * scale) / scale);
  }
}
