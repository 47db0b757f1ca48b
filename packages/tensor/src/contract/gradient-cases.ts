// The gradient cases of the contract suite: every op that has a gradient, alone or with what it needs around it, small
// enough for finite differences, and a chain that uses one value twice.
import {
  type ActivationKind,
  activationCodes,
  activationFunctions,
  type BufferDecl,
  type ProgramBuilder,
} from '../index.js';
import { buffer, type CaseBuffer, type Fill } from './case.js';
import type { GradientCase } from './gradient-case.js';

const normal: Fill = { kind: 'normal' };
const rows = 3;
const matrix = (name: string, width: number, fill: Fill = normal) => buffer(name, 'f32', ['rows', width], fill);
const vector = (name: string, width: number) => buffer(name, 'f32', [width], normal);
const base = { rows, maxRows: rows, parameters: [], inputs: ['x'] };

/** One op whose operands are the buffers by their names. */
function single(
  kind: Parameters<ProgramBuilder['op']>[0],
  buffers: readonly CaseBuffer[],
  width: number,
  attributes: Readonly<Record<string, number>> = {},
): Pick<GradientCase, 'buffers' | 'build'> {
  const operands = Object.fromEntries(buffers.map(({ decl }) => [decl.name, decl.name]));
  return {
    buffers,
    build: (builder) => {
      const out = builder.activation('out', ['rows', width]);
      builder.op(kind, { ...operands, out }, attributes);
      return out;
    },
  };
}

function* products(): Generator<GradientCase> {
  for (const [inWidth, outWidth] of [
    [1, 1],
    [4, 7],
    [9, 3],
  ] as const)
    for (const transposed of [false, true]) {
      const w = buffer('w', 'f32', transposed ? [inWidth, outWidth] : [outWidth, inWidth], normal, transposed);
      const parts = [matrix('x', inWidth), w, vector('bias', outWidth), matrix('residual', outWidth)];
      yield {
        ...base,
        name: `gradient of linear${transposed ? ' transposed' : ''} ${inWidth} -> ${outWidth}`,
        ...single('linear', parts, outWidth),
        inputs: ['x', 'residual'],
        parameters: ['w', 'bias'],
      };
    }
}

function* norms(): Generator<GradientCase> {
  for (const width of [1, 5, 8])
    for (const bare of [false, true])
      for (const kind of ['rmsNorm', 'layerNorm'] as const) {
        const vectors = bare ? [] : kind === 'rmsNorm' ? ['weight'] : ['weight', 'bias'];
        yield {
          ...base,
          name: `gradient of ${kind}${bare ? ' bare' : ''} ${width}`,
          ...single(kind, [matrix('x', width), ...vectors.map((name) => vector(name, width))], width, { eps: 1e-2 }),
          parameters: vectors,
        };
      }
  for (const centred of [0, 1])
    yield {
      ...base,
      name: `gradient of headNorm ${centred ? 'centred' : ''}`,
      buffers: [matrix('x', 11), buffer('weight', 'f32', [2, 4], normal), buffer('bias', 'f32', [2, 4], normal)],
      parameters: ['weight', 'bias'],
      build: (builder) => {
        const out = copyOf(builder, 'x', 11);
        const attributes = { heads: 2, headDim: 4, centred, eps: 1e-2 };
        builder.op('headNorm', { x: out, weight: 'weight', bias: 'bias' }, attributes);
        return out;
      },
    };
}

/** For ops that work in place. */
function copyOf(builder: ProgramBuilder, x: string, width: number): string {
  const out = builder.activation(`${x}.copy`, ['rows', width]);
  builder.op('activate', { x, out }, { kind: activationCodes.scale, threshold: 1 });
  return out;
}

