// gather: rows of an embedding table, widened to f32, plus a residual (the token's embedding, for learned positions).
//
//   for each row r: for my columns c: out[r][c] = residual[r][c] + table[index[r]][c]
import { blockRowBytes, blockSize, blocksOf, Int4, Int8, Uint4, widenWeights } from './block-format';
import { dtypeBf16, dtypeF32, dtypeInt4, dtypeInt8, Gather } from './generated/ops';
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

/** The same from a table in a block format, in whole blocks. */
function gatherBlocks<F>(op: usize, rows: i32, first: i32, last: i32, scratch: usize): void {
  const width = Gather.width(op);
  const residual = Gather.residual(op);
  for (let r = 0; r < rows; r++) {
    const row = Gather.table(op) + <usize>load<u32>(Gather.index(op) + floats(r)) * blockRowBytes<F>(width);
    for (let b = first; b < last; b++) {
      widenWeights<F>(scratch, row, b, width);
      const columns = min(blockSize, width - b * blockSize);
      const place = floats(r * width + b * blockSize);
      for (let c: usize = 0; c < floats(columns); c += 4) {
        const v = load<f32>(scratch + c);
        store<f32>(Gather.out(op) + place + c, residual ? load<f32>(residual + place + c) + v : v);
      }
    }
  }
}

export function gatherScratch(op: usize): usize {
  const dtype = Gather.dtype(op);
  return dtype == dtypeF32 || dtype == dtypeBf16 ? 0 : floats(blockSize);
}

export function gather(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const width = Gather.width(op);
  const dtype = Gather.dtype(op);
  if (dtype == dtypeF32 || dtype == dtypeBf16) {
    const first = share(width, 16, thread, threads);
    const last = share(width, 16, thread + 1, threads);
    if (dtype == dtypeF32) gatherRows<f32>(op, rows, first, last);
    else gatherRows<u16>(op, rows, first, last);
    return;
  }
  const first = share(blocksOf(width), 1, thread, threads);
  const last = share(blocksOf(width), 1, thread + 1, threads);
  if (dtype == dtypeInt8) gatherBlocks<Int8>(op, rows, first, last, scratch);
  else if (dtype == dtypeInt4) gatherBlocks<Int4>(op, rows, first, last, scratch);
  else gatherBlocks<Uint4>(op, rows, first, last, scratch);
}
