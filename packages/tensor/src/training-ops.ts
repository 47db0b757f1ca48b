// The ops that training adds to the op table: backward ops, the loss, the optimiser. Codes from 20 on. Where a backward
// op is a forward op with other operands (rope by the negative angle, products of two activations) there is none here.
// Like all ops they are mathematics: one owner an output, one order of summation, so equal bits at any thread count.
// In the formulas dy is the gradient of what the forward op gave, and `+=` adds to what the operand held.
import { activationCodes, inferActivation } from './activations.js';
import { f32, i32, maybe, maybeUpdate, maybeWrite, type OpDefinition, read, update, write } from './op-rules.js';
import { recurrentTrainingOpTable } from './recurrent-training-ops.js';
import type { Shapes } from './shapes.js';

/** Numbers that one owner sums in `sumSquares`. */
export const partSize = 16384;

/** What the host says of an optimiser step, by place in the `schedule` buffer. */
export const scheduleFields = {
  learningRate: 0,
  /** 1 - beta1^t and 1 - beta2^t. */
  correction1: 1,
  correction2: 2,
  /** Gradients are scaled down to this norm; 0: never. */
  maxNorm: 3,
  /** The share of itself that the average of the parameters keeps. */
  averageDecay: 4,
} as const;

const scheduleSize = Object.keys(scheduleFields).length;

/** The shape of an op that has no rows: its count is never looped over. */
const everywhere = { count: 0 } as const;

/** Weights of a norm: one row for the whole width, or one a head. */
function normWeights(s: Shapes, operands: readonly string[], heads: number, headDim: number): void {
  for (const operand of operands)
    if (s.has(operand))
      s.require(
        s.size(operand) === heads * headDim && s.dim(operand, -1) === (s.rank(operand) === 1 ? heads : 1) * headDim,
        operand,
        `[${heads * headDim}] or [${heads}, ${headDim}]`,
      );
}