function* elementwise(): Generator<GradientCase> {
  const thresholds: Partial<Record<ActivationKind, number>> = { relu: 0.4, fatrelu: 0.3, softcap: 3, scale: 0.7 };
  for (const kind of Object.keys(activationFunctions) as ActivationKind[])
    yield {
      ...base,
      name: `gradient of activate ${kind}`,
      ...single('activate', [matrix('x', 9)], 9, { kind: activationCodes[kind], threshold: thresholds[kind] ?? 0 }),
    };
  for (const kind of ['magnitude', 'remainder', 'magnitudeOrEqual'] as const)
    for (const size of [1, 9])
      yield {
        ...base,
        name: `gradient of activate ${kind}, ${size} thresholds`,
        ...single(
          'activate',
          [
            matrix('x', 9),
            buffer('thresholds', 'f32', [size], { kind: 'values', values: [0.5, 0.1, 1, Number.POSITIVE_INFINITY] }),
            buffer('strength', 'f32', ['rows'], { kind: 'values', values: [1, 0, 2] }),
          ],
          9,
          { kind: activationCodes[kind] },
        ),
      };
  yield {
    ...base,
    name: 'gradient of multiply',
    ...single('multiply', [matrix('a', 6), matrix('b', 6)], 6),
    inputs: ['a', 'b'],
  };
}

function* tables(): Generator<GradientCase> {
  const index = buffer('index', 'i32', ['rows'], { kind: 'values', values: [2, 0, 2] });
  const table = buffer('table', 'f32', [4, 5], normal);
  yield {
    ...base,
    name: 'gradient of gather with a row twice',
    ...single('gather', [index, table, matrix('residual', 5)], 5),
    inputs: ['residual'],
    parameters: ['table'],
  };
  const inverse: BufferDecl = { name: 'index.inverse', kind: 'state', dtype: 'i32', shape: ['rows'] };
  yield {
    ...base,
    name: 'gradient of gather from an activation',
    buffers: [buffer('index', 'i32', ['rows'], { kind: 'values', values: [2, 0, 1] }), matrix('x', 5)],
    inverses: { index: inverse },
    prepare: (view) => view(inverse.name).set([1, 2, 0]),
    build: (builder) => {
      const out = builder.activation('out', ['rows', 5]);
      builder.op('gather', { index: 'index', table: copyOf(builder, 'x', 5), out });
      return out;
    },
  };
  const reversed: BufferDecl = { name: 'table.inverse', kind: 'state', dtype: 'f32', shape: [6, 4] };
  yield {
    ...base,
    name: 'gradient of rope',
    buffers: [
      matrix('x', 15),
      buffer('positions', 'i32', ['rows'], { kind: 'integers', below: 6 }),
      buffer('table', 'f32', [6, 4], normal),
    ],
    inverses: { table: reversed },
    prepare: (view) => {
      const table = view('table') as Float32Array;
      view(reversed.name).set(table.map((value, i) => (i % 4 < 2 ? value : -value)));
    },
    build: (builder) => {
      const out = copyOf(builder, 'x', 15);
      builder.op('rope', { x: out, positions: 'positions', table: 'table' }, { heads: 2, headDim: 5 });
      return out;
    },
  };
}

function* attentions(): Generator<GradientCase> {
  for (const { heads, kvHeads, window, biased } of [
    { heads: 1, kvHeads: 1, window: 0, biased: false },
    { heads: 4, kvHeads: 2, window: 0, biased: true },
    { heads: 3, kvHeads: 1, window: 2, biased: false },
  ]) {
    const headDim = 3;
    const width = (heads + 2 * kvHeads) * headDim;
    const cache = (name: string) => buffer(name, 'f32', [2, 1, kvHeads, 4, headDim], normal);
    yield {
      ...base,
      name: `gradient of attention ${heads}/${kvHeads} heads${window ? `, window ${window}` : ''}${biased ? ', key bias' : ''}`,
      rows: 6,
      maxRows: 6,
      buffers: [
        matrix('x', width),
        // two sequences, their rows mixed
        buffer('positions', 'i32', ['rows'], { kind: 'values', values: [0, 0, 1, 2, 1, 3] }),
        buffer('slots', 'i32', ['rows'], { kind: 'values', values: [1, 0, 1, 1, 0, 1] }),
        cache('k'),
        cache('v'),
        ...(biased ? [buffer('keyBias', 'f32', [heads, 4], normal)] : []),
      ],
      build: (builder) => {
        const x = copyOf(builder, 'x', width);
        const where = { positions: 'positions', slots: 'slots', k: 'k', v: 'v' };
        const out = builder.activation('out', ['rows', heads * headDim]);
        const [firstKey, firstValue] = [heads * headDim, (heads + kvHeads) * headDim];
        builder.op('storeKv', { x, ...where }, { layer: 0, firstKey, firstValue });
        const keyBias = biased ? 'keyBias' : undefined;
        builder.op('attention', { x, ...where, keyBias, out }, { layer: 0, heads, window, scale: headDim ** -0.5 });
        return out;
      },
    };
  }
}

