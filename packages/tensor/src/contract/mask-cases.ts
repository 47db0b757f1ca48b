// The cases of the ops that choose (activate by masks and its gradient, keepTop, agreeingSigns, twoBitScores), of markActive and of concat,
// and random ones of the same kinds. All demand the reference's bits. Their numbers tie, meet their thresholds, and are 0, -0, NaN and infinite.
import fc from 'fast-check';
import { activationCodes, type MaskKind, signWords, twoBitWords } from '../index.js';
import { buffer, type CaseBuffer, type Fill, type OpCase, sentinel } from './case.js';

const coarse: Fill = { kind: 'coarse' };
const positive: Fill = { kind: 'coarsePositive' };
const stale: Fill = { kind: 'constant', value: sentinel };
const values = (...numbers: readonly number[]): Fill => ({ kind: 'values', values: numbers });
const matrix = (name: string, width: number, fill: Fill = coarse) => buffer(name, 'f32', ['rows', width], fill);
const vector = (name: string, width: number, fill: Fill) => buffer(name, 'f32', [width], fill);
/** Rows that pass whole, and rows of several strengths. */
const strengths = buffer('strength', 'f32', ['rows'], values(1, 0, 0.5, 2, -0));

const maskKinds: readonly MaskKind[] = ['magnitude', 'remainder', 'step', 'magnitudeOrEqual'];

interface MaskShape {
  readonly kind: MaskKind;
  readonly rows: number;
  readonly width: number;
  readonly x?: Fill;
  /** None: one threshold a column. */
  readonly threshold?: number;
  readonly thresholds?: Fill;
  readonly strength?: boolean;
  readonly backward?: boolean;
  readonly inPlace?: boolean;
}

function maskCase({
  kind,
  rows,
  width,
  x,
  threshold,
  thresholds = positive,
  strength,
  backward,
  inPlace,
}: MaskShape): OpCase {
  const how = threshold === undefined ? 'a threshold a column' : `threshold ${threshold}`;
  const op = backward ? 'activateBackward' : 'activate';
  const input = matrix('x', width, x);
  return {
    name: `${op} ${kind}, ${how}${inPlace ? ', in place' : ''}${strength ? ', a strength a row' : ''} [${rows}, ${width}]`,
    op,
    rows,
    maxRows: rows + 1,
    operands: {
      x: input,
      ...(backward && { dy: matrix('dy', width) }),
      ...(backward && rows > 1 && { residual: matrix('residual', width, { kind: 'normal' }) }),
      thresholds:
        threshold === undefined ? vector('thresholds', width, thresholds) : vector('thresholds', 1, values(threshold)),
      ...(strength && { strength: strengths }),
      out: inPlace ? input : matrix('out', width, stale),
    },
    attributes: { kind: activationCodes[kind], threshold: 0, ...(backward && { slack: 0 }) },
    results: ['out'],
    exact: true,
  };
}

function* masks(): Generator<OpCase> {
  const infinite = Number.POSITIVE_INFINITY;
  for (const kind of maskKinds) {
    for (const [width, rows] of [
      [1, 1],
      [3, 5],
      [7, 2],
      [17, 9],
      [129, 3],
    ] as const)
      for (const strength of [false, true]) {
        yield maskCase({ kind, rows, width, strength });
        yield maskCase({ kind, rows, width, strength, threshold: 0.5 });
        yield maskCase({ kind, rows, width, strength, inPlace: true });
        if (kind !== 'step') yield maskCase({ kind, rows, width, strength, backward: true });
      }
    // all kept, none kept, only zeros
    for (const threshold of [0, 0.25, 100, infinite]) yield maskCase({ kind, rows: 2, width: 33, threshold });
    yield maskCase({ kind, rows: 2, width: 33, thresholds: values(0, infinite, 0.5) });
    yield maskCase({ kind, rows: 2, width: 20, x: values(0, -0) });
    yield maskCase({ kind, rows: 2, width: 20, x: values(Number.NaN, infinite, -infinite), strength: true });
  }
  // a predictor's bars may be below zero
  for (const threshold of [-0.5, -100]) yield maskCase({ kind: 'step', rows: 3, width: 33, threshold, strength: true });
}

