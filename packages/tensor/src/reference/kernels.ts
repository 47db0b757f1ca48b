// The definition of every op, written naively: plain loops, sums in f64 rounded once to f32. Kept for ever as the oracle
// of the fast backends. Does not own memory or scheduling (executor.ts), and is never tuned: but that runs of numbers are read
// at once, for the sake of the tests.
import { type ActivationKind, activationCodes, isMaskCode } from '../activations.js';
import { blockInteger, blockMinimum, blockScale, blockSize, isBlockDType, roundEven } from '../block-format.js';
import { SlotCacheState } from '../fetch-rows.js';
import type { OpKind } from '../op-table.js';
import { cacheRow, field, type Kernel, type OpCall, type Operand, operand } from './call.js';
import { erf } from './erf.js';
import { agreeingSigns, keepTop, markActive, mask } from './masks.js';
import { quantize, twoBitScores } from './quantize.js';
import { mix, tokenShift, wkv } from './recurrent.js';
import { trainingKernels } from './training-kernels.js';

export const activationFunctions: Readonly<Record<ActivationKind, (x: number, threshold: number) => number>> = {
  // "not at most", which NaN is: a step that went wrong must not look like one that came to zero
  relu: (x, shift) => (x <= shift ? 0 : x - shift),
  relu2: (x) => (x <= 0 ? 0 : x * x),
  fatrelu: (x, bar) => (x <= bar ? 0 : x),
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  softcap: (x, cap) => cap * Math.tanh(x / cap),
  scale: (x, factor) => factor * x,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  geluTanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

const activationByCode = new Map(
  Object.entries(activationFunctions).map(([kind, f]) => [activationCodes[kind as ActivationKind] as number, f]),
);

const gather: Kernel = (call) => {
  const [index, table, out] = [operand(call, 'index'), operand(call, 'table'), operand(call, 'out')];
  const { residual } = call.operands;
  const width = field(call, 'width');
  for (let r = 0; r < call.count; r++)
    for (let c = 0; c < width; c++) {
      const at = r * width + c;
      out.set(at, (residual ? residual.get(at) : 0) + table.get(index.get(r) * width + c));
    }
};

function normalise(call: OpCall, centred: boolean): void {
  const [x, out] = [operand(call, 'x'), operand(call, 'out')];
  const size = field(call, 'width');
  for (let r = 0; r < call.count; r++) normaliseRun(call, { x, out, at: r * size, size, weightAt: 0, centred });
}

/** `size` numbers of a row, with as many weights. */
interface NormRun {
  readonly x: Operand;
  readonly out: Operand;
  readonly at: number;
  readonly size: number;
  readonly weightAt: number;
  readonly centred: boolean;
}

function normaliseRun(call: OpCall, { x, out, at, size, weightAt, centred }: NormRun): void {
  const { weight, bias } = call.operands;
  let mean = 0;
  if (centred) for (let c = 0; c < size; c++) mean += x.get(at + c) / size;
  let square = 0;
  for (let c = 0; c < size; c++) square += (x.get(at + c) - mean) ** 2 / size;
  const scale = 1 / Math.sqrt(square + field(call, 'eps'));
  for (let c = 0; c < size; c++)
    out.set(
      at + c,
      (x.get(at + c) - mean) * scale * (weight ? weight.get(weightAt + c) : 1) + (bias ? bias.get(weightAt + c) : 0),
    );
}

const headNorm: Kernel = (call) => {
  const x = operand(call, 'x');
  const size = field(call, 'headDim');
  const centred = field(call, 'centred') === 1;
  for (let r = 0; r < call.count; r++)
    for (let head = 0; head < field(call, 'heads'); head++) {
      const at = r * field(call, 'width') + head * size;
      normaliseRun(call, { x, out: x, at, size, weightAt: head * size, centred });
    }
};

const activate: Kernel = (call) => {
  if (isMaskCode(field(call, 'kind'))) return mask(call);
  const [x, out] = [operand(call, 'x'), operand(call, 'out')];
  const f = activationByCode.get(field(call, 'kind'));
  if (f === undefined) throw new Error(`internal: no activation has code ${field(call, 'kind')}`);
  for (let i = 0; i < call.count * field(call, 'width'); i++) out.set(i, f(x.get(i), field(call, 'threshold')));
};

const multiply: Kernel = (call) => {
  const [a, b, out, { residual }] = [operand(call, 'a'), operand(call, 'b'), operand(call, 'out'), call.operands];
  for (let i = 0; i < call.count * field(call, 'width'); i++) {
    const product = a.get(i) === 0 ? 0 : a.get(i) * b.get(i);
    out.set(i, residual ? residual.get(i) + product : product);
  }
};

const selectActive: Kernel = (call) => {
  const [x, active, activeCount] = [operand(call, 'x'), operand(call, 'active'), operand(call, 'activeCount')];
  const width = field(call, 'width');
  for (let r = 0; r < call.count; r++) {
    let n = 0;
    for (let c = 0; c < width; c++) if (x.get(r * width + c) !== 0) active.set(r * width + n++, c);
    activeCount.set(r, n);
  }
};

/** A table says where the rows of w lie. */
function weightRow(call: OpCall, n: number): number {
  const { table } = call.operands;
  return table ? table.get(n) : n;
}

function finished(call: OpCall, row: number, column: number, sum: number): number {
  const { bias, residual } = call.operands;
  const before = residual ? residual.get(row * field(call, 'outWidth') + column) : 0;
  return before + (sum + (bias ? bias.get(column) : 0));
}

/** Some outputs of a product, of weights whose rows are outputs: each summed over all input channels in order. */
function dotRows(call: OpCall, row: number, columns: Iterable<number>): void {
  const [x, w, out] = [operand(call, 'x'), operand(call, 'w'), operand(call, 'out')];
  const [inWidth, outWidth] = [field(call, 'inWidth'), field(call, 'outWidth')];
  const inputs = x.run(row * inWidth, inWidth);
  for (const n of columns) {
    let sum = 0;
    if (x.dtype === 'i8') sum = quantizedDot(call, row, weightRow(call, n));
    else {
      const weights = w.run(weightRow(call, n) * inWidth, inWidth);
      for (let k = 0; k < inWidth; k++) sum += (inputs[k] as number) * (weights[k] as number);
    }
    out.set(row * outWidth + n, finished(call, row, n, sum));
  }
}

/** All outputs of a product, of weights whose rows are inputs: each summed over the given channels in order. */
function addRows(call: OpCall, row: number, channels: Iterable<number>): void {
  const [x, w, out] = [operand(call, 'x'), operand(call, 'w'), operand(call, 'out')];
  const [inWidth, outWidth] = [field(call, 'inWidth'), field(call, 'outWidth')];
  const sums = new Float64Array(outWidth);
  for (const k of channels) {
    const input = x.get(row * inWidth + k);
    const weights = w.run(weightRow(call, k) * outWidth, outWidth);
    for (let n = 0; n < outWidth; n++) sums[n] = (sums[n] as number) + input * (weights[n] as number);
  }
  for (let n = 0; n < outWidth; n++) out.set(row * outWidth + n, finished(call, row, n, sums[n] as number));
}

/**
 * The dot product of quantised activations and a row of a block format: integers within a block, scales outside. A
 * block's minimum is multiplied by the sum of its activations.
 */
function quantizedDot(call: OpCall, row: number, weightRow: number): number {
  const [x, xScales, xSums] = [operand(call, 'x'), operand(call, 'xScales'), operand(call, 'xSums')];
  const w = operand(call, 'w');
  if (!isBlockDType(w.dtype)) throw new Error(`internal: quantised activations with ${w.dtype} weights`);
  const weights = w.row(weightRow);
  const inputs = x.run(row * x.columns, x.columns);
  let sum = 0;
  for (let block = 0; block < xScales.columns; block++) {
    const first = block * blockSize;
    let dot = 0;
    for (let i = first; i < Math.min(first + blockSize, w.columns); i++)
      dot += (inputs[i] as number) * blockInteger(w.dtype, weights, i);
    const at = row * xScales.columns + block;
    sum += dot * blockScale(w.dtype, weights, w.columns, block) * xScales.get(at);
    sum += xSums.get(at) * blockMinimum(w.dtype, weights, w.columns, block) * xScales.get(at);
  }
  return sum;
}

function activeOf(call: OpCall, row: number, width: number): number[] {
  const [active, activeCount] = [operand(call, 'active'), operand(call, 'activeCount')];
  return Array.from({ length: activeCount.get(row) }, (_, i) => active.get(row * width + i));
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

const linear: Kernel = (call) => {
  const [inputs, outputs] = [upTo(field(call, 'inWidth')), upTo(field(call, 'outWidth'))];
  for (let r = 0; r < call.count; r++)
    if (field(call, 'transposed') === 1) addRows(call, r, inputs);
    else dotRows(call, r, outputs);
};

const gemvRows: Kernel = (call) => {
  for (let r = 0; r < call.count; r++) dotRows(call, r, activeOf(call, r, field(call, 'outWidth')));
};

/** What backends rely on when they read all of x instead of a long list. */
function expectZerosElsewhere(call: OpCall, row: number, width: number, listed: readonly number[]): void {
  const [x, channels] = [operand(call, 'x'), new Set(listed)];
  for (let k = 0; k < width; k++)
    if (!channels.has(k) && x.get(row * width + k) !== 0)
      throw new Error(`internal: axpyRows: x[${row}][${k}] is ${x.get(row * width + k)} and not in its list`);
}

const axpyRows: Kernel = (call) => {
  const inWidth = field(call, 'inWidth');
  for (let r = 0; r < call.count; r++) {
    const channels = activeOf(call, r, inWidth);
    expectZerosElsewhere(call, r, inWidth, channels);
    addRows(call, r, channels);
  }
};

const fetchRows: Kernel = (call) => {
  const [table, missing] = [operand(call, 'table'), operand(call, 'missing')];
  const cache = slotCacheOf(call);
  const lists = Array.from({ length: call.count }, (_, r) => activeOf(call, r, field(call, 'neurons')));
  const count = cache.admit(lists, field(call, 'layer'));
  try {
    for (let i = 0; i < count; i++)
      for (const part of ['a', 'b', 'c']) {
        const source = call.operands[part];
        const n = missing.get(i);
        source?.fetch(n, operand(call, `${part}Rows`), table.get(n));
      }
  } catch (error) {
    cache.forget();
    throw error;
  }
};

/** A word to whoever reads files; it changes nothing. */
const announceRows: Kernel = () => {};

function slotCacheOf(call: OpCall): SlotCacheState {
  const words = (name: string) => operand(call, name).storage as Int32Array;
  return new SlotCacheState(words('table'), words('slots'), words('counters'), words('missing'));
}

const rope: Kernel = (call) => {
  const [x, positions, table] = [operand(call, 'x'), operand(call, 'positions'), operand(call, 'table')];
  const [width, headDim, rotaryDim] = [field(call, 'width'), field(call, 'headDim'), field(call, 'rotaryDim')];
  const half = rotaryDim / 2;
  for (let r = 0; r < call.count; r++)
    for (let head = 0; head < field(call, 'heads'); head++)
      for (let i = 0; i < half; i++) {
        const cos = table.get(positions.get(r) * rotaryDim + i);
        const sin = table.get(positions.get(r) * rotaryDim + half + i);
        const at = r * width + head * headDim + i;
        const [a, b] = [x.get(at), x.get(at + half)];
        x.set(at, a * cos - b * sin);
        x.set(at + half, b * cos + a * sin);
      }
};

const storeKv: Kernel = (call) => {
  const [x, positions, slots] = [operand(call, 'x'), operand(call, 'positions'), operand(call, 'slots')];
  const headDim = field(call, 'headDim');
  for (let r = 0; r < call.count; r++)
    for (let head = 0; head < field(call, 'kvHeads'); head++)
      for (let i = 0; i < headDim; i++) {
        const at = cacheRow(call, slots.get(r), head, positions.get(r)) + i;
        const column = r * field(call, 'width') + head * headDim + i;
        operand(call, 'k').set(at, x.get(column + field(call, 'firstKey')));
        operand(call, 'v').set(at, x.get(column + field(call, 'firstValue')));
      }
};

const attention: Kernel = (call) => {
  const [x, positions, slots] = [operand(call, 'x'), operand(call, 'positions'), operand(call, 'slots')];
  const [k, v, out, { keyBias }] = [operand(call, 'k'), operand(call, 'v'), operand(call, 'out'), call.operands];
  const [heads, headDim, window] = [field(call, 'heads'), field(call, 'headDim'), field(call, 'window')];
  const group = heads / field(call, 'kvHeads');
  for (let r = 0; r < call.count; r++) {
    const last = positions.get(r);
    const first = window > 0 ? Math.max(0, last - window + 1) : 0;
    for (let head = 0; head < heads; head++) {
      const query = r * field(call, 'width') + head * headDim;
      const kvHead = Math.floor(head / group);
      const queries = x.run(query, headDim);
      const values: ArrayLike<number>[] = [];
      const scores: number[] = [];
      for (let p = first; p <= last; p++) {
        const at = cacheRow(call, slots.get(r), kvHead, p);
        const keys = k.run(at, headDim);
        values.push(v.run(at, headDim));
        let dot = 0;
        for (let i = 0; i < headDim; i++) dot += (queries[i] as number) * (keys[i] as number);
        const bias = keyBias ? keyBias.get(head * field(call, 'capacity') + p) : 0;
        scores.push(field(call, 'scale') * (dot + bias));
      }
      const top = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - top));
      const total = weights.reduce((a, b) => a + b, 0);
      for (let i = 0; i < headDim; i++) {
        let sum = 0;
        weights.forEach((weight, j) => {
          sum += weight * ((values[j] as ArrayLike<number>)[i] as number);
        });
        out.set((r * heads + head) * headDim + i, sum / total);
      }
    }
  }
};

