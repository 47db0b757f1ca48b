// scatterAdd and place: rows that a gather took, on their way back.
//
//   scatterAdd: table[index[r]] += x[r], rows in order; a thread owns columns, since rows may meet
//   place:      out[r] = from[r] < 0 ? 0 : x[from[r]]; rows are split across the threads
import { Place, ScatterAdd } from '../generated/ops';
import { floats, share } from '../simd';

export function scatterAdd(op: usize, rows: i32, thread: i32, threads: i32): void {
  const width = ScatterAdd.width(op);
  const first = share(width, 16, thread, threads);
  const last = share(width, 16, thread + 1, threads);
  for (let r = 0; r < rows; r++) {
    const row = <usize>load<u32>(ScatterAdd.index(op) + floats(r)) * floats(width);
    const table = ScatterAdd.table(op) + row;
    const x = ScatterAdd.x(op) + floats(r * width);
    let c = first;
    for (; c + 4 <= last; c += 4)
      v128.store(table + floats(c), f32x4.add(v128.load(table + floats(c)), v128.load(x + floats(c))));
    for (; c < last; c++) store<f32>(table + floats(c), load<f32>(table + floats(c)) + load<f32>(x + floats(c)));
  }
}

export function place(op: usize, rows: i32, thread: i32, threads: i32): void {
  const bytes = floats(Place.width(op));
  const last = share(rows, 1, thread + 1, threads);
  for (let r = share(rows, 1, thread, threads); r < last; r++) {
    const from = load<i32>(Place.from(op) + floats(r));
    const out = Place.out(op) + <usize>r * bytes;
    if (from < 0) memory.fill(out, 0, bytes);
    else memory.copy(out, Place.x(op) + <usize>from * bytes, bytes);
  }
}