interface TopShape {
  readonly rows: number;
  readonly width: number;
  readonly k: number;
  readonly groupSize?: number;
  readonly within?: number;
  readonly x?: Fill;
  readonly scale?: Fill;
  readonly strength?: boolean;
  readonly inPlace?: boolean;
}

function topCase({ rows, width, k, groupSize = 1, within = 0, x, scale, strength, inPlace }: TopShape): OpCase {
  const input = matrix('x', width, x);
  const of = `${k} of ${within || width}${groupSize > 1 ? ` by ${groupSize}` : ''}`;
  return {
    name: `keepTop ${of}${scale ? ', scaled' : ''}${strength ? ', a strength a row' : ''}${inPlace ? ', in place' : ''} [${rows}, ${width}]`,
    op: 'keepTop',
    rows,
    maxRows: rows + 1,
    operands: {
      x: input,
      ...(scale && { scale: vector('scale', width, scale) }),
      ...(strength && { strength: strengths }),
      out: inPlace ? input : matrix('out', width, stale),
    },
    attributes: { k, groupSize, within },
    results: ['out'],
    exact: true,
  };
}

function* tops(): Generator<OpCase> {
  const normal: Fill = { kind: 'normal' };
  for (const [width, rows] of [
    [1, 1],
    [3, 5],
    [7, 2],
    [17, 9],
    [64, 1],
    [129, 3],
    [1500, 1],
    [1500, 3],
  ] as const)
    for (const k of new Set([0, 1, width >> 1, width - 1, width, width + 7]))
      for (const x of [coarse, normal])
        yield topCase({ rows, width, k, x, ...(k % 2 === 1 && { scale: positive, strength: true }) });
  for (const x of [coarse, normal])
    for (const [width, groupSize, within, k] of [
      [8, 1, 4, 2],
      [48, 1, 4, 2],
      [1120, 1, 32, 16],
      [672, 2, 32, 5],
      [129, 3, 0, 11],
      [129, 1, 3, 1],
      [120, 5, 40, 3],
      [1536, 1, 768, 100],
      [1536, 2, 0, 300],
      [36, 36, 0, 0],
      [36, 36, 0, 1],
    ] as const)
      for (const rows of [1, 4]) {
        yield topCase({ rows, width, k, groupSize, within, x, inPlace: true });
        yield topCase({ rows, width, k, groupSize, within, x, ...(rows > 1 && { scale: positive, strength: true }) });
      }
  // scores that all tie, a channel of zeros, and scales that turn the order round
  for (const width of [17, 100]) {
    yield topCase({ rows: 2, width, k: 5, x: values(1, -1) });
    yield topCase({ rows: 2, width, k: 5, x: values(0, -0, 0) });
    yield topCase({ rows: 2, width, k: 5, x: values(Number.NaN, 1) });
    yield topCase({ rows: 2, width, k: 5, scale: values(-1, 0, -0, 2) });
    yield topCase({ rows: 2, width, k: 5, x: normal, scale: values(1e-38, 1e-45, 1e38) });
  }
}

function concatCase(rows: number, widths: readonly number[]): OpCase {
  const parts = widths.map((width, i): [string, CaseBuffer] => {
    const name = 'abc'[i] as string;
    return [name, matrix(name, width)];
  });
  return {
    name: `concat [${rows}, ${widths.join(' + ')}]`,
    op: 'concat',
    rows,
    maxRows: rows + 1,
    operands: {
      ...Object.fromEntries(parts),
      out: matrix(
        'out',
        widths.reduce((sum, width) => sum + width, 0),
        stale,
      ),
    },
    attributes: {},
    results: ['out'],
    exact: true,
  };
}

