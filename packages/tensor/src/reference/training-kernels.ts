// The definition of the ops of training, as naive as kernels.ts: plain loops, sums in f64 in the order that the formula
// states, rounded once to f32. Does not own which backward op belongs to which forward op (gradient.ts).
import { type ActivationKind, activationCodes, isMaskCode } from '../activations.js';
import { partSize, scheduleFields, type trainingOpTable } from '../training-ops.js';
import { cacheRow, field, type Kernel, type OpCall, type Operand, operand } from './call.js';
import { erf } from './erf.js';
import { passes, thresholdOf } from './masks.js';
import { recurrentTrainingKernels } from './recurrent-training.js';

/** Where a weight of a product lies: from input k to output n. */
function weightAt(call: OpCall, n: number, k: number): number {
  return field(call, 'transposed') === 1 ? k * field(call, 'outWidth') + n : n * field(call, 'inWidth') + k;
}

const linearBackward: Kernel = (call) => {
  const [dy, w, out, { residual }] = [operand(call, 'dy'), operand(call, 'w'), operand(call, 'out'), call.operands];
  const [inWidth, outWidth] = [field(call, 'inWidth'), field(call, 'outWidth')];
  const weights = w.run(0, inWidth * outWidth);
  for (let r = 0; r < call.count; r++) {
    const gradients = dy.run(r * outWidth, outWidth);
    for (let k = 0; k < inWidth; k++) {
      const [first, step] = [weightAt(call, 0, k), weightAt(call, 1, k) - weightAt(call, 0, k)];
      let sum = 0;
      for (let n = 0; n < outWidth; n++) sum += (gradients[n] as number) * (weights[first + n * step] as number);
      out.set(r * inWidth + k, (residual ? residual.get(r * inWidth + k) : 0) + sum);
    }
  }
};

const linearGradient: Kernel = (call) => {
  const [x, dy, w, { bias }] = [operand(call, 'x'), operand(call, 'dy'), operand(call, 'w'), call.operands];
  const [inWidth, outWidth] = [field(call, 'inWidth'), field(call, 'outWidth')];
  const [inputs, gradients] = [x.run(0, call.count * inWidth), dy.run(0, call.count * outWidth)];
  for (let n = 0; n < outWidth; n++) {
    for (let k = 0; k < inWidth; k++) {
      let sum = 0;
      for (let r = 0; r < call.count; r++)
        sum += (gradients[r * outWidth + n] as number) * (inputs[r * inWidth + k] as number);
      const at = weightAt(call, n, k);
      w.set(at, w.get(at) + sum);
    }
    if (bias) bias.set(n, bias.get(n) + columnSum(call, dy, outWidth, n));
  }
};

function columnSum(call: OpCall, dy: Operand, width: number, column: number): number {
  let sum = 0;
  for (let r = 0; r < call.count; r++) sum += dy.get(r * width + column);
  return sum;
}

const normBackward: Kernel = (call) => {
  const [x, dy, out, stats] = [operand(call, 'x'), operand(call, 'dy'), operand(call, 'out'), operand(call, 'stats')];
  const { weight, residual } = call.operands;
  const [width, heads, size] = [field(call, 'width'), field(call, 'heads'), field(call, 'headDim')];
  for (let r = 0; r < call.count; r++) {
    const kept = (c: number) => (residual ? residual.get(r * width + c) : 0);
    for (let head = 0; head < heads; head++) {
      const at = r * width + head * size;
      let mean = 0;
      if (field(call, 'centred') === 1) for (let c = 0; c < size; c++) mean += x.get(at + c) / size;
      let square = 0;
      for (let c = 0; c < size; c++) square += (x.get(at + c) - mean) ** 2 / size;
      const scale = 1 / Math.sqrt(square + field(call, 'eps'));
      const normed = (c: number) => (x.get(at + c) - mean) * scale;
      const gradient = (c: number) => dy.get(at + c) * (weight ? weight.get(head * size + c) : 1);
      let [plain, along] = [0, 0];
      for (let c = 0; c < size; c++) {
        if (field(call, 'centred') === 1) plain += gradient(c) / size;
        along += (gradient(c) * normed(c)) / size;
      }
      for (let c = 0; c < size; c++)
        out.set(at + c, kept(head * size + c) + (gradient(c) - plain - normed(c) * along) * scale);
      stats.set(2 * (r * heads + head), mean);
      stats.set(2 * (r * heads + head) + 1, scale);
    }
    for (let c = heads * size; c < width; c++) out.set(r * width + c, kept(c) + dy.get(r * width + c));
  }
};

