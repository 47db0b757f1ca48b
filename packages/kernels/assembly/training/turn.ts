// turn: a block of a matrix, transposed in scratch, so that what is a column there becomes a run here.
//
//   out[c][r] = x[r][c] for r < rows, c < columns; four by four in registers
//
// Owns no sums. `outStride` and `stride` are a whole line of out and a whole row of x, in bytes. Lines of out are written to
// a multiple of four numbers, zeros after the last row.
import { floats, splat } from '../simd';

/** Rows r0 to r3 at four columns -> four lines of out. */
@inline function turn4(out: usize, outStride: usize, r0: v128, r1: v128, r2: v128, r3: v128): void {
  const low01 = v128.shuffle<u32>(r0, r1, 0, 4, 1, 5);
  const high01 = v128.shuffle<u32>(r0, r1, 2, 6, 3, 7);
  const low23 = v128.shuffle<u32>(r2, r3, 0, 4, 1, 5);
  const high23 = v128.shuffle<u32>(r2, r3, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<u64>(low01, low23, 0, 2));
  v128.store(out + outStride, v128.shuffle<u64>(low01, low23, 1, 3));
  v128.store(out + 2 * outStride, v128.shuffle<u64>(high01, high23, 0, 2));
  v128.store(out + 3 * outStride, v128.shuffle<u64>(high01, high23, 1, 3));
}

export function turn(out: usize, outStride: usize, x: usize, stride: usize, rows: i32, columns: i32): void {
  const whole = columns & ~3;
  for (let r = 0; r < rows; r += 4, x += 4 * stride, out += 16) {
    const has1 = r + 1 < rows;
    const has2 = r + 2 < rows;
    const has3 = r + 3 < rows;
    const none = splat(0);
    let from = x;
    let to = out;
    for (const end = x + floats(whole); from < end; from += 16, to += 4 * outStride)
      turn4(
        to, outStride, v128.load(from), has1 ? v128.load(from + stride) : none,
        has2 ? v128.load(from + 2 * stride) : none, has3 ? v128.load(from + 3 * stride) : none,
      );
    for (const end = x + floats(columns); from < end; from += 4, to += outStride) {
      store<f32>(to, load<f32>(from));
      store<f32>(to, has1 ? load<f32>(from + stride) : 0, 4);
      store<f32>(to, has2 ? load<f32>(from + 2 * stride) : 0, 8);
      store<f32>(to, has3 ? load<f32>(from + 3 * stride) : 0, 12);
    }
  }
}