const logProb: Kernel = (call) => {
  const [logits, target] = [operand(call, 'logits'), operand(call, 'target')];
  const width = field(call, 'width');
  for (let r = 0; r < call.count; r++) {
    let best = 0;
    for (let c = 1; c < width; c++) if (logits.get(r * width + c) > logits.get(r * width + best)) best = c;
    const top = logits.get(r * width + best);
    let sum = 0;
    for (let c = 0; c < width; c++) sum += Math.exp(logits.get(r * width + c) - top);
    operand(call, 'logprob').set(r, logits.get(r * width + target.get(r)) - top - Math.log(sum));
    operand(call, 'best').set(r, best);
  }
};

const concat: Kernel = (call) => {
  const parts = [
    ['a', 'aWidth'],
    ['b', 'bWidth'],
    ['c', 'cWidth'],
  ] as const;
  let at = 0;
  for (let r = 0; r < call.count; r++)
    for (const [part, width] of parts)
      for (let i = 0; i < field(call, width); i++)
        operand(call, 'out').set(at++, operand(call, part).get(r * field(call, width) + i));
};

const roundRow: Kernel = (call) => {
  const [x, out, width] = [operand(call, 'x'), operand(call, 'out'), field(call, 'width')];
  for (let r = 0; r < call.count; r++) {
    let largest = Math.fround(1e-5);
    for (let c = r * width; c < (r + 1) * width; c++) largest = Math.max(largest, Math.abs(x.get(c)));
    // rounded to f32 at each step, as every backend does: the same numbers become zero everywhere
    const scale = Math.fround(127 / largest);
    for (let c = r * width; c < (r + 1) * width; c++) out.set(c, roundEven(Math.fround(x.get(c) * scale)) / scale);
  }
};

export const referenceKernels: Readonly<Record<OpKind, Kernel>> = {
  gather,
  rmsNorm: (call) => normalise(call, false),
  layerNorm: (call) => normalise(call, true),
  activate,
  multiply,
  selectActive,
  linear,
  gemvRows,
  axpyRows,
  rope,
  storeKv,
  attention,
  logProb,
  quantize,
  headNorm,
  keepTop,
  concat,
  agreeingSigns,
  twoBitScores,
  markActive,
  fetchRows,
  announceRows,
  roundRow,
  tokenShift,
  mix,
  wkv,
  ...trainingKernels,
};