const normGradient: Kernel = (call) => {
  const [x, dy, stats, { weight, bias }] = [
    operand(call, 'x'),
    operand(call, 'dy'),
    operand(call, 'stats'),
    call.operands,
  ];
  const [width, heads, size] = [field(call, 'width'), field(call, 'heads'), field(call, 'headDim')];
  for (let c = 0; c < heads * size; c++) {
    let sum = 0;
    for (let r = 0; r < call.count; r++) {
      const of = 2 * (r * heads + Math.floor(c / size));
      sum += dy.get(r * width + c) * (x.get(r * width + c) - stats.get(of)) * stats.get(of + 1);
    }
    if (weight) weight.set(c, weight.get(c) + sum);
    if (bias) bias.set(c, bias.get(c) + columnSum(call, dy, width, c));
  }
};

type Derivative = (x: number, threshold: number, slack: number) => number;

export const activationDerivatives: Readonly<Record<ActivationKind, Derivative>> = {
  relu: (x, shift, slack) => (x > shift - slack ? 1 : 0),
  relu2: (x) => (x > 0 ? 2 * x : 0),
  fatrelu: (x, bar) => (x > bar ? 1 : 0),
  silu: (x) => {
    const sigmoid = 1 / (1 + Math.exp(-x));
    return sigmoid * (1 + x * (1 - sigmoid));
  },
  gelu: (x) => 0.5 * (1 + erf(x / Math.SQRT2)) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI),
  geluTanh: (x) => {
    const tanh = Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3));
    return 0.5 * (1 + tanh) + 0.5 * x * (1 - tanh * tanh) * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
  },
  softcap: (x, cap) => 1 - Math.tanh(x / cap) ** 2,
  scale: (_, factor) => factor,
  sigmoid: (x) => {
    const sigmoid = 1 / (1 + Math.exp(-x));
    return sigmoid * (1 - sigmoid);
  },
};

const derivativeByCode = new Map(
  Object.entries(activationDerivatives).map(([kind, f]) => [activationCodes[kind as ActivationKind] as number, f]),
);

const activateBackward: Kernel = (call) => {
  const [x, dy, out, { residual }] = [operand(call, 'x'), operand(call, 'dy'), operand(call, 'out'), call.operands];
  const [kind, width] = [field(call, 'kind'), field(call, 'width')];
  const derivative = derivativeByCode.get(kind);
  if (derivative === undefined && !isMaskCode(kind)) throw new Error(`internal: no activation has code ${kind}`);
  for (let i = 0; i < call.count * width; i++) {
    const passed = () => passes(kind, x.get(i), thresholdOf(call, Math.floor(i / width), i % width));
    const gradient = derivative
      ? dy.get(i) * derivative(x.get(i), field(call, 'threshold'), field(call, 'slack'))
      : passed()
        ? dy.get(i)
        : 0;
    out.set(i, residual ? residual.get(i) + gradient : gradient);
  }
};

const attentionBackwardQuery: Kernel = (call) => {
  const [x, positions, slots] = [operand(call, 'x'), operand(call, 'positions'), operand(call, 'slots')];
  const [k, v, dy, { keyBias }] = [operand(call, 'k'), operand(call, 'v'), operand(call, 'dy'), call.operands];
  const [out, stats] = [operand(call, 'out'), operand(call, 'stats')];
  const [heads, headDim, window] = [field(call, 'heads'), field(call, 'headDim'), field(call, 'window')];
  const group = heads / field(call, 'kvHeads');
  for (let r = 0; r < call.count; r++) {
    const last = positions.get(r);
    const first = window > 0 ? Math.max(0, last - window + 1) : 0;
    for (let head = 0; head < heads; head++) {
      const query = r * field(call, 'width') + head * headDim;
      const given = (r * heads + head) * headDim;
      const row = (p: number) => cacheRow(call, slots.get(r), Math.floor(head / group), p);
      const [queries, gradients] = [x.run(query, headDim), dy.run(given, headDim)];
      const keys: ArrayLike<number>[] = [];
      const scores: number[] = [];
      const slopes: number[] = [];
      for (let p = first; p <= last; p++) {
        const [key, value] = [k.run(row(p), headDim), v.run(row(p), headDim)];
        keys.push(key);
        let [dot, slope] = [0, 0];
        for (let i = 0; i < headDim; i++) {
          dot += (queries[i] as number) * (key[i] as number);
          slope += (gradients[i] as number) * (value[i] as number);
        }
        const bias = keyBias ? keyBias.get(head * field(call, 'capacity') + p) : 0;
        scores.push(field(call, 'scale') * (dot + bias));
        slopes.push(slope);
      }
      const top = Math.max(...scores);
      const logSum = top + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - top), 0));
      const shares = scores.map((score) => Math.exp(score - logSum));
      const along = shares.reduce((sum, share, j) => sum + share * (slopes[j] as number), 0);
      for (let i = 0; i < headDim; i++) {
        let sum = 0;
        shares.forEach((share, j) => {
          sum += share * ((slopes[j] as number) - along) * ((keys[j] as ArrayLike<number>)[i] as number);
        });
        out.set(query + i, field(call, 'scale') * sum);
      }
      stats.set(2 * (r * heads + head), logSum);
      stats.set(2 * (r * heads + head) + 1, along);
    }
  }
};

