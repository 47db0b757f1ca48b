// storeKv and attention over the KV cache [slot][layer][kvHead][capacity][headDim], of f32 or f16.
//
//   attention, for each (row, head):
//     s[p] = scale * (q . k[p] + keyBias[p])      p = first .. position of the row; dots as in dot.ts
//     e[p] = exp(s[p] - max s);  out = (sum over p, in order, of e[p] * v[p]) / sum e
//   scores that leave f32 are computed again in f64, less their maximum
//
// Heads are split across the threads, turned by one each row so that what does not divide evenly evens out. Heads outside,
// rows inside: the keys and values of a head stay in cache while the rows of a prefill pass.
// Scratch: capacity + 16 floats of scores; they are padded with -infinity to a multiple of 4.
import { dot, dotTail } from './dot';
import { exp } from './exp';
import { Attention, dtypeF16, StoreKv } from './generated/ops';
import { bytesOf, floats, hmax, hsum, load1, load4, madd, narrowToHalf, share, splat } from './simd';

/** Numbers from which on a key is long. */
const longKey = 96;
/** Values that stay in L1 while their columns pass. */
const valueFloats = 4096;

export function storeKv(op: usize, rows: i32, thread: i32, threads: i32): void {
  const kvHeads = StoreKv.kvHeads(op);
  const headDim = StoreKv.headDim(op);
  const last = share(rows * kvHeads, 1, thread + 1, threads);
  for (let unit = share(rows * kvHeads, 1, thread, threads); unit < last; unit++) {
    const r = unit / kvHeads;
    const h = unit - r * kvHeads;
    const slot = load<i32>(StoreKv.slots(op) + floats(r));
    const head = <usize>((slot * StoreKv.layers(op) + StoreKv.layer(op)) * kvHeads + h);
    const row = <usize>headDim * (head * StoreKv.capacity(op) + load<u32>(StoreKv.positions(op) + floats(r)));
    const x = StoreKv.x(op) + floats(r * StoreKv.width(op) + h * headDim);
    const dtype = StoreKv.dtype(op);
    storeRow(StoreKv.k(op), row, x + floats(StoreKv.firstKey(op)), headDim, dtype);
    storeRow(StoreKv.v(op), row, x + floats(StoreKv.firstValue(op)), headDim, dtype);
  }
}

/** Puts `count` numbers at the cache's number `at`. */
function storeRow(cache: usize, at: usize, x: usize, count: i32, dtype: i32): void {
  if (dtype != dtypeF16) memory.copy(cache + (at << 2), x, floats(count));
  else for (let i = 0; i < count; i++) store<u16>(cache + ((at + i) << 1), narrowToHalf(load<f32>(x + floats(i))));
}

/**
 * scores[i] = q . k[i] for i < count. Short keys by four at a time; long ones one whole key after the other, for the
 * prefetcher (decode over 2048 positions of 16 heads of 128: 2.0 against 4.2 ms; with 64, 1.4 against 1.0 ms).
 */
export function scoreKeys<K>(scores: usize, q: usize, k: usize, headDim: i32, count: i32): void {
  const stride = bytesOf<K>(headDim);
  if (headDim >= longKey) {
    for (let i = 0; i < count; i++, k += stride) store<f32>(scores + floats(i), dot<K>(q, k, headDim));
    return;
  }
  const whole = headDim & ~3;
  const wholeBytes = bytesOf<K>(whole);
  const rest = headDim & 3;
  const end = k + <usize>(count - 1) * stride;
  for (let i = 0; i < count; i += 4, k += 4 * stride, scores += 16) {
    const k1 = min(end, k + stride);
    const k2 = min(end, k + 2 * stride);
    const k3 = min(end, k + 3 * stride);
    let s0 = splat(0);
    let s1 = splat(0);
    let s2 = splat(0);
    let s3 = splat(0);
    let at = q;
    for (let d: usize = 0; d < wholeBytes; d += 4 * sizeof<K>(), at += 16) {
      const x = v128.load(at);
      s0 = madd(s0, load4<K>(k + d), x);
      s1 = madd(s1, load4<K>(k1 + d), x);
      s2 = madd(s2, load4<K>(k2 + d), x);
      s3 = madd(s3, load4<K>(k3 + d), x);
    }
    // scratch has room for three scores too many
    const x = q + floats(whole);
    store<f32>(scores, dotTail<K>(hsum(s0), x, k + wholeBytes, rest));
    store<f32>(scores, dotTail<K>(hsum(s1), x, k1 + wholeBytes, rest), 4);
    store<f32>(scores, dotTail<K>(hsum(s2), x, k2 + wholeBytes, rest), 8);
    store<f32>(scores, dotTail<K>(hsum(s3), x, k3 + wholeBytes, rest), 12);
  }
}

