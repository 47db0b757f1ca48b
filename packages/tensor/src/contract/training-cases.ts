// The op cases of training: backward ops, the loss and the optimiser at the sizes where kernels break. What they must
// give is the reference's; that the reference's gradients are right is gradient-cases.ts.
import { type ActivationKind, activationCodes, activationFunctions, partSize, scheduleFields } from '../index.js';
import { buffer, type Fill, type OpCase, sentinel } from './case.js';
import { recurrentTrainingCases } from './recurrent-training-cases.js';

const normal: Fill = { kind: 'normal' };
const stale: Fill = { kind: 'constant', value: sentinel };
const matrix = (name: string, width: number, fill: Fill = normal) => buffer(name, 'f32', ['rows', width], fill);
const vector = (name: string, width: number, fill: Fill = normal) => buffer(name, 'f32', [width], fill);
const rowCounts = [1, 2, 5, 9];
const widths = [1, 3, 4, 17, 64, 100];

function* products(): Generator<OpCase> {
  // many rows, wide, and mostly zeros: kernels sum in blocks, and may leave out zeros
  for (const [inWidth, outWidth] of [
    [1, 1],
    [3, 5],
    [7, 16],
    [33, 16],
    [64, 64],
    [130, 70],
    [20, 300],
    [530, 20],
  ] as const)
    for (const rows of inWidth === 20 ? [300] : inWidth === 530 ? [34] : [...rowCounts, 40])
      for (const transposed of [false, true]) {
        const shape = transposed ? [inWidth, outWidth] : [outWidth, inWidth];
        const at = `${transposed ? 'transposed ' : ''}[${rows}, ${inWidth}] -> ${outWidth}`;
        const base = { rows, maxRows: rows + 1, attributes: {} };
        const full = rows % 2 === 1;
        const dy = matrix('dy', outWidth, rows > 40 ? { kind: 'sparse', density: 0.3 } : normal);
        yield {
          ...base,
          name: `linearBackward ${at}`,
          op: 'linearBackward',
          operands: {
            dy,
            w: buffer('w', 'f32', shape, normal, transposed),
            ...(full && { residual: matrix('residual', inWidth) }),
            out: matrix('out', inWidth, stale),
          },
          results: ['out'],
        };
        yield {
          ...base,
          name: `linearGradient ${at}`,
          op: 'linearGradient',
          operands: {
            x: matrix('x', inWidth, transposed ? { kind: 'sparse', density: 0.2 } : normal),
            dy,
            w: buffer('w', 'f32', shape, normal, transposed),
            ...(full && { bias: vector('bias', outWidth) }),
          },
          results: full ? ['w', 'bias'] : ['w'],
        };
      }
}

function* norms(): Generator<OpCase> {
  for (const headDim of widths)
    for (const heads of [1, 3])
      for (const rows of rowCounts) {
        const [width, centred] = [headDim * heads + (heads === 1 ? 0 : 5), rows % 2];
        const at = `${centred ? 'centred ' : ''}${heads} x ${headDim}, ${rows} rows`;
        const shape = heads === 1 ? [headDim] : [heads, headDim];
        const base = { rows, maxRows: rows + 1 };
        const [x, dy] = [matrix('x', width), matrix('dy', width)];
        yield {
          ...base,
          name: `normBackward ${at}`,
          op: 'normBackward',
          operands: {
            x,
            dy,
            ...(rows > 1 && { weight: buffer('weight', 'f32', shape, normal), residual: matrix('residual', width) }),
            out: matrix('out', width, stale),
            stats: matrix('stats', 2 * heads, stale),
          },
          attributes: { heads, headDim, centred, eps: 1e-3 },
          results: ['out', 'stats'],
        };
        yield {
          ...base,
          name: `normGradient ${at}`,
          op: 'normGradient',
          operands: {
            x,
            dy,
            stats: matrix('stats', 2 * heads),
            weight: buffer('weight', 'f32', shape, normal),
            ...(centred && { bias: buffer('bias', 'f32', shape, normal) }),
          },
          attributes: { heads, headDim },
          results: centred ? ['weight', 'bias'] : ['weight'],
        };
      }
}