const attentionBackwardKeyValue: Kernel = (call) => {
  const [x, positions, slots] = [operand(call, 'x'), operand(call, 'positions'), operand(call, 'slots')];
  const [dy, stats, out, { keyBias }] = [
    operand(call, 'dy'),
    operand(call, 'stats'),
    operand(call, 'out'),
    call.operands,
  ];
  const [heads, kvHeads, headDim] = [field(call, 'heads'), field(call, 'kvHeads'), field(call, 'headDim')];
  const [width, window, group] = [field(call, 'width'), field(call, 'window'), heads / kvHeads];
  for (let r = 0; r < call.count; r++)
    for (let kvHead = 0; kvHead < kvHeads; kvHead++) {
      const key = r * width + field(call, 'firstKey') + kvHead * headDim;
      const value = r * width + field(call, 'firstValue') + kvHead * headDim;
      const [keys, values] = [x.run(key, headDim), x.run(value, headDim)];
      const dk = new Float64Array(headDim);
      const dv = new Float64Array(headDim);
      for (let q = 0; q < call.count; q++) {
        const ahead = positions.get(q) - positions.get(r);
        if (slots.get(q) !== slots.get(r) || ahead < 0 || (window > 0 && ahead >= window)) continue;
        for (let head = kvHead * group; head < (kvHead + 1) * group; head++) {
          const [query, given] = [q * width + head * headDim, (q * heads + head) * headDim];
          let [dot, slope] = [0, 0];
          const [queries, gradients] = [x.run(query, headDim), dy.run(given, headDim)];
          for (let i = 0; i < headDim; i++) {
            dot += (queries[i] as number) * (keys[i] as number);
            slope += (gradients[i] as number) * (values[i] as number);
          }
          const bias = keyBias ? keyBias.get(head * field(call, 'capacity') + positions.get(r)) : 0;
          const of = 2 * (q * heads + head);
          const share = Math.exp(field(call, 'scale') * (dot + bias) - stats.get(of));
          const factor = field(call, 'scale') * share * (slope - stats.get(of + 1));
          for (let i = 0; i < headDim; i++) {
            dk[i] = (dk[i] as number) + factor * (queries[i] as number);
            dv[i] = (dv[i] as number) + share * (gradients[i] as number);
          }
        }
      }
      for (let i = 0; i < headDim; i++) {
        out.set(key + i, dk[i] as number);
        out.set(value + i, dv[i] as number);
      }
    }
};

const scatterAdd: Kernel = (call) => {
  const [index, x, table] = [operand(call, 'index'), operand(call, 'x'), operand(call, 'table')];
  const width = field(call, 'width');
  for (let c = 0; c < width; c++)
    for (let r = 0; r < call.count; r++) {
      const at = index.get(r) * width + c;
      table.set(at, table.get(at) + x.get(r * width + c));
    }
};

const place: Kernel = (call) => {
  const [from, x, out] = [operand(call, 'from'), operand(call, 'x'), operand(call, 'out')];
  const width = field(call, 'width');
  for (let r = 0; r < call.count; r++)
    for (let c = 0; c < width; c++) out.set(r * width + c, from.get(r) < 0 ? 0 : x.get(from.get(r) * width + c));
};