/** scores[i] = scale * (scores[i] + bias[i]); bias may be absent (0). */
function scaleScores(scores: usize, bias: usize, count: i32, scale: f32): void {
  const s = splat(scale);
  let i: usize = 0;
  for (const end = floats(count & ~3); i < end; i += 16) {
    const v = v128.load(scores + i);
    v128.store(scores + i, f32x4.mul(s, bias ? f32x4.add(v, v128.load(bias + i)) : v));
  }
  for (const end = floats(count); i < end; i += 4) {
    const v = load<f32>(scores + i);
    store<f32>(scores + i, scale * (bias ? v + load<f32>(bias + i) : v));
  }
}

/** scores -> exp(scores - max), in place; gives their sum. */
export function expScores(scores: usize, count: i32): f32 {
  const end = scores + floats((count + 3) & ~3);
  for (let at = scores + floats(count); at < end; at += 4) store<f32>(at, -Infinity);
  let top = splat(-Infinity);
  for (let at = scores; at < end; at += 16) top = f32x4.pmax(top, v128.load(at));
  top = splat(hmax(top));
  let sum = splat(0);
  for (let at = scores; at < end; at += 16) {
    const e = exp(f32x4.sub(v128.load(at), top));
    v128.store(at, e);
    sum = f32x4.add(sum, e);
  }
  return hsum(sum);
}

/** scores[i] = scale * (q . k[i] + bias[i]) - the largest of them, in f64. */
function wideScores<K>(scores: usize, q: usize, k: usize, bias: usize, headDim: i32, count: i32, scale: f32): void {
  let top = -f64.MAX_VALUE;
  for (let pass = 0; pass < 2; pass++)
    for (let i = 0; i < count; i++) {
      const key = k + bytesOf<K>(i * headDim);
      let sum: f64 = bias ? <f64>load<f32>(bias + floats(i)) : 0;
      for (let d = 0; d < headDim; d++) sum += <f64>load<f32>(q + floats(d)) * <f64>load1<K>(key + bytesOf<K>(d));
      const score = <f64>scale * sum;
      if (pass == 0) top = max(top, score);
      else store<f32>(scores + floats(i), <f32>(score - top));
    }
}

/**
 * out += sum over i, in order, of e[i] * v[i] for `count` positions: blocks of 32 columns in registers, then of 4, then
 * one by one. The caller goes through the positions in blocks that stay in L1 while the columns pass.
 */
