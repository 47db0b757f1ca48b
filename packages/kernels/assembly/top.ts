// keepTop: the k best of every stretch of a row, the others +0. What competes are groups of neighbouring columns.
//
//   for each stretch: score of a group = sum of |x[c]| * scale[c], rounded to f32 at each step, in order
//     threshold = the k-th largest score; out[c] = x[c] where its group is above the threshold, or on it and among the first that
//     make k; else +0
//
// Scores are turned into integers of the same order (NaN above all, -0 = 0), so that the threshold is found by counting their
// digits, in three passes whatever the numbers. Where a stretch has few groups, each is ranked against the others instead, in
// 16 stretches at once. Stretches are split across the threads; where there are fewer, every thread finds the threshold of each,
// and writes its share of the columns: not when out = x.
import { KeepTop } from './generated/ops';
import { floats, share, splat } from './simd';

/** Scratch: counts of one digit's values, how many are kept on the threshold, then the orders of a stretch. */
const binBytes: usize = 8192;
const ordersAt: usize = binBytes + 64;
/** So many scores or fewer are compared with each other. */
const few: i32 = 16;

/** Integers of the order of the scores. */
@inline function orderOf(score: v128): v128 {
  const negative = i32x4.neg(v128.and(score, i32x4.splat(0x7fffffff)));
  const order = v128.bitselect(negative, score, i32x4.shr_s(score, 31));
  return v128.bitselect(i32x4.splat(0x7fffffff), order, f32x4.ne(score, score));
}

@inline function score4(x: v128, scale: v128): v128 {
  return f32x4.mul(f32x4.abs(x), scale);
}

/** Writes the orders of all groups of a stretch. */
function writeOrders(x: usize, scale: usize, groups: i32, groupSize: i32, orders: usize): void {
  const one = splat(1);
  if (groupSize > 1) {
    for (let g = 0; g < groups; g++) {
      let sum: f32 = 0;
      for (const end = x + floats(groupSize); x < end; x += 4) {
        const size = abs<f32>(load<f32>(x));
        sum += scale ? size * load<f32>(scale) : size;
        if (scale) scale += 4;
      }
      store<i32>(orders + floats(g), i32x4.extract_lane(orderOf(splat(sum)), 0));
    }
    return;
  }
  let i: usize = 0;
  for (const end = floats(groups & ~3); i < end; i += 16)
    v128.store(orders + i, orderOf(score4(v128.load(x + i), scale ? v128.load(scale + i) : one)));
  for (const end = floats(groups); i < end; i += 4) {
    const score = score4(v128.load32_zero(x + i), scale ? v128.load32_zero(scale + i) : one);
    store<i32>(orders + i, i32x4.extract_lane(orderOf(score), 0));
  }
}

/** How many of the orders are the threshold, and in the high half how many are above it. */
function countFrom(orders: usize, count: i32, bar: i32): i64 {
  let above: i64 = 0;
  let on: i64 = 0;
  for (const end = orders + floats(count); orders < end; orders += 4) {
    const order = load<i32>(orders);
    if (order > bar) above++;
    else if (order == bar) on++;
  }
  return (above << 32) | on;
}

/** Counts the next `bits` bits from `shift` on, of the orders that begin with `prefix`; gives the prefix with the k-th's. */
function nextDigit(orders: usize, groups: i32, bins: usize, shift: i32, bits: i32, prefix: u32, left: usize): u32 {
  memory.fill(bins, 0, binBytes);
  const mask: u32 = (1 << bits) - 1;
  const above = shift + bits;
  for (let at = orders, end = orders + floats(groups); at < end; at += 4) {
    const order = load<u32>(at) ^ 0x80000000;
    if (above < 32 && order >>> above != prefix) continue;
    const bin = bins + (<usize>((order >>> shift) & mask) << 2);
    store<i32>(bin, load<i32>(bin) + 1);
  }
  let digit = mask;
  let k = load<i32>(left);
  for (let count = load<i32>(bins + (<usize>digit << 2)); k > count; count = load<i32>(bins + (<usize>digit << 2))) {
    k -= count;
    digit--;
  }
  store<i32>(left, k);
  return (prefix << bits) | digit;
}

/** The order of the k-th best; `left` gives how many on the threshold are kept. */
function findBar(orders: usize, groups: i32, k: i32, bins: usize, left: usize): i32 {
  if (groups <= few)
    for (let g = 0; g < groups; g++) {
      const bar = load<i32>(orders + floats(g));
      const counts = countFrom(orders, groups, bar);
      const above = <i32>(counts >> 32);
      if (above >= k || above + <i32>counts < k) continue;
      store<i32>(left, k - above);
      return bar;
    }
  store<i32>(left, k);
  const high = nextDigit(orders, groups, bins, 21, 11, 0, left);
  const middle = nextDigit(orders, groups, bins, 10, 11, high, left);
  return <i32>(nextDigit(orders, groups, bins, 0, 10, middle, left) ^ 0x80000000);
}

