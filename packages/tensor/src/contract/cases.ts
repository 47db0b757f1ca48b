// The op cases of the contract suite: every op at the sizes where kernels break (0, 1, lanes - 1, lanes, lanes + 1,
// tails of each tile), every dtype, with and without each optional operand, every density.
// Longer than 400 lines because it is one list, and a file a group would hide what is missing.
import {
  type ActivationKind,
  activationCodes,
  activationFunctions,
  blockDTypes,
  blockSize,
  blocksOf,
  type Dim,
  type DType,
  isBlockDType,
  weightDTypes,
} from '../index.js';
import { buffer, type Fill, type OpCase, sentinel } from './case.js';
import { maskCases } from './mask-cases.js';
import { recurrentCases } from './recurrent-cases.js';
import { trainingCases } from './training-cases.js';

const normal: Fill = { kind: 'normal' };
const stale: Fill = { kind: 'constant', value: sentinel };
const rowCounts = [1, 2, 3, 5, 9];
const widths = [1, 3, 4, 5, 8, 15, 16, 17, 33, 64, 100];
const productShapes = [
  [1, 1],
  [3, 5],
  [4, 4],
  [5, 3],
  [7, 16],
  [8, 9],
  [16, 33],
  [31, 17],
  [64, 64],
  [70, 130],
  [256, 96],
] as const;
const densities = [0, 0.05, 0.5, 1];

const vector = (name: string, width: number) => buffer(name, 'f32', [width], normal);
const matrix = (name: string, width: Dim, fill: Fill = normal) => buffer(name, 'f32', ['rows', width], fill);

function* rowwise(): Generator<OpCase> {
  for (const width of widths)
    for (const rows of rowCounts) {
      const base = { rows, maxRows: rows + 1, results: ['out'] };
      const [x, out] = [matrix('x', width), matrix('out', width, stale)];
      const weight = vector('weight', width);
      const bias = vector('bias', width);
      const at = `[${rows}, ${width}]`;
      yield { ...base, name: `rmsNorm ${at}`, op: 'rmsNorm', operands: { x, weight, out }, attributes: { eps: 1e-5 } };
      yield {
        ...base,
        name: `layerNorm ${at}`,
        op: 'layerNorm',
        operands: { x, weight, bias, out },
        attributes: { eps: 1e-5 },
      };
      if (rows === 1) {
        yield { ...base, name: `rmsNorm bare ${at}`, op: 'rmsNorm', operands: { x, out }, attributes: { eps: 1e-6 } };
        yield {
          ...base,
          name: `layerNorm bare ${at}`,
          op: 'layerNorm',
          operands: { x, out },
          attributes: { eps: 1e-5 },
        };
      }
      // sums of squares that leave f32, alone or with all of their row
      for (const scale of rows === 2 ? [3e18, 1e30, 5e37] : []) {
        const operands = { x: matrix('x', width, { kind: 'normal', scale }), weight, bias, out };
        const wide = { ...base, attributes: { eps: 1e-5 } };
        const { bias: _, ...rms } = operands;
        yield { ...wide, name: `rmsNorm of ${scale} ${at}`, op: 'rmsNorm', operands: rms };
        yield { ...wide, name: `layerNorm of ${scale} ${at}`, op: 'layerNorm', operands };
      }
      const a = matrix('a', width, { kind: 'sparse', density: 0.4 });
      const b = matrix('b', width);
      yield { ...base, name: `roundRow ${at}`, op: 'roundRow', operands: { x: a, out }, attributes: {} };
      yield { ...base, name: `multiply ${at}`, op: 'multiply', operands: { a, b, out }, attributes: {} };
      const onto = { a, b, residual: matrix('residual', width), out };
      yield { ...base, name: `multiply, residual ${at}`, op: 'multiply', operands: onto, attributes: {} };
    }
}

function* activations(): Generator<OpCase> {
  const thresholds: Partial<Record<ActivationKind, number>> = { relu: 0.4, fatrelu: 0.3, softcap: 15, scale: 0.7 };
  const corners: Fill = {
    kind: 'values',
    values: [0, -0, 1e-30, -1e-30, 0.3, 0.4, 4, -4, 12, -12, 90, -90, 1e4, -1e4],
  };
  // a cap of 0 has no meaning
  for (const kind of Object.keys(activationFunctions) as ActivationKind[])
    for (const threshold of new Set(kind === 'softcap' ? [15] : [0, thresholds[kind] ?? 0]))
      for (const [width, rows, fill] of [
        [1, 1, normal],
        [17, 3, normal],
        [64, 2, { kind: 'normal', scale: 6 }],
        [14, 1, corners],
      ] as const)
        yield {
          name: `activate ${kind} ${threshold} [${rows}, ${width}]`,
          op: 'activate',
          rows,
          maxRows: 4,
          operands: { x: matrix('x', width, fill), out: matrix('out', width, stale) },
          attributes: { kind: activationCodes[kind], threshold },
          results: ['out'],
        };
}