function* concats(): Generator<OpCase> {
  for (const rows of [1, 2, 9])
    for (const widths of [
      [1, 1],
      [3, 5],
      [64, 16, 16],
      [17, 7, 129],
      [130, 1, 1],
    ])
      yield concatCase(rows, widths);
}

interface SignShape {
  readonly rows: number;
  readonly width: number;
  readonly out: number;
  readonly x?: Fill;
  readonly weight?: Fill;
}

function signCase({ rows, width, out, x = { kind: 'normal' }, weight = { kind: 'normal' } }: SignShape): OpCase {
  const signsOf: Fill = { kind: 'signsOf', weight: buffer('weight', 'f32', [out, width], weight) };
  return {
    name: `agreeingSigns [${rows}, ${width}] -> ${out}, ${x.kind} and ${weight.kind}`,
    op: 'agreeingSigns',
    rows,
    maxRows: rows + 1,
    operands: {
      x: matrix('x', width, x),
      signs: buffer('signs', 'i32', [out, signWords(width)], signsOf),
      out: matrix('out', out, stale),
    },
    attributes: {},
    results: ['out'],
    exact: true,
  };
}

function* signs(): Generator<OpCase> {
  for (const [width, out] of [
    [1, 1],
    [31, 7],
    [32, 5],
    [33, 40],
    [127, 3],
    [128, 17],
    [129, 65],
    [640, 9],
    [4000, 3],
    [8200, 2],
  ] as const)
    for (const rows of [1, 3, 9]) yield signCase({ rows, width, out });
  // the sign of zero, of NaN, of infinities; all agree, none does
  for (const x of [coarse, values(0, -0), values(Number.NaN, -1, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)])
    yield signCase({ rows: 2, width: 70, out: 11, x, weight: coarse });
  for (const width of [129, 8200]) {
    yield signCase({ rows: 2, width, out: 5, x: values(-1), weight: values(-1) });
    yield signCase({ rows: 2, width, out: 5, x: values(-1), weight: values(0) });
  }
}

/** Any bits are codes, those of the padding too. */
function twoBitCase(rows: number, width: number, out: number, x: Fill = { kind: 'normal' }): OpCase {
  const hasBias = rows !== 3;
  return {
    name: `twoBitScores [${rows}, ${width}] -> ${out}${hasBias ? ' + bias' : ''}, ${x.kind}`,
    op: 'twoBitScores',
    rows,
    maxRows: rows + 1,
    operands: {
      x: matrix('x', width, x),
      codes: buffer('codes', 'i32', [out, twoBitWords(width)], { kind: 'integers', below: 2 ** 32 }),
      scales: vector('scales', out, { kind: 'normal' }),
      ...(hasBias && { bias: vector('bias', out, { kind: 'normal' }) }),
      out: matrix('out', out, stale),
    },
    attributes: {},
    results: ['out'],
    exact: true,
  };
}

function* twoBits(): Generator<OpCase> {
  for (const [width, out] of [
    [1, 1],
    [31, 7],
    [33, 40],
    [127, 3],
    [128, 17],
    [129, 65],
    [256, 33],
    [300, 16],
    [640, 9],
    [700, 5],
    [8200, 2],
  ] as const)
    for (const rows of [1, 3, 9]) yield twoBitCase(rows, width, out);
  // every integer at its largest, where sums of 16 bits would overflow; ties of rounding; nothing; what is not finite
  for (const width of [129, 2000]) yield twoBitCase(2, width, 5, values(-1));
  yield twoBitCase(2, 70, 11, values(127, 0.5, 1.5, -0.5, -2.5));
  for (const x of [coarse, values(0, -0), values(1e-32), values(3e38, -3e38, 1), values(1, Number.NaN)])
    yield twoBitCase(2, 70, 11, x);
}