function* elementwise(): Generator<OpCase> {
  const thresholds: Partial<Record<ActivationKind, number>> = { relu: 0.4, fatrelu: 0.3, softcap: 15, scale: 0.7 };
  const corners: Fill = { kind: 'values', values: [0, -0, 0.3, 0.4, 0.2, -0.05, 4, -4, 12, -12, 90, -90] };
  for (const kind of Object.keys(activationFunctions) as ActivationKind[])
    for (const [width, rows, fill] of [
      [1, 1, normal],
      [17, 3, normal],
      [64, 2, { kind: 'normal', scale: 6 }],
      [12, 1, corners],
    ] as const)
      yield {
        name: `activateBackward ${kind} [${rows}, ${width}]`,
        op: 'activateBackward',
        rows,
        maxRows: 4,
        operands: {
          x: matrix('x', width, fill),
          dy: matrix('dy', width),
          ...(rows > 1 && { residual: matrix('residual', width) }),
          out: matrix('out', width, stale),
        },
        attributes: { kind: activationCodes[kind], threshold: thresholds[kind] ?? 0, slack: kind === 'relu' ? 0.1 : 0 },
        results: ['out'],
      };
  for (const width of widths)
    for (const rows of rowCounts) {
      const full = rows % 2 === 1;
      yield {
        name: `penalty [${rows}, ${width}]`,
        op: 'penalty',
        rows,
        maxRows: rows + 1,
        operands: {
          x: matrix('x', width, { kind: 'sparse', density: 0.5 }),
          coefficients: vector('coefficients', 3),
          ...(full && { residual: matrix('residual', width) }),
          ...(rows > 1 && { out: matrix('out', width, stale) }),
          norm: buffer('norm', 'f32', ['rows'], stale),
          activeCount: buffer('activeCount', 'i32', ['rows'], { kind: 'constant', value: -1 }),
        },
        attributes: { index: 1 },
        results: rows > 1 ? ['out', 'norm', 'activeCount'] : ['norm', 'activeCount'],
      };
    }
}

/** Sequences of some rows: two whose rows are mixed; three one after the other, too long for one block of a kernel. */
const mixed = { positions: [0, 0, 1, 2, 1, 3, 4, 2], slots: [1, 0, 1, 1, 0, 1, 1, 0] };
const lengths = [90, 3, 50];
const long = {
  positions: lengths.flatMap((length) => Array.from({ length }, (_, position) => position)),
  slots: lengths.flatMap((length, i) => Array.from({ length }, () => (i + 1) % 3)),
};

function* attentions(): Generator<OpCase> {
  for (const { heads, kvHeads, headDim, window, biased, sequences } of [
    { heads: 1, kvHeads: 1, headDim: 4, window: 0, biased: false, sequences: mixed },
    { heads: 4, kvHeads: 4, headDim: 8, window: 0, biased: true, sequences: mixed },
    { heads: 6, kvHeads: 2, headDim: 16, window: 2, biased: false, sequences: mixed },
    { heads: 3, kvHeads: 1, headDim: 5, window: 0, biased: false, sequences: mixed },
    { heads: 2, kvHeads: 1, headDim: 20, window: 0, biased: true, sequences: long },
    { heads: 1, kvHeads: 1, headDim: 32, window: 21, biased: false, sequences: long },
  ]) {
    const width = (heads + 2 * kvHeads) * headDim;
    const rows = sequences.slots.length;
    const [slots, capacity] = [Math.max(...sequences.slots) + 1, Math.max(...sequences.positions) + 2];
    const [firstKey, firstValue] = [heads * headDim, (heads + kvHeads) * headDim];
    const common = {
      x: matrix('x', width),
      positions: buffer('positions', 'i32', ['rows'], { kind: 'values', values: sequences.positions }),
      slots: buffer('slots', 'i32', ['rows'], { kind: 'values', values: sequences.slots }),
      ...(biased && { keyBias: buffer('keyBias', 'f32', [heads, capacity], normal) }),
      dy: matrix('dy', heads * headDim),
    };
    const cache = (name: string) => buffer(name, 'f32', [slots, 2, kvHeads, capacity, headDim], normal);
    const at = `${heads}/${kvHeads} heads of ${headDim}${window ? `, window ${window}` : ''}${biased ? ', key bias' : ''}, ${rows} rows`;
    const base = { rows, maxRows: rows + 1 };
    const scale = headDim ** -0.5;
    yield {
      ...base,
      name: `attentionBackwardQuery ${at}`,
      op: 'attentionBackwardQuery',
      operands: {
        ...common,
        k: cache('k'),
        v: cache('v'),
        out: matrix('out', width, stale),
        stats: matrix('stats', 2 * heads, stale),
      },
      attributes: { layer: 1, heads, window, scale },
      results: ['out', 'stats'],
    };
    yield {
      ...base,
      name: `attentionBackwardKeyValue ${at}`,
      op: 'attentionBackwardKeyValue',
      operands: {
        ...common,
        // log-sums large enough for shares of at most 1
        stats: matrix('stats', 2 * heads, { kind: 'values', values: [6, 0.3, 7, -0.2, 6.5] }),
        out: matrix('out', width, stale),
      },
      attributes: { heads, kvHeads, headDim, window, scale, firstKey, firstValue },
      results: ['out'],
    };
  }
}