function* selections(): Generator<OpCase> {
  for (const width of widths)
    for (const density of densities)
      for (const rows of [1, 4])
        yield {
          name: `selectActive density ${density} [${rows}, ${width}]`,
          op: 'selectActive',
          rows,
          maxRows: 5,
          operands: {
            x: matrix('x', width, { kind: 'sparse', density }),
            active: buffer('active', 'i32', ['rows', width], { kind: 'constant', value: -1 }),
            activeCount: buffer('activeCount', 'i32', ['rows'], { kind: 'constant', value: -1 }),
          },
          attributes: {},
          results: ['activeCount', 'active'],
        };
}

function* products(): Generator<OpCase> {
  for (const dtype of weightDTypes)
    for (const [inWidth, outWidth] of productShapes)
      for (const rows of rowCounts)
        for (const transposed of [false, true]) {
          const full = rows % 2 === 1;
          yield {
            name: `linear ${dtype}${transposed ? ' transposed' : ''}${full ? ' + bias + residual' : ''} [${rows}, ${inWidth}] -> ${outWidth}`,
            op: 'linear',
            rows,
            maxRows: rows,
            operands: {
              ...quantizable(
                dtype,
                transposed,
                inWidth,
                matrix('x', inWidth, transposed ? { kind: 'sparse', density: 0.5 } : normal),
              ),
              w: buffer('w', dtype, transposed ? [inWidth, outWidth] : [outWidth, inWidth], normal, transposed),
              ...(full ? { bias: vector('bias', outWidth), residual: matrix('residual', outWidth) } : {}),
              out: matrix('out', outWidth, stale),
            },
            attributes: {},
            results: ['out'],
          };
        }
}

/** Weights so small that the f16 scales of their blocks are subnormal, or zero. */
function* smallScales(): Generator<OpCase> {
  for (const dtype of blockDTypes)
    for (const scale of [2e-3, 2e-5, 1e-9])
      for (const transposed of [false, true])
        for (const rows of [1, 9])
          yield {
            name: `linear ${dtype}${transposed ? ' transposed' : ''}, weights of ${scale} [${rows}, 70] -> 130`,
            op: 'linear',
            rows,
            maxRows: rows,
            operands: {
              ...quantizable(dtype, transposed, 70, matrix('x', 70)),
              w: buffer('w', dtype, transposed ? [70, 130] : [130, 70], { kind: 'normal', scale }, transposed),
              out: matrix('out', 130, stale),
            },
            attributes: {},
            results: ['out'],
          };
}

function* sparseProducts(): Generator<OpCase> {
  for (const dtype of weightDTypes)
    for (const [inWidth, outWidth] of productShapes)
      for (const density of densities)
        for (const rows of [1, 3, 8]) {
          const at = `${dtype} density ${density} [${rows}, ${inWidth}] -> ${outWidth}`;
          const bias = vector('bias', outWidth);
          yield {
            name: `gemvRows ${at}`,
            op: 'gemvRows',
            rows,
            maxRows: 8,
            operands: {
              ...quantizable(dtype, false, inWidth, matrix('x', inWidth)),
              w: buffer('w', dtype, [outWidth, inWidth], normal),
              ...selectionOf(matrix('mask', outWidth, { kind: 'sparse', density })),
              ...(rows === 3 ? { bias } : {}),
              out: matrix('out', outWidth, stale),
            },
            attributes: {},
            results: ['out'],
          };
          const x = matrix('x', inWidth, { kind: 'sparse', density });
          // a list that comes from elsewhere (a predictor, earlier tokens) may hold zeros of x; at 1 it holds everything
          for (const also of density < 1 && rows === (inWidth % 2 === 0 ? 3 : 8)
            ? [undefined, inWidth % 3 === 0 ? 1 : 3]
            : [undefined])
            yield {
              name: `axpyRows ${at}${also === undefined ? '' : `, every ${also}. listed`}`,
              op: 'axpyRows',
              rows,
              maxRows: 8,
              operands: {
                x,
                w: buffer('w', dtype, [inWidth, outWidth], normal, true),
                ...selectionOf(x, also),
                ...(rows === 3 ? { bias, residual: matrix('residual', outWidth) } : {}),
                out: matrix('out', outWidth, stale),
              },
              attributes: {},
              results: ['out'],
            };
        }
}