/** Rows of one slot, and of several; marks that are there already. */
function markCase(rows: number, width: number, slots: number, x: Fill): OpCase {
  return {
    name: `markActive [${rows}, ${width}] of ${slots} slots, ${x.kind}`,
    op: 'markActive',
    rows,
    maxRows: rows + 1,
    operands: {
      x: matrix('x', width, x),
      slots: buffer('slots', 'i32', ['rows'], { kind: 'integers', below: slots }),
      marks: buffer('marks', 'f32', [slots, width], values(0, 0, 1, 0, 0)),
    },
    attributes: {},
    results: ['marks'],
    exact: true,
  };
}

function* marks(): Generator<OpCase> {
  for (const [width, rows] of [
    [1, 1],
    [3, 5],
    [17, 9],
    [129, 3],
    [1500, 1],
  ] as const)
    for (const slots of [1, 3]) {
      yield markCase(rows, width, slots, coarse);
      yield markCase(rows, width, slots, { kind: 'sparse', density: 0.2 });
    }
}

export const maskCases: readonly OpCase[] = [...masks(), ...tops(), ...concats(), ...signs(), ...twoBits(), ...marks()];

const fills = fc.constantFrom<Fill>(coarse, { kind: 'normal' }, { kind: 'sparse', density: 0.3 });
const rows = fc.integer({ min: 1, max: 9 });
const width = fc.integer({ min: 1, max: 150 });
const maskArbitrary = fc
  .record({
    kind: fc.constantFrom(...maskKinds),
    rows,
    width,
    x: fills,
    threshold: fc.constantFrom(undefined, 0, 0.5, 1.25, Number.POSITIVE_INFINITY),
    strength: fc.boolean(),
    backward: fc.boolean(),
  })
  .map(({ threshold, backward, ...shape }) =>
    maskCase({ ...shape, ...(threshold !== undefined && { threshold }), backward: backward && shape.kind !== 'step' }),
  );
const topArbitrary = fc
  .record({
    rows,
    groups: fc.integer({ min: 1, max: 40 }),
    groupSize: fc.constantFrom(1, 1, 2, 5),
    stretches: fc.constantFrom(1, 1, 3, 16),
    share: fc.double({ min: 0, max: 1.1, noNaN: true }),
    x: fills,
    scale: fc.constantFrom(undefined, positive, coarse),
    strength: fc.boolean(),
  })
  .map(({ groups, groupSize, stretches, share, scale, ...shape }) => {
    const within = groups * groupSize;
    return topCase({
      ...shape,
      ...(scale && { scale }),
      width: within * stretches,
      within: stretches === 1 ? 0 : within,
      groupSize,
      k: Math.round(groups * share),
    });
  });
const concatArbitrary = fc
  .record({ rows, widths: fc.array(width, { minLength: 2, maxLength: 3 }) })
  .map((shape) => concatCase(shape.rows, shape.widths));
const signArbitrary = fc
  .record({
    rows,
    width: fc.integer({ min: 1, max: 600 }),
    out: fc.integer({ min: 1, max: 40 }),
    x: fills,
    weight: fills,
  })
  .map(signCase);
const twoBitArbitrary = fc
  .record({ rows, width: fc.integer({ min: 1, max: 600 }), out: fc.integer({ min: 1, max: 40 }), x: fills })
  .map(({ rows: count, width: columns, out, x }) => twoBitCase(count, columns, out, x));
const markArbitrary = fc
  .record({ rows, width, slots: fc.integer({ min: 1, max: 4 }), x: fills })
  .map(({ rows: count, width: columns, slots, x }) => markCase(count, columns, slots, x));

/** Random cases of all of them. */
export const chosenArbitrary = fc.oneof(
  { arbitrary: maskArbitrary, weight: 2 },
  { arbitrary: topArbitrary, weight: 2 },
  { arbitrary: concatArbitrary, weight: 1 },
  { arbitrary: signArbitrary, weight: 1 },
  { arbitrary: twoBitArbitrary, weight: 1 },
  { arbitrary: markArbitrary, weight: 1 },
);