export function mixValues<K>(out: usize, e: usize, v: usize, headDim: i32, count: i32): void {
  const stride = bytesOf<K>(headDim);
  const end = e + floats(count);
  let d = 0;
  for (; d + 32 <= headDim; d += 32, v += 32 * sizeof<K>(), out += 128) {
    let at = v;
    let s0 = v128.load(out);
    let s1 = v128.load(out, 16);
    let s2 = v128.load(out, 32);
    let s3 = v128.load(out, 48);
    let s4 = v128.load(out, 64);
    let s5 = v128.load(out, 80);
    let s6 = v128.load(out, 96);
    let s7 = v128.load(out, 112);
    for (let p = e; p < end; p += 4, at += stride) {
      const x = v128.load32_splat(p);
      s0 = madd(s0, load4<K>(at), x);
      s1 = madd(s1, load4<K>(at + 4 * sizeof<K>()), x);
      s2 = madd(s2, load4<K>(at + 8 * sizeof<K>()), x);
      s3 = madd(s3, load4<K>(at + 12 * sizeof<K>()), x);
      s4 = madd(s4, load4<K>(at + 16 * sizeof<K>()), x);
      s5 = madd(s5, load4<K>(at + 20 * sizeof<K>()), x);
      s6 = madd(s6, load4<K>(at + 24 * sizeof<K>()), x);
      s7 = madd(s7, load4<K>(at + 28 * sizeof<K>()), x);
    }
    v128.store(out, s0);
    v128.store(out, s1, 16);
    v128.store(out, s2, 32);
    v128.store(out, s3, 48);
    v128.store(out, s4, 64);
    v128.store(out, s5, 80);
    v128.store(out, s6, 96);
    v128.store(out, s7, 112);
  }
  for (; d + 4 <= headDim; d += 4, v += 4 * sizeof<K>(), out += 16) {
    let s = v128.load(out);
    for (let p = e, at = v; p < end; p += 4, at += stride) s = madd(s, load4<K>(at), v128.load32_splat(p));
    v128.store(out, s);
  }
  for (; d < headDim; d++, v += sizeof<K>(), out += 4) {
    let s = load<f32>(out);
    for (let p = e, at = v; p < end; p += 4, at += stride) s += load1<K>(at) * load<f32>(p);
    store<f32>(out, s);
  }
}

/** out /= total */
function divide(out: usize, count: i32, total: f32): void {
  const end = out + floats(count);
  const t = splat(total);
  for (; out + 16 <= end; out += 16) v128.store(out, f32x4.div(v128.load(out), t));
  for (; out < end; out += 4) store<f32>(out, load<f32>(out) / total);
}

export function attentionScratch(op: usize): usize {
  return floats(Attention.capacity(op) + 16);
}

export function attention(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  if (Attention.dtype(op) == dtypeF16) attend<i16>(op, rows, thread, threads, scratch);
  else attend<f32>(op, rows, thread, threads, scratch);
}

function attend<K>(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const heads = Attention.heads(op);
  const headDim = Attention.headDim(op);
  const kvHeads = Attention.kvHeads(op);
  const capacity = Attention.capacity(op);
  const window = Attention.window(op);
  const keyBias = Attention.keyBias(op);
  const group = heads / kvHeads;
  const block = max(1, valueFloats / headDim);
  for (let h = 0; h < heads; h++) {
    const owner = h * threads / heads;
    for (let r = 0; r < rows; r++) {
      if ((owner + r) % threads != thread) continue;
      const last = load<i32>(Attention.positions(op) + floats(r));
      const first = window > 0 ? max(0, last - window + 1) : 0;
      const count = last - first + 1;
      const slot = load<i32>(Attention.slots(op) + floats(r));
      const kvHead = (slot * Attention.layers(op) + Attention.layer(op)) * kvHeads + h / group;
      const cache = bytesOf<K>(headDim) * (<usize>kvHead * capacity + first);
      const q = Attention.x(op) + floats(r * Attention.width(op) + h * headDim);
      scoreKeys<K>(scratch, q, Attention.k(op) + cache, headDim, count);
      const bias = keyBias ? keyBias + floats(h * capacity + first) : 0;
      scaleScores(scratch, bias, count, Attention.scale(op));
      let total = expScores(scratch, count);
      if (!(total <= f32.MAX_VALUE)) {
        wideScores<K>(scratch, q, Attention.k(op) + cache, bias, headDim, count, Attention.scale(op));
        total = expScores(scratch, count);
      }
      const out = Attention.out(op) + floats((r * heads + h) * headDim);
      const v = Attention.v(op) + cache;
      memory.fill(out, 0, floats(headDim));
      for (let i = 0; i < count; i += block)
        mixValues<K>(out, scratch + floats(i), v + bytesOf<K>(i * headDim), headDim, min(block, count - i));
      divide(out, headDim, total);
    }
  }
}