/** The x of a product: f32, or quantised where a row-major block format wants it so. */
export function quantizable(dtype: DType, transposed: boolean, inWidth: number, x: OpCase['operands'][string]) {
  if (!isBlockDType(dtype) || transposed) return { x };
  const blocks = blocksOf(inWidth);
  return {
    x: buffer('x', 'i8', ['rows', blocks * blockSize], { kind: 'quantizedOf', source: x, part: 'values' }),
    xScales: buffer('xScales', 'f32', ['rows', blocks], { kind: 'quantizedOf', source: x, part: 'xScales' }),
    xSums: buffer('xSums', 'i32', ['rows', blocks], { kind: 'quantizedOf', source: x, part: 'xSums' }),
  };
}

function* quantizations(): Generator<OpCase> {
  for (const width of [1, 31, 32, 33, 64, 100, 256])
    for (const [rows, fill] of [
      [1, normal],
      [3, { kind: 'sparse', density: 0.1 }],
      [2, { kind: 'normal', scale: 1e-33 }],
    ] as const) {
      const blocks = blocksOf(width);
      yield {
        name: `quantize [${rows}, ${width}] ${fill.kind}`,
        op: 'quantize',
        rows,
        maxRows: 4,
        operands: {
          x: matrix('x', width, fill),
          values: buffer('values', 'i8', ['rows', blocks * blockSize], { kind: 'constant', value: 1 }),
          xScales: buffer('xScales', 'f32', ['rows', blocks], stale),
          xSums: buffer('xSums', 'i32', ['rows', blocks], { kind: 'constant', value: 1 }),
        },
        attributes: {},
        results: ['values', 'xScales', 'xSums'],
      };
    }
}

/** The active list and count that belong to a mask operand: the suite fills them from the mask's non-zeros. */
function selectionOf(mask: OpCase['operands'][string], also?: number) {
  const width = mask.decl.shape[1] as Dim;
  const listed = { mask, ...(also !== undefined && { also }) };
  return {
    active: buffer('active', 'i32', ['rows', width], { kind: 'indicesOf', ...listed }),
    activeCount: buffer('activeCount', 'i32', ['rows'], { kind: 'countsOf', ...listed }),
  };
}

function* gathers(): Generator<OpCase> {
  for (const dtype of weightDTypes)
    for (const width of widths)
      for (const residual of [false, true])
        yield {
          name: `gather ${dtype}${residual ? ' + residual' : ''} width ${width}`,
          op: 'gather',
          rows: 4,
          maxRows: 5,
          operands: {
            index: buffer('index', 'i32', ['rows'], { kind: 'integers', below: 11 }),
            table: buffer('table', dtype, [11, width], normal),
            ...(residual ? { residual: matrix('residual', width) } : {}),
            out: matrix('out', width, stale),
          },
          attributes: {},
          results: ['out'],
        };
}

function* ropes(): Generator<OpCase> {
  for (const [headDim, rotaryDim] of [
    [2, 2],
    [8, 8],
    [16, 4],
    [24, 24],
    [64, 32],
  ] as const)
    for (const heads of [1, 3])
      yield {
        name: `rope ${heads} heads of ${headDim}, rotary ${rotaryDim}`,
        op: 'rope',
        rows: 3,
        maxRows: 4,
        operands: {
          x: matrix('x', (heads + 1) * headDim),
          positions: buffer('positions', 'i32', ['rows'], { kind: 'integers', below: 20 }),
          table: buffer('table', 'f32', [20, rotaryDim], normal),
        },
        attributes: { heads, headDim },
        results: ['x'],
      };
}

