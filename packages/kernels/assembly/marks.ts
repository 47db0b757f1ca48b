// markActive: which neurons tokens of a slot have used, kept from step to step.
//
//   marks[slots[r]][i] = 1 where x[r][i] != 0; others stay
//
// Columns are split across the threads, since rows may be of one slot; each thread takes the rows one after the other.
import { MarkActive } from './generated/ops';
import { floats, share, splat } from './simd';

export function markActive(op: usize, rows: i32, thread: i32, threads: i32): void {
  const width = MarkActive.width(op);
  const first = share(width, 16, thread, threads);
  const last = share(width, 16, thread + 1, threads);
  for (let r = 0; r < rows; r++) {
    const slot = load<i32>(MarkActive.slots(op) + floats(r));
    const x = MarkActive.x(op) + floats(r * width);
    const marks = MarkActive.marks(op) + (<usize>slot * floats(width));
    let c = first;
    for (; c + 4 <= last; c += 4) {
      const used = f32x4.ne(v128.load(x + floats(c)), splat(0));
      v128.store(marks + floats(c), v128.bitselect(splat(1), v128.load(marks + floats(c)), used));
    }
    for (; c < last; c++) if (load<f32>(x + floats(c)) != 0) store<f32>(marks + floats(c), 1);
  }
}
