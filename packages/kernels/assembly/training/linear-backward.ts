// linearBackward: the gradient of a product's input. It is a product itself, of dy with the same weight read the other way:
//
//   out[r] = residual[r] + dy[r] w:  a row-major w [out, in] is a transposed weight from out to in, and the reverse
//
// so it is a product (product.ts) with the layout turned, in its orders of summation.
import { LinearBackward } from '../generated/ops';
import { trainingProduct, trainingProductScratch } from './product';

export function linearBackwardScratch(op: usize, rows: i32, threads: i32): usize {
  return trainingProductScratch(rows, LinearBackward.inWidth(op), LinearBackward.transposed(op) == 0, threads);
}

export function linearBackward(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  trainingProduct(
    LinearBackward.dy(op), LinearBackward.w(op), 0, LinearBackward.residual(op), LinearBackward.out(op), rows,
    LinearBackward.outWidth(op), LinearBackward.inWidth(op), LinearBackward.transposed(op) == 0, thread, threads, scratch,
  );
}