/** Columns of a stretch, from x and the orders of their groups, `ties` of which are kept on the threshold. */
function writeKept(x: usize, out: usize, orders: usize, groups: i32, groupSize: i32, bar: i32, ties: i32): void {
  const bytes = floats(groupSize);
  const bar4 = i32x4.splat(bar);
  let g = 0;
  while (g < groups) {
    if (groupSize == 1 && g + 4 <= groups) {
      const order = v128.load(orders + floats(g));
      if (ties == 0 || !v128.any_true(i32x4.eq(order, bar4))) {
        v128.store(out, v128.and(v128.load(x), i32x4.gt_s(order, bar4)));
        x += 16;
        out += 16;
        g += 4;
        continue;
      }
    }
    const order = load<i32>(orders + floats(g));
    const tied = order == bar && ties > 0;
    if (tied) ties--;
    if (order > bar || tied) memory.copy(out, x, bytes);
    else memory.fill(out, 0, bytes);
    x += bytes;
    out += bytes;
    g++;
  }
}

/** Stretches that are ranked side by side, and how many groups they have at most: orders and ranks fit into the bins. */
const sideBySide: i32 = 16;
const fewGroups: i32 = 32;
const ranksAt: usize = 2048;

/** At `ranksAt`: how many groups of the same stretch come before each: those above it, and those as good that stand before it. */
function rankGroups(orders: usize, groups: i32): void {
  memory.fill(orders + ranksAt, 0, floats(groups * sideBySide));
  const end = orders + floats(groups * sideBySide);
  for (let own = orders; own < end; own += 64)
    for (let lane: usize = 0; lane < 64; lane += 16) {
      const mine = v128.load(own + lane);
      let rank = v128.load(own + lane, ranksAt);
      for (let other = own + 64 + lane; other < end; other += 64) {
        const above = i32x4.gt_s(v128.load(other), mine);
        rank = i32x4.sub(rank, above);
        v128.store(other, i32x4.add(v128.load(other, ranksAt), i32x4.add(above, i32x4.splat(1))), ranksAt);
      }
      v128.store(own + lane, rank, ranksAt);
    }
}

/** `count` stretches of few groups, one after the other from x on: each group is ranked against the others of its own. */
function keepBestOfFew(
  x: usize, scale: usize, out: usize, k: i32, count: i32, groups: i32, groupSize: i32, bins: usize, orders: usize,
): void {
  const stretch = floats(groups * groupSize);
  const bytes = floats(groupSize);
  for (let first = 0; first < count; first += sideBySide) {
    const some = min(sideBySide, count - first);
    for (let s = 0; s < some; s++) {
      const offset = <usize>(first + s) * stretch;
      writeOrders(x + offset, scale ? scale + offset : 0, groups, groupSize, orders);
      for (let g = 0; g < groups; g++) store<i32>(bins + floats(g * sideBySide + s), load<i32>(orders + floats(g)));
    }
    rankGroups(bins, groups);
    let at = <usize>first * stretch;
    for (let s = 0; s < some; s++)
      for (let g = 0; g < groups; g++, at += bytes) {
        const kept = load<i32>(bins + floats(g * sideBySide + s), ranksAt) < k;
        if (groupSize == 1) store<f32>(out + at, kept ? load<f32>(x + at) : 0);
        else if (kept) memory.copy(out + at, x + at, bytes);
        else memory.fill(out + at, 0, bytes);
      }
  }
}

export function keepTopScratch(op: usize): usize {
  const stretch = KeepTop.within(op) ? KeepTop.within(op) : KeepTop.width(op);
  return ordersAt + floats(stretch / KeepTop.groupSize(op));
}

export function keepTop(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const width = KeepTop.width(op);
  const groupSize = KeepTop.groupSize(op);
  const stretch = KeepTop.within(op) ? KeepTop.within(op) : width;
  const groups = stretch / groupSize;
  const k = KeepTop.k(op);
  const perRow = width / stretch;
  const total = rows * perRow;
  const whole = total >= threads || KeepTop.x(op) == KeepTop.out(op);
  const firstGroup = whole ? 0 : share(groups, 16, thread, threads);
  const lastGroup = whole ? groups : share(groups, 16, thread + 1, threads);
  if (firstGroup == lastGroup) return;
  const bins = scratch;
  const left = scratch + binBytes;
  const orders = scratch + ordersAt;
  const last = whole ? share(total, 1, thread + 1, threads) : total;
  const isFew = whole && groups <= fewGroups;
  let count = 1;
  for (let i = whole ? share(total, 1, thread, threads) : 0; i < last; i += count) {
    const r = i / perRow;
    // of few groups, all stretches of a row at once
    if (isFew) count = min(last, (r + 1) * perRow) - i;
    const column = (i - r * perRow) * stretch;
    const x = KeepTop.x(op) + floats(r * width + column);
    const from = floats(firstGroup * groupSize);
    const out = KeepTop.out(op) + floats(r * width + column) + from;
    const bytes = floats(isFew ? count * stretch : (lastGroup - firstGroup) * groupSize);
    if (k >= groups || (KeepTop.strength(op) && load<f32>(KeepTop.strength(op) + floats(r)) == 0)) {
      memory.copy(out, x + from, bytes);
      continue;
    }
    if (k == 0) {
      memory.fill(out, 0, bytes);
      continue;
    }
    const scale: usize = KeepTop.scale(op) ? KeepTop.scale(op) + floats(column) : 0;
    if (isFew) {
      keepBestOfFew(x, scale, out, k, count, groups, groupSize, bins, orders);
      continue;
    }
    writeOrders(x, scale, groups, groupSize, orders);
    const bar = findBar(orders, groups, k, bins, left);
    const before = firstGroup == 0 ? 0 : <i32>countFrom(orders, firstGroup, bar);
    writeKept(
      x + from, out, orders + floats(firstGroup), lastGroup - firstGroup, groupSize, bar,
      max(load<i32>(left) - before, 0),
    );
  }
}