function* headNorms(): Generator<OpCase> {
  for (const headDim of [1, 4, 5, 16, 20, 64])
    for (const [heads, rows] of [
      [1, 1],
      [3, 2],
      [6, 5],
    ] as const)
      for (const centred of [0, 1])
        for (const part of [{}, { weight: true }, { weight: true, bias: true }] as { weight?: true; bias?: true }[])
          for (const scale of heads === 3 ? [1, 1e30] : [1])
            yield {
              name: `headNorm ${centred ? 'centred ' : ''}${Object.keys(part).join(' ')} ${heads} heads of ${headDim}, ${rows} rows${scale === 1 ? '' : `, of ${scale}`}`,
              op: 'headNorm',
              rows,
              maxRows: rows + 1,
              operands: {
                // what lies after the heads stays as it is: beside normed numbers only while it is no larger
                x: matrix('x', (scale === 1 ? heads + 1 : heads) * headDim, { kind: 'normal', scale }),
                ...(part.weight && { weight: buffer('weight', 'f32', [heads, headDim], normal) }),
                ...(part.bias && { bias: buffer('bias', 'f32', [heads, headDim], normal) }),
              },
              attributes: { heads, headDim, centred, eps: 1e-5 },
              results: ['x'],
            };
}

function* attentions(): Generator<OpCase> {
  const shapes = [
    { heads: 1, kvHeads: 1, headDim: 4, capacity: 3 },
    { heads: 4, kvHeads: 4, headDim: 8, capacity: 9 },
    { heads: 6, kvHeads: 2, headDim: 16, capacity: 21 },
    { heads: 3, kvHeads: 1, headDim: 5, capacity: 40 },
    { heads: 9, kvHeads: 3, headDim: 64, capacity: 70 },
  ];
  for (const { heads, kvHeads, headDim, capacity } of shapes)
    for (const [window, biased, dtype] of [
      [0, false, 'f32'],
      [0, true, 'f32'],
      [4, false, 'f32'],
      [0, false, 'f16'],
      [3, true, 'f16'],
    ] as const)
      for (const scale of window === 0 ? [1, 1e25] : [1]) {
        const width = (heads + 2 * kvHeads) * headDim;
        // with queries of 1e25 and keys as large, scores leave f32
        const size = dtype === 'f32' && scale !== 1 ? 1e25 : 1;
        const cache = (name: string) =>
          buffer(name, dtype, [3, 2, kvHeads, capacity, headDim], { kind: 'normal', scale: name === 'k' ? size : 1 });
        const rows = Math.min(4, capacity);
        const common = {
          x: matrix('x', width, { kind: 'normal', scale }),
          positions: buffer('positions', 'i32', ['rows'], {
            kind: 'values',
            values: [0, capacity - 1, capacity >> 1, 2],
          }),
          slots: buffer('slots', 'i32', ['rows'], { kind: 'values', values: [2, 0, 1, 2] }),
          k: cache('k'),
          v: cache('v'),
        };
        const at = `${heads}/${kvHeads} heads of ${headDim}, capacity ${capacity}, ${dtype} cache, of ${scale}`;
        yield {
          name: `attention ${at}${window ? `, window ${window}` : ''}${biased ? ', key bias' : ''}`,
          op: 'attention',
          rows,
          maxRows: 4,
          operands: {
            ...common,
            ...(biased ? { keyBias: buffer('keyBias', 'f32', [heads, capacity], normal) } : {}),
            out: matrix('out', heads * headDim, stale),
          },
          attributes: { layer: 1, heads, window, scale: headDim ** -0.5 },
          results: ['out'],
        };
        if (window === 0 && !biased && scale === 1)
          yield {
            name: `storeKv ${at}`,
            op: 'storeKv',
            rows,
            maxRows: 4,
            operands: common,
            attributes: { layer: 1, firstKey: heads * headDim, firstValue: (heads + kvHeads) * headDim },
            results: ['k', 'v'],
          };
      }
}

function* logProbs(): Generator<OpCase> {
  for (const width of [1, 5, 16, 333])
    for (const scale of [1, 30])
      yield {
        name: `logProb width ${width}, scale ${scale}`,
        op: 'logProb',
        rows: 3,
        maxRows: 4,
        operands: {
          logits: matrix('logits', width, { kind: 'normal', scale }),
          target: buffer('target', 'i32', ['rows'], { kind: 'integers', below: width }),
          logprob: buffer('logprob', 'f32', ['rows'], stale),
          best: buffer('best', 'i32', ['rows'], { kind: 'constant', value: -1 }),
        },
        attributes: {},
        results: ['logprob', 'best'],
      };
}

/** Every case, in the op table's order of appearance. */
export const opCases: readonly OpCase[] = [
  ...rowwise(),
  ...activations(),
  ...maskCases,
  ...selections(),
  ...products(),
  ...smallScales(),
  ...sparseProducts(),
  ...gathers(),
  ...ropes(),
  ...headNorms(),
  ...attentions(),
  ...logProbs(),
  ...quantizations(),
  ...recurrentCases,
  ...trainingCases,
];