function* rowMoves(): Generator<OpCase> {
  for (const width of widths)
    for (const rows of rowCounts) {
      const base = { rows, maxRows: rows + 1, attributes: {} };
      yield {
        ...base,
        name: `scatterAdd [${rows}, ${width}]`,
        op: 'scatterAdd',
        operands: {
          index: buffer('index', 'i32', ['rows'], { kind: 'integers', below: 4 }),
          x: matrix('x', width),
          table: buffer('table', 'f32', [5, width], normal),
        },
        results: ['table'],
      };
      yield {
        ...base,
        name: `place [${rows}, ${width}]`,
        op: 'place',
        operands: {
          from: buffer('from', 'i32', ['rows'], { kind: 'values', values: [3, -1, 0, 1, -1, 2] }),
          x: buffer('x', 'f32', [4, width], normal),
          out: matrix('out', width, stale),
        },
        results: ['out'],
      };
    }
}

function* losses(): Generator<OpCase> {
  for (const width of [1, 5, 16, 333])
    for (const scale of [1, 20])
      for (const teacher of [0, 1, Math.min(4, width), width]) {
        const ids = Array.from({ length: teacher }, (_, i) => (i * 3) % width);
        if (new Set(ids).size < teacher) continue;
        yield {
          name: `crossEntropy width ${width}, scale ${scale}, ${teacher} tokens of a teacher`,
          op: 'crossEntropy',
          rows: 3,
          maxRows: 4,
          operands: {
            logits: matrix('logits', width, { kind: 'normal', scale }),
            target: buffer('target', 'i32', ['rows'], { kind: 'integers', below: width }),
            weight: buffer('weight', 'f32', ['rows'], { kind: 'values', values: [0.5, 0, 1.5] }),
            loss: buffer('loss', 'f32', ['rows'], stale),
            ...(teacher > 0 && {
              teacherIds: buffer('teacherIds', 'i32', ['rows', teacher], { kind: 'values', values: ids }),
              teacherLogprobs: matrix('teacherLogprobs', teacher, { kind: 'constant', value: -Math.log(teacher + 1) }),
              teacherWeight: buffer('teacherWeight', 'f32', ['rows'], { kind: 'values', values: [0.7, 1, 0] }),
              divergence: buffer('divergence', 'f32', ['rows'], stale),
            }),
          },
          attributes: {},
          results: teacher > 0 ? ['logits', 'loss', 'divergence'] : ['logits', 'loss'],
        };
      }
}

const schedule = (maxNorm: number) => {
  const values = { learningRate: 0.01, correction1: 0.19, correction2: 0.05, maxNorm, averageDecay: 0.9 };
  const places = Object.entries(scheduleFields).sort(([, a], [, b]) => a - b);
  const ordered = places.map(([name]) => values[name as keyof typeof values]);
  return vector('schedule', ordered.length, { kind: 'values', values: ordered });
};

function* optimiser(): Generator<OpCase> {
  const base = { rows: 1, maxRows: 1 };
  for (const shape of [[1], [7], [3, 16], [5, 100], [partSize + 5]]) {
    const of = (name: string, fill: Fill = normal) => buffer(name, 'f32', shape, fill);
    yield {
      ...base,
      name: `sumSquares [${shape}]`,
      op: 'sumSquares',
      operands: { x: of('x'), parts: vector('parts', 6, stale) },
      attributes: { first: 2 },
      results: ['parts'],
    };
    for (const averaged of [false, true])
      yield {
        ...base,
        name: `adamW [${shape}]${averaged ? ' with an average' : ''}`,
        op: 'adamW',
        operands: {
          parameter: of('parameter'),
          gradient: of('gradient'),
          m: of('m', { kind: 'normal', scale: 0.1 }),
          v: of('v', { kind: 'constant', value: 0.02 }),
          ...(averaged && { average: of('average') }),
          schedule: schedule(1),
          clip: vector('clip', 2, { kind: 'values', values: [3, 0.3] }),
        },
        attributes: { beta1: 0.9, beta2: 0.95, eps: 1e-8, decay: 0.1, rate: 0.5 },
        results: ['parameter', 'gradient', 'm', 'v', ...(averaged ? ['average'] : [])],
      };
  }
  for (const size of [1, 5, 300])
    for (const maxNorm of [0, 0.1, 1e6])
      yield {
        ...base,
        name: `clip ${size} parts to ${maxNorm}`,
        op: 'clip',
        operands: {
          parts: vector('parts', size, { kind: 'values', values: [0.5, 2, 0.25] }),
          schedule: schedule(maxNorm),
          out: vector('out', 2, stale),
        },
        attributes: {},
        results: ['out'],
      };
}

export const trainingCases: readonly OpCase[] = [
  ...products(),
  ...norms(),
  ...elementwise(),
  ...attentions(),
  ...rowMoves(),
  ...losses(),
  ...optimiser(),
  ...recurrentTrainingCases(),
];
