// storeKv and attention over the KV cache [slot][layer][kvHead][capacity][headDim].
//
//   attention, for each (row, head):
//     s[p] = scale * (q . k[p] + keyBias[p])      p = first .. position of the row; dots as in dot.ts
//     e[p] = exp(s[p] - max s);  out = (sum over p, in order, of e[p] * v[p]) / sum e
//
// Heads are dealt to the threads, turned by one each row so that what does not divide evenly evens out. Heads outside,
// rows inside: the keys and values of a head stay in cache while the rows of a prefill pass.
// Scratch: capacity + 16 floats of scores; they are padded with -infinity to a multiple of 4.
import { exp } from './exp';
import { Attention, StoreKv } from './generated/ops';
import { floats, hmax, hsum, madd, share, splat } from './simd';
import { dotTail } from './dot';

export function storeKv(op: usize, rows: i32, thread: i32, threads: i32): void {
  const kvHeads = StoreKv.kvHeads(op);
  const headDim = StoreKv.headDim(op);
  const last = share(rows * kvHeads, 1, thread + 1, threads);
  for (let unit = share(rows * kvHeads, 1, thread, threads); unit < last; unit++) {
    const r = unit / kvHeads;
    const h = unit - r * kvHeads;
    const slot = load<i32>(StoreKv.slots(op) + floats(r));
    const head = <usize>((slot * StoreKv.layers(op) + StoreKv.layer(op)) * kvHeads + h);
    const row = floats(headDim) * (head * StoreKv.capacity(op) + load<u32>(StoreKv.positions(op) + floats(r)));
    const x = StoreKv.x(op) + floats(r * StoreKv.width(op) + h * headDim);
    memory.copy(StoreKv.k(op) + row, x + floats(StoreKv.firstKey(op)), floats(headDim));
    memory.copy(StoreKv.v(op) + row, x + floats(StoreKv.firstValue(op)), floats(headDim));
  }
}

/** scores[i] = scale * (q . k[i] + bias[i]) for i < count; four keys at a time. */
export function scoreKeys(scores: usize, q: usize, k: usize, bias: usize, headDim: i32, count: i32, scale: f32): void {
  const stride = floats(headDim);
  const whole = floats(headDim & ~3);
  const rest = headDim & 3;
  const end = k + <usize>(count - 1) * stride;
  for (let i = 0; i < count; i += 4, k += 4 * stride) {
    const k1 = min(end, k + stride);
    const k2 = min(end, k + 2 * stride);
    const k3 = min(end, k + 3 * stride);
    let s0 = splat(0);
    let s1 = splat(0);
    let s2 = splat(0);
    let s3 = splat(0);
    for (let d: usize = 0; d < whole; d += 16) {
      const x = v128.load(q + d);
      s0 = madd(s0, v128.load(k + d), x);
      s1 = madd(s1, v128.load(k1 + d), x);
      s2 = madd(s2, v128.load(k2 + d), x);
      s3 = madd(s3, v128.load(k3 + d), x);
    }
    const x = q + whole;
    const at = scores + floats(i);
    const left = count - i;
    store<f32>(at, scale * (dotTail<f32>(hsum(s0), x, k + whole, rest) + (bias ? load<f32>(bias + floats(i)) : 0)));
    if (left > 1) store<f32>(at, scale * (dotTail<f32>(hsum(s1), x, k1 + whole, rest) + (bias ? load<f32>(bias + floats(i + 1)) : 0)), 4);
    if (left > 2) store<f32>(at, scale * (dotTail<f32>(hsum(s2), x, k2 + whole, rest) + (bias ? load<f32>(bias + floats(i + 2)) : 0)), 8);
    if (left > 3) store<f32>(at, scale * (dotTail<f32>(hsum(s3), x, k3 + whole, rest) + (bias ? load<f32>(bias + floats(i + 3)) : 0)), 12);
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

/** out = (sum over i of e[i] * v[i]) / total: blocks of 32 columns in registers, then of 4, then one by one. */
export function mixValues(out: usize, e: usize, v: usize, headDim: i32, count: i32, total: f32): void {
  const stride = floats(headDim);
  const end = e + floats(count);
  const t = splat(total);
  let d = 0;
  for (; d + 32 <= headDim; d += 32) {
    let at = v + floats(d);
    let s0 = splat(0);
    let s1 = splat(0);
    let s2 = splat(0);
    let s3 = splat(0);
    let s4 = splat(0);
    let s5 = splat(0);
    let s6 = splat(0);
    let s7 = splat(0);
    for (let p = e; p < end; p += 4, at += stride) {
      const x = v128.load32_splat(p);
      s0 = madd(s0, v128.load(at), x);
      s1 = madd(s1, v128.load(at, 16), x);
      s2 = madd(s2, v128.load(at, 32), x);
      s3 = madd(s3, v128.load(at, 48), x);
      s4 = madd(s4, v128.load(at, 64), x);
      s5 = madd(s5, v128.load(at, 80), x);
      s6 = madd(s6, v128.load(at, 96), x);
      s7 = madd(s7, v128.load(at, 112), x);
    }
    const to = out + floats(d);
    v128.store(to, f32x4.div(s0, t));
    v128.store(to, f32x4.div(s1, t), 16);
    v128.store(to, f32x4.div(s2, t), 32);
    v128.store(to, f32x4.div(s3, t), 48);
    v128.store(to, f32x4.div(s4, t), 64);
    v128.store(to, f32x4.div(s5, t), 80);
    v128.store(to, f32x4.div(s6, t), 96);
    v128.store(to, f32x4.div(s7, t), 112);
  }
  for (; d + 4 <= headDim; d += 4) {
    let at = v + floats(d);
    let s = splat(0);
    for (let p = e; p < end; p += 4, at += stride) s = madd(s, v128.load(at), v128.load32_splat(p));
    v128.store(out + floats(d), f32x4.div(s, t));
  }
  for (; d < headDim; d++) {
    let at = v + floats(d);
    let s: f32 = 0;
    for (let p = e; p < end; p += 4, at += stride) s += load<f32>(at) * load<f32>(p);
    store<f32>(out + floats(d), s / total);
  }
}

export function attention(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const heads = Attention.heads(op);
  const headDim = Attention.headDim(op);
  const kvHeads = Attention.kvHeads(op);
  const capacity = Attention.capacity(op);
  const window = Attention.window(op);
  const keyBias = Attention.keyBias(op);
  const group = heads / kvHeads;
  for (let h = 0; h < heads; h++) {
    const owner = h * threads / heads;
    for (let r = 0; r < rows; r++) {
      if ((owner + r) % threads != thread) continue;
      const last = load<i32>(Attention.positions(op) + floats(r));
      const first = window > 0 ? max(0, last - window + 1) : 0;
      const count = last - first + 1;
      const slot = load<i32>(Attention.slots(op) + floats(r));
      const kvHead = (slot * Attention.layers(op) + Attention.layer(op)) * kvHeads + h / group;
      const cache = floats(headDim) * (<usize>kvHead * capacity + first);
      scoreKeys(
        scratch, Attention.x(op) + floats(r * Attention.width(op) + h * headDim), Attention.k(op) + cache,
        keyBias ? keyBias + floats(h * capacity + first) : 0, headDim, count, Attention.scale(op),
      );
      const total = expScores(scratch, count);
      mixValues(Attention.out(op) + floats((r * heads + h) * headDim), scratch, Attention.v(op) + cache, headDim, count, total);
    }
  }
}
