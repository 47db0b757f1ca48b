// linearGradient: the gradient of a weight and its bias, added to what there is. A weight as it is stored has lines (a of
// them) of columns (b); a row-major weight has a line an output, a transposed one a line an input.
//
//   w[a][b] += sum over r of left[r][a] right[r][b]       left, right = dy, x, or x, dy when transposed
//   bias[n] += sum over r of dy[r][n]
//
// Order: each block of 256 rows is summed in the order of r from +0 and then added to w; the bias is one such sum over all.
// Blocks of 256 rows x 128 lines of `left` are turned into [line][row], which stays in L2; 16 columns of `right` are packed
// into a panel [row][16], which stays in L1 while the lines pass, two at a time (tileTransposed), or each by its list where
// a pair has many zeros (sparse-tiles.ts). A thread owns lines, or columns where there are more of these.
// Scratch: a panel, the lists and their lengths, sums of two lines, and the turned block of one line more than it has.
import { pack, tileTransposed } from '../gemm-transposed';
import { LinearGradient } from '../generated/ops';
import { floats, share } from '../simd';
import { addColumns } from './columns';
import {
  blockDepth,
  countsAt,
  densePercent,
  isSparse,
  listBytes,
  listLines,
  listsAt,
  listsEnd,
  makeLists,
  tileList,
} from './sparse-tiles';
import { turn } from './turn';

const blockLines: i32 = listLines;
const sumsAt: usize = listsEnd;
const turnedAt: usize = sumsAt + 128;
/** Bytes of scratch. */
export const linearGradientScratch: usize = turnedAt + (((<usize>blockLines + 1) * <usize>blockDepth) << 2);

/** w[0 .. columns) += sums */
@inline function add(w: usize, sums: usize, columns: i32): void {
  if (columns == 16) {
    v128.store(w, f32x4.add(v128.load(w), v128.load(sums)));
    v128.store(w, f32x4.add(v128.load(w, 16), v128.load(sums, 16)), 16);
    v128.store(w, f32x4.add(v128.load(w, 32), v128.load(sums, 32)), 32);
    v128.store(w, f32x4.add(v128.load(w, 48), v128.load(sums, 48)), 48);
    return;
  }
  for (let c: usize = 0; c < floats(columns); c += 4) store<f32>(w + c, load<f32>(w + c) + load<f32>(sums + c));
}

/** Whether lists pay for lines i and i + 1. */
@inline function pairIsSparse(counts: usize, i: i32, lines: i32, depth: i32): bool {
  const total = load<i32>(counts + floats(i)) + (i + 1 < lines ? load<i32>(counts + floats(i + 1)) : 0);
  return 100 * total < densePercent * 2 * depth;
}

/** Lines [a0, a1) and columns [b0, b1) of w. */
function gradient(
  w: usize, left: usize, lines: i32, right: usize, columns: i32, rows: i32, a0: i32, a1: i32, b0: i32, b1: i32, scratch: usize,
): void {
  const lists = scratch + listsAt;
  const counts = scratch + countsAt;
  const sums = scratch + sumsAt;
  const turned = scratch + turnedAt;
  const stride = floats(blockDepth);
  for (let r = 0; r < rows; r += blockDepth) {
    const count = min(blockDepth, rows - r);
    for (let a = a0; a < a1; a += blockLines) {
      const some = min(blockLines, a1 - a);
      turn(turned, stride, left + floats(r * lines + a), floats(lines), count, some);
      const sparse = isSparse(turned, stride, some, count);
      if (sparse) makeLists(lists, counts, turned, stride, some, count);
      for (let b = b0; b < b1; b += 16) {
        const width = min(16, b1 - b);
        pack<f32>(scratch, right + floats(r * columns + b), floats(columns), width, count);
        for (let i = 0; i < some; i += 2) {
          const line = turned + <usize>i * stride;
          const place = w + floats((a + i) * columns + b);
          memory.fill(sums, 0, 128);
          if (sparse && pairIsSparse(counts, i, some, count)) {
            tileList(scratch, lists + <usize>i * listBytes, load<i32>(counts + floats(i)), sums);
            if (i + 1 < some)
              tileList(scratch, lists + <usize>(i + 1) * listBytes, load<i32>(counts + floats(i + 1)), sums + 64);
          } else tileTransposed(scratch, count, line, line + stride, sums, sums + 64);
          add(place, sums, width);
          if (i + 1 < some) add(place + floats(columns), sums + 64, width);
        }
      }
    }
  }
}

export function linearGradient(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const inWidth = LinearGradient.inWidth(op);
  const outWidth = LinearGradient.outWidth(op);
  const x = LinearGradient.x(op);
  const dy = LinearGradient.dy(op);
  const transposed = LinearGradient.transposed(op) == 1;
  const lines = transposed ? inWidth : outWidth;
  const columns = transposed ? outWidth : inWidth;
  const byLines = lines >= columns;
  const total = byLines ? lines : columns;
  const first = share(total, 16, thread, threads);
  const last = share(total, 16, thread + 1, threads);
  if (first < last)
    gradient(
      LinearGradient.w(op), transposed ? x : dy, lines, transposed ? dy : x, columns, rows,
      byLines ? first : 0, byLines ? last : lines, byLines ? 0 : first, byLines ? columns : last, scratch,
    );
  if (LinearGradient.bias(op)) addColumns(LinearGradient.bias(op), dy, outWidth, outWidth, rows, thread, threads);
}