const crossEntropy: Kernel = (call) => {
  const [logits, target, weight] = [operand(call, 'logits'), operand(call, 'target'), operand(call, 'weight')];
  const { teacherIds, teacherLogprobs, teacherWeight } = call.operands;
  const [width, listed] = [field(call, 'width'), field(call, 'teacherCount')];
  for (let r = 0; r < call.count; r++) {
    const at = r * width;
    let top = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < width; c++) top = Math.max(top, logits.get(at + c));
    let sum = 0;
    for (let c = 0; c < width; c++) sum += Math.exp(logits.get(at + c) - top);
    const logSum = top + Math.log(sum);
    operand(call, 'loss').set(r, logSum - logits.get(at + target.get(r)));
    const taught = new Map<number, number>();
    let [restShare, pull] = [0, 0];
    if (teacherIds && teacherLogprobs && teacherWeight) {
      let [divergence, teacherRest, ownRest] = [0, 1, 0];
      for (let i = 0; i < listed; i++) {
        const id = teacherIds.get(r * listed + i);
        const logP = teacherLogprobs.get(r * listed + i);
        taught.set(id, Math.exp(logP));
        divergence += Math.exp(logP) * (logP - (logits.get(at + id) - logSum));
        teacherRest -= Math.exp(logP);
      }
      // summed: of 1 - what is listed, rounding would leave nothing where the rest is small
      for (let c = 0; c < width; c++) if (!taught.has(c)) ownRest += Math.exp(logits.get(at + c) - logSum);
      // rounding must not make a share negative, nor divide by it
      [teacherRest, ownRest] = [Math.max(0, teacherRest), Math.max(1e-30, ownRest)];
      if (listed === width) teacherRest = 0;
      if (teacherRest > 0) divergence += teacherRest * Math.log(teacherRest / ownRest);
      restShare = teacherRest / ownRest;
      pull = teacherWeight.get(r);
      operand(call, 'divergence').set(r, divergence);
    }
    for (let c = 0; c < width; c++) {
      const q = Math.exp(logits.get(at + c) - logSum);
      const p = taught.get(c) ?? restShare * q;
      const own = weight.get(r) * (q - (c === target.get(r) ? 1 : 0));
      logits.set(at + c, own + (pull === 0 ? 0 : pull * (q - p)));
    }
  }
};

const penalty: Kernel = (call) => {
  const [x, coefficients, { residual, out }] = [operand(call, 'x'), operand(call, 'coefficients'), call.operands];
  const width = field(call, 'width');
  const coefficient = coefficients.get(field(call, 'index'));
  for (let r = 0; r < call.count; r++) {
    let [norm, active] = [0, 0];
    for (let c = 0; c < width; c++) {
      const value = x.get(r * width + c);
      norm += Math.abs(value);
      if (value !== 0) active++;
      const at = r * width + c;
      if (out) out.set(at, (residual ? residual.get(at) : 0) + coefficient * Math.sign(value));
    }
    operand(call, 'norm').set(r, norm);
    operand(call, 'activeCount').set(r, active);
  }
};

const sumSquares: Kernel = (call) => {
  const [x, parts] = [operand(call, 'x'), operand(call, 'parts')];
  const size = field(call, 'size');
  for (let from = 0; from < size; from += partSize) {
    let sum = 0;
    for (let i = from; i < Math.min(size, from + partSize); i++) sum += x.get(i) ** 2;
    parts.set(field(call, 'first') + from / partSize, sum);
  }
};

const scheduled = (call: OpCall, name: keyof typeof scheduleFields): number =>
  operand(call, 'schedule').get(scheduleFields[name]);

const clip: Kernel = (call) => {
  let sum = 0;
  for (let i = 0; i < field(call, 'size'); i++) sum += operand(call, 'parts').get(i);
  const norm = Math.sqrt(sum);
  const maxNorm = scheduled(call, 'maxNorm');
  operand(call, 'out').set(0, norm);
  operand(call, 'out').set(1, maxNorm > 0 ? Math.min(1, maxNorm / (norm + 1e-6)) : 1);
};

const adamW: Kernel = (call) => {
  const [parameter, gradient, m, v] = ['parameter', 'gradient', 'm', 'v'].map((name) => operand(call, name)) as [
    Operand,
    Operand,
    Operand,
    Operand,
  ];
  const { average } = call.operands;
  const [beta1, beta2] = [field(call, 'beta1'), field(call, 'beta2')];
  const rate = scheduled(call, 'learningRate') * field(call, 'rate');
  const keep = scheduled(call, 'averageDecay');
  const [correction1, correction2] = [scheduled(call, 'correction1'), scheduled(call, 'correction2')];
  const [eps, decay, clipped] = [field(call, 'eps'), field(call, 'decay'), operand(call, 'clip').get(1)];
  for (let i = 0; i < field(call, 'size'); i++) {
    const g = gradient.get(i) * clipped;
    const mean = beta1 * m.get(i) + (1 - beta1) * g;
    const square = beta2 * v.get(i) + (1 - beta2) * g * g;
    const deviation = Math.sqrt(square / correction2) + eps;
    const step = (rate * (mean / correction1)) / deviation;
    const next = parameter.get(i) * (1 - rate * decay) - step;
    parameter.set(i, next);
    m.set(i, mean);
    v.set(i, square);
    if (average) average.set(i, keep * average.get(i) + (1 - keep) * next);
    gradient.set(i, 0);
  }
};

export const trainingKernels: Readonly<Record<keyof typeof trainingOpTable, Kernel>> = {
  linearBackward,
  linearGradient,
  normBackward,
  normGradient,
  activateBackward,
  attentionBackwardQuery,
  attentionBackwardKeyValue,
  scatterAdd,
  place,
  crossEntropy,
  penalty,
  sumSquares,
  clip,
  adamW,
  ...recurrentTrainingKernels,
};
