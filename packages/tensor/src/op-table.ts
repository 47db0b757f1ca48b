// The op table: every op's name, code, operands, attributes, shape rule and formula, in one place. The validator, the
// encoder, the printer, the generated accessors of the kernels and the contract suite are all derived from it.
// Ops are mathematics: no tile sizes, thread counts or devices here. The reference executor defines what each computes.
// Longer than 400 lines because every op is defined here, once.
import { inferActivation } from './activations.js';
import { blockSize, blocksOf } from './block-format.js';
import { weightDTypes } from './buffer.js';
import { fetchCounters, slotFields } from './fetch-rows.js';
import { f32, i8, i32, maybe, maybeUpdate, type OpDefinition, read, update, write } from './op-rules.js';
import { recurrentOpTable } from './recurrent-ops.js';
import { signWords } from './signs.js';
import { trainingOpTable } from './training-ops.js';
import { twoBitWords } from './two-bits.js';

const activation = ['f32', 'i8'] as const;
const matrix = weightDTypes;
const cache = ['f32', 'f16'] as const;

export const opTable = {
  gather: {
    code: 1,
    formula: 'out[r] = residual[r] + table[index[r]]',
    operands: { index: read(i32), table: read(matrix), residual: maybe(f32), out: write(f32) },
    attributes: {},
    derived: ['count', 'width', 'dtype'],
    infer: (s) => {
      const [count, width] = s.matrix('out');
      s.expect('index', [count]);
      s.expect('table', [s.dim('table', 0), width]);
      s.expect('residual', [count, width]);
      return { count: s.count(count), width: s.fixed('out', width), dtype: s.dtype('table') };
    },
  },
  rmsNorm: {
    code: 2,
    formula: 'out[r] = x[r] / sqrt(mean(x[r]^2) + eps) * weight',
    operands: { x: read(f32), weight: maybe(f32), out: write(f32) },
    attributes: { eps: 'float' },
    derived: ['count', 'width'],
    infer: (s) => s.rowwise('x', 'out', ['weight']),
  },
  layerNorm: {
    code: 3,
    formula: 'out[r] = (x[r] - mean) / sqrt(variance + eps) * weight + bias',
    operands: { x: read(f32), weight: maybe(f32), bias: maybe(f32), out: write(f32) },
    attributes: { eps: 'float' },
    derived: ['count', 'width'],
    infer: (s) => s.rowwise('x', 'out', ['weight', 'bias']),
  },
  activate: {
    code: 4,
    formula: 'out[r] = f(x[r]); f, threshold, thresholds and strength: see activationCodes',
    operands: { x: read(f32), thresholds: maybe(f32), strength: maybe(f32), out: write(f32) },
    attributes: { kind: 'int', threshold: 'float' },
    defaults: { threshold: 0 },
    derived: ['count', 'width', 'perColumn'],
    infer: inferActivation,
  },
  multiply: {
    code: 5,
    formula: 'out[r] = residual[r] + (a[r] == 0 ? +0 : a[r] * b[r]) (so b may be stale where a is zero)',
    operands: { a: read(f32), b: read(f32), residual: maybe(f32), out: write(f32) },
    attributes: {},
    derived: ['count', 'width'],
    infer: (s) => {
      s.expect('b', s.matrix('a'));
      s.expect('residual', s.matrix('a'));
      return s.rowwise('a', 'out', []);
    },
  },
  selectActive: {
    code: 6,
    formula: 'active[r] = ascending indices with x[r] != 0; activeCount[r] = how many',
    operands: { x: read(f32), active: write(i32), activeCount: write(i32) },
    attributes: {},
    derived: ['count', 'width'],
    infer: (s) => {
      s.expect('activeCount', [s.matrix('x')[0]]);
      return s.rowwise('x', 'active', []);
    },
  },
  linear: {
    code: 7,
    formula:
      'out[r] = residual[r] + (w x[r] + bias); the weight [out, in], or [in, out] when transposed. Row-major weights in blocks take x as `quantize` gives it',
    operands: {
      x: read(activation),
      xScales: maybe(f32),
      xSums: maybe(i32),
      w: read(matrix),
      bias: maybe(f32),
      residual: maybe(f32),
      out: write(f32),
    },
    attributes: {},
    derived: ['count', 'inWidth', 'outWidth', 'dtype', 'transposed'],
    infer: (s) => ({ ...s.product('x', 'w', 'out'), transposed: s.transposed('w') ? 1 : 0 }),
  },
  gemvRows: {
    code: 8,
    formula:
      'out[r][n] = w[n] . x[r] + bias[n] for n in active[r]; other outputs are left as they are; x as in linear. With a table, w[table[n]] in the place of w[n]',
    operands: {
      x: read(activation),
      xScales: maybe(f32),
      xSums: maybe(i32),
      w: read(matrix),
      table: maybe(i32),
      active: read(i32),
      activeCount: read(i32),
      bias: maybe(f32),
      out: write(f32),
    },
    attributes: {},
    derived: ['count', 'inWidth', 'outWidth', 'dtype'],
    infer: (s) => {
      s.expectLayout('w', false);
      const [count, outWidth] = s.matrix('out');
      s.expect('active', [count, outWidth]);
      s.expect('activeCount', [count]);
      return s.product('x', 'w', 'out');
    },
  },
  axpyRows: {
    code: 9,
    // so a kernel may sum over any set of inputs that holds the list: the list where it is short, all of x where it is long
    formula:
      'out[r] = residual[r] + (sum over k in active[r] of x[r][k] * w[k] + bias); x[r][k] is zero for every k that is not listed, while a listed one may be zero too. With a table, w[table[k]] in the place of w[k], of listed k alone',
    operands: {
      x: read(f32),
      w: read(matrix),
      table: maybe(i32),
      active: read(i32),
      activeCount: read(i32),
      bias: maybe(f32),
      residual: maybe(f32),
      out: write(f32),
    },
    attributes: {},
    derived: ['count', 'inWidth', 'outWidth', 'dtype'],
    infer: (s) => {
      s.expectLayout('w', true);
      const [count, inWidth] = s.matrix('x');
      s.expect('active', [count, inWidth]);
      s.expect('activeCount', [count]);
      return s.product('x', 'w', 'out');
    },
  },
  rope: {
    code: 10,
    formula:
      'for each of the first `heads` heads of x[r], in place: (a, b) -> (a cos - b sin, b cos + a sin), a = i, b = i + rotary/2',
    operands: { x: update(f32), positions: read(i32), table: read(f32) },
    attributes: { heads: 'int', headDim: 'int' },
    derived: ['count', 'width', 'rotaryDim'],
    infer: (s) => {
      const [count, width] = s.matrix('x');
      s.expect('positions', [count]);
      const rotaryDim = s.fixed('table', s.matrix('table')[1]);
      const { heads, headDim } = s.attributes as { heads: number; headDim: number };
      s.require(
        rotaryDim % 2 === 0 && rotaryDim <= headDim,
        'table',
        `[positions, rotary] with rotary even and <= ${headDim}`,
      );
      s.require(heads * headDim <= s.fixed('x', width), 'x', `at least ${heads * headDim} columns`);
      return { count: s.count(count), width: s.fixed('x', width), rotaryDim };
    },
  },
  storeKv: {
    code: 11,
    formula:
      'k[slots[r], layer, :, positions[r]] = x[r][firstKey ...], in f16 the nearest (ties to even); v likewise from firstValue',
    operands: { x: read(f32), positions: read(i32), slots: read(i32), k: update(cache), v: update(cache) },
    attributes: { layer: 'int', firstKey: 'int', firstValue: 'int' },
    derived: ['count', 'width', 'layers', 'kvHeads', 'capacity', 'headDim', 'dtype'],
    infer: (s) => {
      const [count, width] = s.matrix('x');
      s.expect('positions', [count]);
      s.expect('slots', [count]);
      const shape = s.cache('k', 'v');
      const { firstKey, firstValue } = s.attributes as { firstKey: number; firstValue: number };
      const last = Math.max(firstKey, firstValue) + shape.kvHeads * shape.headDim;
      s.require(last <= s.fixed('x', width), 'x', `at least ${last} columns`);
      return {
        count: s.count(count),
        width: s.fixed('x', width),
        layers: shape.layers,
        kvHeads: shape.kvHeads,
        capacity: shape.capacity,
        headDim: shape.headDim,
        dtype: s.dtype('k'),
      };
    },
  },
  attention: {
    code: 12,
    formula:
      'out[r][h] = softmax(scale * (q[r][h] . k[slot][layer][h / group][p] + keyBias[h][p])) v, over p <= positions[r] (and p > positions[r] - window)',
    operands: {
      x: read(f32),
      positions: read(i32),
      slots: read(i32),
      k: read(cache),
      v: read(cache),
      keyBias: maybe(f32),
      out: write(f32),
    },
    attributes: { layer: 'int', heads: 'int', window: 'int', scale: 'float' },
    derived: ['count', 'width', 'layers', 'kvHeads', 'capacity', 'headDim', 'dtype'],
    infer: (s) => {
      const [count, width] = s.matrix('x');
      s.expect('positions', [count]);
      s.expect('slots', [count]);
      const shape = s.cache('k', 'v');
      const { heads } = s.attributes as { heads: number };
      s.require(heads % shape.kvHeads === 0, 'k', `a number of kv heads that divides ${heads}`);
      s.require(heads * shape.headDim <= s.fixed('x', width), 'x', `at least ${heads * shape.headDim} columns`);
      s.expect('out', [count, heads * shape.headDim]);
      s.expect('keyBias', [heads, shape.capacity]);
      return {
        count: s.count(count),
        width: s.fixed('x', width),
        layers: shape.layers,
        kvHeads: shape.kvHeads,
        capacity: shape.capacity,
        headDim: shape.headDim,
        dtype: s.dtype('k'),
      };
    },
  },
  logProb: {
    code: 13,
    formula: 'logprob[r] = logits[r][target[r]] - log(sum(exp(logits[r]))); best[r] = first index of the largest logit',
    operands: { logits: read(f32), target: read(i32), logprob: write(f32), best: write(i32) },
    attributes: {},
    derived: ['count', 'width'],
    infer: (s) => {
      const [count, width] = s.matrix('logits');
      s.expect('target', [count]);
      s.expect('logprob', [count]);
      s.expect('best', [count]);
      return { count: s.count(count), width: s.fixed('logits', width) };
    },
  },
  quantize: {
    code: 14,
    formula:
      'per block of 32: xScales = max|x| / 127, values = round(x / xScales) half to even (0 where the scale is), NaN and zeros where x is not finite, xSums = sum of values; columns are padded with zeros',
    operands: { x: read(f32), values: write(i8), xScales: write(f32), xSums: write(i32) },
    attributes: {},
    derived: ['count', 'width', 'blocks'],
    infer: (s) => {
      const [count, width] = s.matrix('x');
      const blocks = blocksOf(s.fixed('x', width));
      s.expect('values', [count, blocks * blockSize]);
      s.expect('xScales', [count, blocks]);
      s.expect('xSums', [count, blocks]);
      return { count: s.count(count), width: s.fixed('x', width), blocks };
    },
  },
  headNorm: {
    code: 15,
    formula:
      'each of the first `heads` heads of x[r], in place: RMSNorm over the head (centred: LayerNorm), times weight, plus bias, one row of weights a head',
    operands: { x: update(f32), weight: maybe(f32), bias: maybe(f32) },
    attributes: { heads: 'int', headDim: 'int', centred: 'int', eps: 'float' },
    derived: ['count', 'width'],
    infer: (s) => {
      const [count, width] = s.matrix('x');
      const { heads, headDim } = s.attributes as { heads: number; headDim: number };
      s.require(heads * headDim <= s.fixed('x', width), 'x', `at least ${heads * headDim} columns`);
      s.expect('weight', [heads, headDim]);
      s.expect('bias', [heads, headDim]);
      return { count: s.count(count), width: s.fixed('x', width) };
    },
  },
  keepTop: {
    code: 16,
    formula:
      'out[r][i] = x[r][i] where i is among the k best of its stretch, else +0. A stretch: `within` columns, 0: the row. What competes: groups of groupSize neighbours, by the sum of their scores |x[i]| * scale[i], in f32 and in order of index; of equals the lower index is kept, NaN is largest. A row of strength 0 passes whole',
    operands: { x: read(f32), scale: maybe(f32), strength: maybe(f32), out: write(f32) },
    attributes: { k: 'int', groupSize: 'int', within: 'int' },
    defaults: { groupSize: 1, within: 0 },
    derived: ['count', 'width'],
    infer: (s) => {
      const fields = s.rowwise('x', 'out', ['scale']);
      s.expect('strength', [s.dim('x', 0)]);
      const { k, groupSize, within } = s.attributes as { k: number; groupSize: number; within: number };
      const fits = (value: number, least: number) => Number.isInteger(value) && value >= least && value < 2 ** 31;
      s.require(fits(k, 0), 'k', 'an integer from 0 on');
      s.require(fits(groupSize, 1) && fields.width % groupSize === 0, 'groupSize', `a divisor of ${fields.width}`);
      s.require(
        within === 0 || (fits(within, 1) && fields.width % within === 0 && within % groupSize === 0),
        'within',
        `0, or a divisor of ${fields.width} that is a multiple of ${groupSize}`,
      );
      return fields;
    },
  },
  concat: {
    code: 17,
    formula: 'out[r] = a[r], then b[r], then c[r], side by side',
    operands: { a: read(f32), b: read(f32), c: maybe(f32), out: write(f32) },
    attributes: {},
    derived: ['count', 'aWidth', 'bWidth', 'cWidth'],
    infer: (s) => {
      const [count, a] = s.matrix('a');
      const widths = ['b', 'c'].map((part) => {
        if (!s.has(part)) return 0;
        const [rows, width] = s.matrix(part);
        s.require(rows === count, part, `[${count}, ...]`);
        return s.fixed(part, width);
      }) as [number, number];
      const aWidth = s.fixed('a', a);
      s.expect('out', [count, aWidth + widths[0] + widths[1]]);
      return { count: s.count(count), aWidth, bWidth: widths[0], cWidth: widths[1] };
    },
  },
  agreeingSigns: {
    code: 18,
    formula:
      'out[r][n] = how many columns i of x[r] are negative just where bit i of signs[n] is 1 (packSigns); 0, -0 and NaN are not negative',
    operands: { x: read(f32), signs: read(i32), out: write(f32) },
    attributes: {},
    derived: ['count', 'inWidth', 'outWidth'],
    infer: (s) => {
      const [count, inWidth] = s.matrix('x');
      const [outCount, outWidth] = s.matrix('out');
      s.require(outCount === count, 'out', `[${count}, ...]`);
      s.expect('signs', [outWidth, signWords(s.fixed('x', inWidth))]);
      return { count: s.count(count), inWidth: s.fixed('x', inWidth), outWidth: s.fixed('out', outWidth) };
    },
  },
  twoBitScores: {
    code: 49,
    formula:
      'out[r][n] = step[r] scales[n] (sum of q[r][i] (2 code[n][i] - 3)) + bias[n]; step = max|x[r]| / 127, q = round(x / step) half to even, both 0 where step < 1e-30; step is NaN where x is not finite; codes: packTwoBits',
    operands: { x: read(f32), codes: read(i32), scales: read(f32), bias: maybe(f32), out: write(f32) },
    attributes: {},
    derived: ['count', 'inWidth', 'outWidth'],
    infer: (s) => {
      const [count, inWidth] = s.matrix('x');
      const [outCount, outWidth] = s.matrix('out');
      s.require(outCount === count, 'out', `[${count}, ...]`);
      s.expect('codes', [outWidth, twoBitWords(s.fixed('x', inWidth))]);
      s.expect('scales', [outWidth]);
      s.expect('bias', [outWidth]);
      return { count: s.count(count), inWidth: s.fixed('x', inWidth), outWidth: s.fixed('out', outWidth) };
    },
  },
  markActive: {
    code: 19,
    formula: 'marks[slots[r]][i] = 1 where x[r][i] != 0; other marks are left as they are',
    operands: { x: read(f32), slots: read(i32), marks: update(f32) },
    attributes: {},
    derived: ['count', 'width'],
    infer: (s) => {
      const [count, width] = s.matrix('x');
      s.expect('slots', [count]);
      s.expect('marks', [s.dim('marks', 0), width]);
      return { count: s.count(count), width: s.fixed('x', width) };
    },
  },
  fetchRows: {
    code: 41,
    formula:
      'every listed n gets a slot s, table[n] = s, where aRows[s] = a[n], bRows[s] = b[n], cRows[s] = c[n]; who keeps a slot and who loses one: see fetch-rows.ts. What lies in slots of no listed n is left as it is',
    operands: {
      active: read(i32),
      activeCount: read(i32),
      a: read(matrix),
      b: maybe(matrix),
      c: maybe(matrix),
      aRows: update(matrix),
      bRows: maybeUpdate(matrix),
      cRows: maybeUpdate(matrix),
      table: update(i32),
      slots: update(i32),
      counters: update(i32),
      missing: write(i32),
    },
    attributes: { layer: 'int' },
    derived: ['count', 'neurons', 'slotCount', 'aBytes', 'bBytes', 'cBytes'],
    infer: (s) => {
      const [count, width] = s.matrix('active');
      const neurons = s.fixed('active', width);
      const slotCount = s.fixed('slots', s.dim('slots', 0));
      s.expect('activeCount', [count]);
      s.expect('table', [neurons]);
      s.expect('slots', [slotCount, slotFields]);
      s.expect('counters', [fetchCounters]);
      s.expect('missing', [neurons]);
      s.require(slotCount >= neurons, 'slots', `at least ${neurons} slots, one for each neuron of a layer`);
      for (const part of ['a', 'b', 'c'] as const) {
        const rows = `${part}Rows`;
        s.require(s.has(part) === s.has(rows), rows, `a place for the rows of "${part}"`);
        if (!s.has(part)) continue;
        s.require(s.dtype(part) === s.dtype(rows), rows, 'the format of what is fetched');
        s.require(s.dim(part, 0) === neurons, part, `${neurons} rows`);
        s.expect(rows, [slotCount, s.dim(part, 1)]);
      }
      const [aBytes, bBytes, cBytes] = ['a', 'b', 'c'].map((part) => s.rowBytes(part)) as [number, number, number];
      return { count: s.count(count), neurons, slotCount, aBytes, bBytes, cBytes };
    },
  },
  announceRows: {
    code: 50,
    formula:
      'computes nothing: the rows a[n], b[n] and c[n] of every listed n that has no slot will be fetched soon, and may be read ahead; see fetch-rows.ts',
    operands: {
      active: read(i32),
      activeCount: read(i32),
      a: read(matrix),
      b: maybe(matrix),
      c: maybe(matrix),
      table: read(i32),
      slots: read(i32),
    },
    attributes: { layer: 'int' },
    derived: ['count', 'neurons', 'aBytes', 'bBytes', 'cBytes'],
    infer: (s) => {
      const [count, width] = s.matrix('active');
      const neurons = s.fixed('active', width);
      s.expect('activeCount', [count]);
      s.expect('table', [neurons]);
      s.expect('slots', [s.dim('slots', 0), slotFields]);
      for (const part of ['a', 'b', 'c'] as const)
        if (s.has(part)) s.require(s.dim(part, 0) === neurons, part, `${neurons} rows`);
      const [aBytes, bBytes, cBytes] = ['a', 'b', 'c'].map((part) => s.rowBytes(part)) as [number, number, number];
      return { count: s.count(count), neurons, aBytes, bBytes, cBytes };
    },
  },
  roundRow: {
    code: 40,
    formula: 'out[r] = round(x[r] * s) / s, half to even, s = 127 / max(|x[r]|, 1e-5): 8 bits with one scale a row',
    operands: { x: read(f32), out: write(f32) },
    attributes: {},
    derived: ['count', 'width'],
    infer: (s) => s.rowwise('x', 'out', []),
  },
  ...recurrentOpTable,
} as const satisfies Record<string, OpDefinition>;

export type OpKind = keyof typeof opTable | keyof typeof trainingOpTable;

/** Every op, those of training included: what records, generated accessors and names of interfaces are made of. */
export const opDefinitions: Readonly<Record<OpKind, OpDefinition>> = { ...opTable, ...trainingOpTable };

/** The definition of an op, with the literal types widened. */
export const opDefinition = (kind: OpKind): OpDefinition => opDefinitions[kind];
