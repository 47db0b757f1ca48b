// gather: rows of an embedding table, widened to f32, plus a residual (the token's embedding, for learned positions).
//
//   for each row r: for my columns c: out[r][c] = residual[r][c] + table[index[r]][c]
import { dtypeF32, Gather } from './generated/ops';
import { bytesOf, floats, load1, load4, share } from './simd';

@inline function gatherRows<T>(op: usize, rows: i32, first: i32, last: i32): void {
  const width = Gather.width(op);
  const residual = Gather.residual(op);
  for (let r = 0; r < rows; r++) {
    const row = Gather.table(op) + <usize>load<u32>(Gather.index(op) + floats(r)) * bytesOf<T>(width);
    const out = Gather.out(op) + floats(r * width);
    const add = residual + floats(r * width);
    let c = first;
    for (; c + 4 <= last; c += 4) {
      const v = load4<T>(row + bytesOf<T>(c));
      v128.store(out + floats(c), residual ? f32x4.add(v128.load(add + floats(c)), v) : v);
    }
    for (; c < last; c++) {
      const v = load1<T>(row + bytesOf<T>(c));
      store<f32>(out + floats(c), residual ? load<f32>(add + floats(c)) + v : v);
    }
  }
}

export function gather(op: usize, rows: i32, thread: i32, threads: i32): void {
  const width = Gather.width(op);
  const first = share(width, 16, thread, threads);
  const last = share(width, 16, thread + 1, threads);
  if (Gather.dtype(op) == dtypeF32) gatherRows<f32>(op, rows, first, last);
  else gatherRows<u16>(op, rows, first, last);
}
