// normBackward and normGradient: gradients of rmsNorm, layerNorm and headNorm.
//
//   for each head of row r: mean = sum(x) / size (centred); scale = 1 / sqrt(sum((x - mean)^2) / size + eps), as norm.ts
//     n = (x - mean) scale; g = dy weight; plain = sum(g) / size (centred); along = sum(g n) / size
//     out = residual + (g - plain - n along) scale;  stats = mean, scale;  columns beyond the heads: residual + dy
//   weight[c] += sum over r, in order from +0, of dy[r][c] (x[r][c] - mean) scale;  bias[c] += sum over r of dy[r][c]
//
// Sums of a head run in four lanes from its first column on, then one by one. Rows are split across the threads; of the
// gradients, columns. In place (out = residual or dy) is fine: a number is read before it is written, by its owner.
import { NormBackward, NormGradient } from '../generated/ops';
import { reduce, wideMean, wideScale } from '../norm';
import { floats, hsum, share, splat } from '../simd';
import { addColumns } from './columns';

/** out = residual + (g - plain - n along) scale for one head. */
function head(
  x: usize, dy: usize, weight: usize, residual: usize, out: usize, size: i32, mean: f32, scale: f32, centred: bool,
): void {
  const m = splat(mean);
  const s = splat(scale);
  const whole = floats(size & ~3);
  const all = floats(size);
  let sumG = splat(0);
  let sumGN = splat(0);
  let i: usize = 0;
  for (; i < whole; i += 16) {
    let g = v128.load(dy + i);
    if (weight) g = f32x4.mul(g, v128.load(weight + i));
    sumG = f32x4.add(sumG, g);
    sumGN = f32x4.add(sumGN, f32x4.mul(g, f32x4.mul(f32x4.sub(v128.load(x + i), m), s)));
  }
  let totalG = hsum(sumG);
  let totalGN = hsum(sumGN);
  for (; i < all; i += 4) {
    const g = load<f32>(dy + i) * (weight ? load<f32>(weight + i) : 1);
    totalG += g;
    totalGN += g * ((load<f32>(x + i) - mean) * scale);
  }
  const plain: f32 = centred ? totalG / <f32>size : 0;
  const along: f32 = totalGN / <f32>size;
  const p = splat(plain);
  const a = splat(along);
  for (i = 0; i < whole; i += 16) {
    let g = v128.load(dy + i);
    if (weight) g = f32x4.mul(g, v128.load(weight + i));
    const n = f32x4.mul(f32x4.sub(v128.load(x + i), m), s);
    const v = f32x4.mul(f32x4.sub(f32x4.sub(g, p), f32x4.mul(n, a)), s);
    v128.store(out + i, residual ? f32x4.add(v128.load(residual + i), v) : v);
  }
  for (; i < all; i += 4) {
    const g = load<f32>(dy + i) * (weight ? load<f32>(weight + i) : 1);
    const v = (g - plain - (load<f32>(x + i) - mean) * scale * along) * scale;
    store<f32>(out + i, residual ? load<f32>(residual + i) + v : v);
  }
}

export function normBackward(op: usize, rows: i32, thread: i32, threads: i32): void {
  const width = NormBackward.width(op);
  const heads = NormBackward.heads(op);
  const size = NormBackward.headDim(op);
  const centred = NormBackward.centred(op) == 1;
  const weight = NormBackward.weight(op);
  const residual = NormBackward.residual(op);
  const out = NormBackward.out(op);
  const dy = NormBackward.dy(op);
  const last = share(rows, 1, thread + 1, threads);
  for (let r = share(rows, 1, thread, threads); r < last; r++) {
    for (let h = 0; h < heads; h++) {
      const at = floats(r * width + h * size);
      const x = NormBackward.x(op) + at;
      let mean: f32 = centred ? reduce(x, size, 0, false) / <f32>size : 0;
      const variance: f32 = reduce(x, size, mean, true) / <f32>size;
      let scale: f32 = 1 / sqrt<f32>(variance + NormBackward.eps(op));
      if (!(variance <= f32.MAX_VALUE)) {
        const middle: f64 = centred ? wideMean(x, size) : 0;
        mean = <f32>middle;
        scale = <f32>wideScale(x, size, middle, NormBackward.eps(op));
      }
      head(
        x, dy + at, weight ? weight + floats(h * size) : 0, residual ? residual + at : 0, out + at, size, mean, scale, centred,
      );
      const stats = NormBackward.stats(op) + (<usize>(r * heads + h) << 3);
      store<f32>(stats, mean);
      store<f32>(stats, scale, 4);
    }
    for (let c = r * width + heads * size; c < (r + 1) * width; c++) {
      const v = load<f32>(dy + floats(c));
      store<f32>(out + floats(c), residual ? load<f32>(residual + floats(c)) + v : v);
    }
  }
}

export function normGradient(op: usize, rows: i32, thread: i32, threads: i32): void {
  const width = NormGradient.width(op);
  const heads = NormGradient.heads(op);
  const size = NormGradient.headDim(op);
  const weight = NormGradient.weight(op);
  const dy = NormGradient.dy(op);
  const stride = floats(width);
  const total = heads * size;
  if (weight) {
    const last = share(total, 16, thread + 1, threads);
    let c = share(total, 16, thread, threads);
    // four columns of one head at a time
    while (c < last) {
      const h = c / size;
      const columns = min(4, min(last, (h + 1) * size) - c);
      const step = floats(2 * heads);
      let stats = NormGradient.stats(op) + floats(2 * h);
      let x = NormGradient.x(op) + floats(c);
      let g = dy + floats(c);
      const to = weight + floats(c);
      if (columns == 4) {
        let sum = splat(0);
        for (let r = 0; r < rows; r++, x += stride, g += stride, stats += step) {
          const n = f32x4.mul(f32x4.sub(v128.load(x), v128.load32_splat(stats)), v128.load32_splat(stats, 4));
          sum = f32x4.add(sum, f32x4.mul(v128.load(g), n));
        }
        v128.store(to, f32x4.add(v128.load(to), sum));
      } else
        for (let i: usize = 0; i < floats(columns); i += 4) {
          let sum: f32 = 0;
          for (let r = 0; r < rows; r++) {
            const at = <usize>r * stride + i;
            const own = stats + <usize>r * step;
            sum += load<f32>(g + at) * ((load<f32>(x + at) - load<f32>(own)) * load<f32>(own, 4));
          }
          store<f32>(to + i, load<f32>(to + i) + sum);
        }
      c += columns;
    }
  }
  if (NormGradient.bias(op)) addColumns(NormGradient.bias(op), dy, width, total, rows, thread, threads);
}