/** Two sequences, their rows mixed, and a third that begins in the slot of the first. */
const places = (...slots: readonly number[]) => [
  buffer('positions', 'i32', ['rows'], { kind: 'values', values: [0, 0, 1, 2, 1, 0, 1] }),
  buffer('slots', 'i32', ['rows'], { kind: 'values', values: slots }),
];

/** Other numbers than those of a buffer beside it. */
const twice: Fill = { kind: 'normal', scale: 2 };

function* recurrences(): Generator<GradientCase> {
  const sequences = { ...base, rows: 7, maxRows: 8 };
  for (const width of [3, 5, 18]) {
    const where = places(1, 0, 1, 1, 0, 1, 1);
    yield {
      ...sequences,
      name: `gradient of tokenShift ${width}`,
      ...single('tokenShift', [matrix('x', width), ...where, buffer('state', 'f32', [2, width], normal)], width),
    };
    yield {
      ...sequences,
      name: `gradient of mix ${width}`,
      ...single('mix', [matrix('a', width), matrix('b', width, twice), vector('weight', width)], width),
      inputs: ['a', 'b'],
      parameters: ['weight'],
    };
    for (const scale of [1, 4])
      yield {
        ...sequences,
        name: `gradient of wkv ${width}, keys of ${scale}`,
        ...single(
          'wkv',
          [
            matrix('k', width, { kind: 'normal', scale }),
            matrix('v', width, twice),
            ...['decay', 'first'].map((name) => vector(name, width)),
            ...where,
            buffer('state', 'f32', [2, 3 * width], normal),
          ],
          width,
        ),
        inputs: ['k', 'v'],
        parameters: ['decay', 'first'],
      };
  }
  // x by itself and shifted, in two mixes: gradients of both ways add up
  yield {
    ...sequences,
    name: 'gradient of tokens mixed with those before',
    buffers: [
      matrix('x', 4),
      ...places(1, 0, 1, 1, 0, 1, 1),
      buffer('state', 'f32', [2, 4], normal),
      vector('one', 4),
      vector('two', 4),
    ],
    parameters: ['one', 'two'],
    build: (builder) => {
      const of = (name: string) => builder.activation(name, ['rows', 4]);
      const [before, first, second, out] = [of('before'), of('mixed.one'), of('mixed.two'), of('out')];
      builder.op('tokenShift', { x: 'x', positions: 'positions', slots: 'slots', state: 'state', out: before });
      builder.op('mix', { a: 'x', b: before, weight: 'one', out: first });
      builder.op('mix', { a: 'x', b: before, weight: 'two', out: second });
      builder.op('multiply', { a: first, b: second, out });
      return out;
    },
  };
}

/** x feeds two branches and a residual; one weight serves twice. */
const shared: GradientCase = {
  ...base,
  name: 'gradient of a value and a weight that are used more than once',
  buffers: [matrix('x', 4), buffer('w', 'f32', [4, 4], normal), vector('weight', 4)],
  parameters: ['w', 'weight'],
  build: (builder) => {
    const of = (name: string) => builder.activation(name, ['rows', 4]);
    const [normed, up, gate, product, out] = [of('normed'), of('up'), of('gate'), of('product'), of('out')];
    builder.op('rmsNorm', { x: 'x', weight: 'weight', out: normed }, { eps: 1e-3 });
    builder.op('linear', { x: normed, w: 'w', out: up });
    builder.op('activate', { x: normed, out: gate }, { kind: activationCodes.silu, threshold: 0 });
    builder.op('multiply', { a: gate, b: up, out: product });
    builder.op('linear', { x: product, w: 'w', residual: normed, out });
    return out;
  },
};

export const gradientCases: readonly GradientCase[] = [
  ...products(),
  ...norms(),
  ...elementwise(),
  ...tables(),
  ...attentions(),
  ...recurrences(),
  shared,
];
