// rope: rotary positions, in place, on the first `heads` heads of each row. Units of (row, head) are split across the threads.
//
//   row of the table = [cos(0 .. half), sin(0 .. half)] of the row's position
//   for i < half: a = x[i], b = x[i + half]; x[i] = a cos - b sin; x[i + half] = b cos + a sin
import { Rope } from './generated/ops';
import { floats, share } from './simd';

export function rope(op: usize, rows: i32, thread: i32, threads: i32): void {
  const heads = Rope.heads(op);
  const headDim = Rope.headDim(op);
  const rotary = Rope.rotaryDim(op);
  const half = rotary >> 1;
  const last = share(rows * heads, 1, thread + 1, threads);
  for (let unit = share(rows * heads, 1, thread, threads); unit < last; unit++) {
    const r = unit / heads;
    const cos = Rope.table(op) + <usize>load<u32>(Rope.positions(op) + floats(r)) * floats(rotary);
    const sin = cos + floats(half);
    const a = Rope.x(op) + floats(r * Rope.width(op) + (unit - r * heads) * headDim);
    const b = a + floats(half);
    let i: usize = 0;
    for (const end = floats(half & ~3); i < end; i += 16) {
      const va = v128.load(a + i);
      const vb = v128.load(b + i);
      const c = v128.load(cos + i);
      const s = v128.load(sin + i);
      v128.store(a + i, f32x4.sub(f32x4.mul(va, c), f32x4.mul(vb, s)));
      v128.store(b + i, f32x4.add(f32x4.mul(vb, c), f32x4.mul(va, s)));
    }
    for (const end = floats(half); i < end; i += 4) {
      const va = load<f32>(a + i);
      const vb = load<f32>(b + i);
      const c = load<f32>(cos + i);
      const s = load<f32>(sin + i);
      store<f32>(a + i, va * c - vb * s);
      store<f32>(b + i, vb * c + va * s);
    }
  }
}