export const trainingOpTable = {
  linearBackward: {
    code: 20,
    formula: 'out[r] = residual[r] + dy[r] w, w as `linear` takes it ([out, in], or [in, out] when transposed)',
    operands: { dy: read(f32), w: read(f32), residual: maybe(f32), out: write(f32) },
    attributes: {},
    derived: ['count', 'inWidth', 'outWidth', 'transposed'],
    infer: (s) => {
      const [count, outWidth] = s.matrix('dy');
      const inWidth = s.matrix('out')[1];
      s.expect('out', [count, inWidth]);
      s.expect('residual', [count, inWidth]);
      s.expect('w', s.transposed('w') ? [inWidth, outWidth] : [outWidth, inWidth]);
      return {
        count: s.count(count),
        inWidth: s.fixed('out', inWidth),
        outWidth: s.fixed('dy', outWidth),
        transposed: s.transposed('w') ? 1 : 0,
      };
    },
  },
  linearGradient: {
    code: 21,
    formula: 'w[n][k] += sum over r of dy[r][n] x[r][k] (w[k][n] when transposed); bias[n] += sum over r of dy[r][n]',
    operands: { x: read(f32), dy: read(f32), w: update(f32), bias: maybeUpdate(f32) },
    attributes: {},
    derived: ['count', 'inWidth', 'outWidth', 'transposed'],
    infer: (s) => {
      const [count, inWidth] = s.matrix('x');
      const outWidth = s.matrix('dy')[1];
      s.expect('dy', [count, outWidth]);
      s.expect('w', s.transposed('w') ? [inWidth, outWidth] : [outWidth, inWidth]);
      s.expect('bias', [outWidth]);
      return {
        count: s.count(count),
        inWidth: s.fixed('x', inWidth),
        outWidth: s.fixed('dy', outWidth),
        transposed: s.transposed('w') ? 1 : 0,
      };
    },
  },
  normBackward: {
    code: 22,
    formula:
      'for each of the first `heads` heads of x[r], n = (x - mean) / sqrt(variance + eps) (mean = 0 unless centred), g = dy * weight: out = residual + (g - mean(g) if centred - n mean(g n)) / sqrt(variance + eps); other columns: residual + dy. stats[r] = mean and 1 / sqrt(variance + eps) of each head',
    operands: {
      x: read(f32),
      weight: maybe(f32),
      dy: read(f32),
      residual: maybe(f32),
      out: write(f32),
      stats: write(f32),
    },
    attributes: { heads: 'int', headDim: 'int', centred: 'int', eps: 'float' },
    derived: ['count', 'width'],
    infer: (s) => {
      const [count, width] = s.matrix('x');
      const { heads, headDim } = s.attributes as { heads: number; headDim: number };
      s.require(heads * headDim <= s.fixed('x', width), 'x', `at least ${heads * headDim} columns`);
      for (const operand of ['dy', 'residual', 'out']) s.expect(operand, [count, width]);
      s.expect('stats', [count, 2 * heads]);
      normWeights(s, ['weight'], heads, headDim);
      return { count: s.count(count), width: s.fixed('x', width) };
    },
  },
  normGradient: {
    code: 23,
    formula:
      'weight[c] += sum over r of dy[r][c] (x[r][c] - mean) / deviation, by the stats of normBackward; bias[c] += sum over r of dy[r][c]',
    operands: { x: read(f32), dy: read(f32), stats: read(f32), weight: maybeUpdate(f32), bias: maybeUpdate(f32) },
    attributes: { heads: 'int', headDim: 'int' },
    derived: ['count', 'width'],
    infer: (s) => {
      const [count, width] = s.matrix('x');
      const { heads, headDim } = s.attributes as { heads: number; headDim: number };
      s.require(heads * headDim <= s.fixed('x', width), 'x', `at least ${heads * headDim} columns`);
      s.expect('dy', [count, width]);
      s.expect('stats', [count, 2 * heads]);
      normWeights(s, ['weight', 'bias'], heads, headDim);
      return { count: s.count(count), width: s.fixed('x', width) };
    },
  },
  activateBackward: {
    code: 24,
    formula:
      "out[r] = residual[r] + dy[r] f'(x[r]); relu counts as rising from threshold - slack on (HeLU, arXiv 2411.10573); a mask of |x| has dy where x passed",
    operands: {
      x: read(f32),
      dy: read(f32),
      residual: maybe(f32),
      thresholds: maybe(f32),
      strength: maybe(f32),
      out: write(f32),
    },
    attributes: { kind: 'int', threshold: 'float', slack: 'float' },
    derived: ['count', 'width', 'perColumn'],
    infer: (s) => {
      s.expect('dy', s.matrix('x'));
      s.expect('residual', s.matrix('x'));
      s.require(s.attributes.kind !== activationCodes.step, 'kind', 'an activation with a gradient, not step');
      return inferActivation(s);
    },
  },
  attentionBackwardQuery: {
    code: 25,
    formula:
      'the columns of out[r] that are queries = their gradients, through softmax(scale * (q . k + keyBias)) v as attention takes it; stats[r][h] = log of the sum of exp(scores), then dy . attention output, a pair a head',
    operands: {
      x: read(f32),
      positions: read(i32),
      slots: read(i32),
      k: read(f32),
      v: read(f32),
      keyBias: maybe(f32),
      dy: read(f32),
      out: write(f32),
      stats: write(f32),
    },
    attributes: { layer: 'int', heads: 'int', window: 'int', scale: 'float' },
    derived: ['count', 'width', 'layers', 'kvHeads', 'capacity', 'headDim'],
    infer: (s) => {
      const [count, width] = s.matrix('x');
      s.expect('positions', [count]);
      s.expect('slots', [count]);
      const cache = s.cache('k', 'v');
      const { heads } = s.attributes as { heads: number };
      s.require(heads % cache.kvHeads === 0, 'k', `a number of kv heads that divides ${heads}`);
      s.require(heads * cache.headDim <= s.fixed('x', width), 'x', `at least ${heads * cache.headDim} columns`);
      s.expect('dy', [count, heads * cache.headDim]);
      s.expect('out', [count, width]);
      s.expect('stats', [count, 2 * heads]);
      s.expect('keyBias', [heads, cache.capacity]);
      return { ...cache, count: s.count(count), width: s.fixed('x', width) };
    },
  },
  attentionBackwardKeyValue: {
    code: 26,
    formula:
      'the columns of out[r] that are keys and values = their gradients: sums over the rows q of the same slot, in order, that attended to positions[r], by the stats of attentionBackwardQuery. Every position of a slot must be a row of this step',
    operands: {
      x: read(f32),
      positions: read(i32),
      slots: read(i32),
      keyBias: maybe(f32),
      dy: read(f32),
      stats: read(f32),
      out: update(f32),
    },
    attributes: {
      heads: 'int',
      kvHeads: 'int',
      headDim: 'int',
      window: 'int',
      scale: 'float',
      firstKey: 'int',
      firstValue: 'int',
    },
    derived: ['count', 'width', 'capacity'],
    infer: (s) => {
      const [count, width] = s.matrix('x');
      const { heads, kvHeads, headDim, firstKey, firstValue } = s.attributes as Record<string, number> as {
        heads: number;
        kvHeads: number;
        headDim: number;
        firstKey: number;
        firstValue: number;
      };
      const last = Math.max(heads * headDim, firstKey + kvHeads * headDim, firstValue + kvHeads * headDim);
      s.require(last <= s.fixed('x', width), 'x', `at least ${last} columns`);
      s.expect('positions', [count]);
      s.expect('slots', [count]);
      s.expect('dy', [count, heads * headDim]);
      s.expect('stats', [count, 2 * heads]);
      s.expect('out', [count, width]);
      const capacity = s.has('keyBias') ? s.fixed('keyBias', s.matrix('keyBias')[1]) : 0;
      s.expect('keyBias', [heads, capacity]);
      return { count: s.count(count), width: s.fixed('x', width), capacity };
    },
  },
  scatterAdd: {
    code: 27,
    formula: 'table[index[r]] += x[r], rows in order',
    operands: { index: read(i32), x: read(f32), table: update(f32) },
    attributes: {},
    derived: ['count', 'width'],
    infer: (s) => {
      const [count, width] = s.matrix('x');
      s.expect('index', [count]);
      s.expect('table', [s.dim('table', 0), width]);
      return { count: s.count(count), width: s.fixed('x', width) };
    },
  },
  place: {
    code: 28,
    formula: 'out[r] = from[r] < 0 ? 0 : x[from[r]]: undoes a gather of some rows, given the place of each',
    operands: { from: read(i32), x: read(f32), out: write(f32) },
    attributes: {},
    derived: ['count', 'width'],
    infer: (s) => {
      const [count, width] = s.matrix('out');
      s.expect('from', [count]);
      s.expect('x', [s.dim('x', 0), width]);
      return { count: s.count(count), width: s.fixed('out', width) };
    },
  },
  crossEntropy: {
    code: 29,
    formula:
      "q = softmax(logits[r]); loss[r] = -log q[target[r]]; divergence[r] = sum over the teacher's tokens of p log(p / q), the rest of the vocabulary counted as one token; logits[r] becomes weight[r] (q - onehot(target[r])) + teacherWeight[r] (q - p), where p beyond the listed tokens is the rest spread as q is",
    operands: {
      logits: update(f32),
      target: read(i32),
      weight: read(f32),
      loss: write(f32),
      teacherIds: maybe(i32),
      teacherLogprobs: maybe(f32),
      teacherWeight: maybe(f32),
      divergence: maybeWrite(f32),
    },
    attributes: {},
    derived: ['count', 'width', 'teacherCount'],
    infer: (s) => {
      const [count, width] = s.matrix('logits');
      for (const operand of ['target', 'weight', 'loss', 'teacherWeight', 'divergence']) s.expect(operand, [count]);
      const taught = s.has('teacherIds');
      for (const operand of ['teacherLogprobs', 'teacherWeight', 'divergence'])
        s.require(
          s.has(operand) === taught,
          operand,
          taught ? 'an operand with teacherIds' : 'none without teacherIds',
        );
      const teacherCount = taught ? s.fixed('teacherIds', s.matrix('teacherIds')[1]) : 0;
      s.require(teacherCount <= s.fixed('logits', width), 'teacherIds', `at most ${width} columns`);
      s.expect('teacherIds', [count, teacherCount]);
      s.expect('teacherLogprobs', [count, teacherCount]);
      return { count: s.count(count), width: s.fixed('logits', width), teacherCount };
    },
  },
  penalty: {
    code: 30,
    formula:
      'out[r] = residual[r] + coefficients[index] sign(x[r]) (an L1 term); norm[r] = sum of |x[r]|; activeCount[r] = how many of x[r] are not 0',
    operands: {
      x: read(f32),
      coefficients: read(f32),
      residual: maybe(f32),
      out: maybeWrite(f32),
      norm: write(f32),
      activeCount: write(i32),
    },
    attributes: { index: 'int' },
    derived: ['count', 'width'],
    infer: (s) => {
      const [count, width] = s.matrix('x');
      const { index } = s.attributes as { index: number };
      s.require(index >= 0 && index < s.size('coefficients'), 'coefficients', `more than ${index} numbers`);
      for (const operand of ['residual', 'out']) s.expect(operand, [count, width]);
      for (const operand of ['norm', 'activeCount']) s.expect(operand, [count]);
      return { count: s.count(count), width: s.fixed('x', width) };
    },
  },
  sumSquares: {
    code: 31,
    formula: 'parts[first + i] = sum of the squares of x[i * 16384] to x[(i + 1) * 16384 - 1]',
    operands: { x: read(f32), parts: write(f32) },
    attributes: { first: 'int' },
    derived: ['count', 'size'],
    infer: (s) => {
      const size = s.size('x');
      const { first } = s.attributes as { first: number };
      const last = first + Math.ceil(size / partSize);
      s.require(last <= s.size('parts'), 'parts', `at least ${last} numbers`);
      return { ...everywhere, size };
    },
  },
  clip: {
    code: 32,
    formula: 'out[0] = norm = sqrt(sum of parts); out[1] = maxNorm > 0 ? min(1, maxNorm / (norm + 1e-6)) : 1',
    operands: { parts: read(f32), schedule: read(f32), out: write(f32) },
    attributes: {},
    derived: ['count', 'size'],
    infer: (s) => {
      s.expect('schedule', [scheduleSize]);
      s.expect('out', [2]);
      return { ...everywhere, size: s.size('parts') };
    },
  },
  adamW: {
    code: 33,
    formula:
      'g = gradient clip[1], lr = learningRate rate: m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; parameter = parameter (1 - lr decay) - lr (m / correction1) / (sqrt(v / correction2) + eps); average = averageDecay average + (1 - averageDecay) parameter; gradient = 0',
    operands: {
      parameter: update(f32),
      gradient: update(f32),
      m: update(f32),
      v: update(f32),
      average: maybeUpdate(f32),
      schedule: read(f32),
      clip: read(f32),
    },
    attributes: { beta1: 'float', beta2: 'float', eps: 'float', decay: 'float', rate: 'float' },
    derived: ['count', 'size'],
    infer: (s) => {
      const size = s.size('parameter');
      for (const operand of ['gradient', 'm', 'v', 'average'])
        if (s.has(operand)) s.require(s.size(operand) === size, operand, `${size} numbers`);
      s.expect('schedule', [scheduleSize]);
      s.expect('clip', [2]);
      return { ...everywhere, size };
    },
  },
  ...recurrentTrainingOpTable,
} as const satisfies Record<string, OpDefinition>;
