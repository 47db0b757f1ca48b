// The op `linear`: out[r] = residual[r] + (w x[r] + bias), for both layouts and every weight format.
//
//   row-major [out, in]:   outputs are dealt to the threads; one row: gemv by dot4; more: gemm by panels
//   transposed [in, out]:  columns are dealt to the threads; few rows: axpyList over all k; more: gemm by panels
//
// All paths of a layout sum an output in the same order (dot.ts, axpy.ts), so a row's bits do not depend on the path.
// In place on the residual (out = residual) is fine: an output is read once, just before it is written.
import { axpyList } from './axpy';
import { dot4 } from './dot';
import { at, finish, finishRun } from './finish';
import { gemm, gemmTransposed } from './gemm';
import { dtypeF32, Linear } from './generated/ops';
import { bytesOf, floats, share } from './simd';

/** From this many rows on, packing transposed weights pays. */
const gemmTransposedRows = 8;
/** Bytes of weights that stay in L2 while the rows of a step pass. */
const blockBytes: usize = 262144;

function gemv<T>(x: usize, w: usize, bias: usize, residual: usize, out: usize, inWidth: i32, first: i32, last: i32, scratch: usize): void {
  const stride = bytesOf<T>(inWidth);
  for (let n = first; n < last; n += 4) {
    const count = min(4, last - n);
    const w0 = w + <usize>n * stride;
    const end = w + <usize>(last - 1) * stride;
    dot4<T>(
      x, inWidth, w0, min(end, w0 + stride), min(end, w0 + 2 * stride), min(end, w0 + 3 * stride), scratch,
    );
    for (let i = 0; i < count; i++)
      finish(out + floats(n + i), at(residual, n + i), at(bias, n + i), load<f32>(scratch + floats(i)));
  }
}

/** Few rows over a transposed weight: blocks of k stay in L2 while each row adds them up. */
function axpyDense<T>(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, rows: i32, inWidth: i32, outWidth: i32, first: i32, last: i32,
  scratch: usize,
): void {
  const columns = last - first;
  const stride = bytesOf<T>(outWidth);
  const block = rows == 1 ? inWidth : max(8, <i32>(blockBytes / bytesOf<T>(columns)) & ~7);
  memory.fill(scratch, 0, floats(rows * columns));
  for (let k = 0; k < inWidth; k += block)
    for (let r = 0; r < rows; r++)
      axpyList<T>(
        scratch + floats(r * columns), columns, w + <usize>k * stride + bytesOf<T>(first), stride,
        x + floats(r * inWidth + k), 0, min(block, inWidth - k),
      );
  for (let r = 0; r < rows; r++) {
    const place = r * outWidth + first;
    finishRun(out + floats(place), at(residual, place), at(bias, first), scratch + floats(r * columns), columns);
  }
}

function linearOf<T>(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const outWidth = Linear.outWidth(op);
  const inWidth = Linear.inWidth(op);
  const x = Linear.x(op);
  const w = Linear.w(op);
  const bias = Linear.bias(op);
  const residual = Linear.residual(op);
  const out = Linear.out(op);
  const transposed = Linear.transposed(op);
  const unit = transposed ? 32 : 16;
  const first = share(outWidth, unit, thread, threads);
  const last = share(outWidth, unit, thread + 1, threads);
  if (first == last || rows == 0) return;
  if (transposed) {
    if (rows < gemmTransposedRows) axpyDense<T>(x, w, bias, residual, out, rows, inWidth, outWidth, first, last, scratch);
    else gemmTransposed<T>(x, w, bias, residual, out, rows, inWidth, outWidth, first, last, scratch);
  } else {
    if (rows == 1) gemv<T>(x, w, bias, residual, out, inWidth, first, last, scratch);
    else gemm<T>(x, w, bias, residual, out, rows, inWidth, outWidth, first, last, scratch);
  }
}

export function linear(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  if (Linear.dtype(op) == dtypeF32) linearOf<f32>(op, rows, thread, threads, scratch);
  else linearOf<u16>(op, rows, thread, threads, scratch);
}
