// Decoding and prefill under sparsity plans, on a synthetic model: masks at the inputs of every projection, of neurons, of
// the largest few, or a predictor of neurons, against dense SiLU weights of the same size and format, interleaved. Thresholds
// are set layer by layer to the quantile that keeps the wanted share; what was skipped is counted in every step.
// Does not own the model (synthetic-model.ts), its shape (decode.ts) or the clock (measure.ts).
import { inputPlaces, type Mask, type MaskPlace, type ModelSpec, placesName } from '@relufy/models';
import { type BufferDecl, type DType, type HostBackend, RelufyError } from '@relufy/tensor';
import { rwkvShape, tinyLlamaShape } from './decode.js';
import { summary, takeTurns } from './measure.js';
import { percent, type Table } from './report.js';
import { normalQuantile, randomNumbers } from './synthetic.js';
import { type LoadedStep, SyntheticModel } from './synthetic-model.js';

/**
 * `inputs`: a magnitude mask of its own before each projection, as TEAL has them; `shared`: one for q, k and v, one for gate
 * and up; `top`: as `shared`, the largest few of a row instead of a threshold; `groups`: of every 32; `neurons`: a magnitude
 * mask of what the gate lets through, as CATS; `relu`: a ReLU instead of SiLU; `predictor`: the same, and a low-rank
 * predictor that knows the gate, in bf16; `signs` and `partial`: the same by sign bits, and by the gate over half of the
 * inputs from an int4 copy, with thresholds at a recall of 0.95, and `two-bit` by two bits of each of its weights; `own`: no plan, the zeros that the shape has by itself.
 */
const planKinds = [
  'inputs',
  'shared',
  'top',
  'groups',
  'neurons',
  'relu',
  'predictor',
  'signs',
  'partial',
  'two-bit',
  'own',
] as const;
export type PlanKind = (typeof planKinds)[number];

export interface PlanPoint {
  readonly kind: PlanKind;
  /** Share of inputs or neurons that is kept. */
  readonly density: number;
}

export interface PlanResult extends PlanPoint {
  /** Of the weight bytes of the blocks, those of a dense step. */
  readonly skipped: number;
  readonly tokensPerSecond: number;
  readonly denseTokensPerSecond: number;
  /** Medians of ratios within rounds. */
  readonly decodeSpeedUp: number;
  readonly prefillSpeedUp: number;
  /** Over the ReLU without a predictor, on the same weights. */
  readonly overExact?: number;
  /** Of a token. */
  readonly bytes: number;
  readonly denseBytes: number;
  /** Of them the predictor's. */
  readonly predictorBytes: number;
  /** Share of the neurons that the predictor proposes. */
  readonly proposed?: number;
  readonly spread: number;
}

export interface PlanBenchOptions {
  readonly seconds: number;
  /** Rows of a prefill step. */
  readonly prefillRows: number;
}

/** Of the synthetic gate, and of its predictor. */
const predictorRank = 48;
/** Neurons with a gate row of their own; the rest repeats them. */
const distinctNeurons = 1024;
/** By so much of a standard deviation the predictor's bar lies below the ReLU's. */
const predictorMargin = 0.1;

/** `inputs:0.5,predictor:0.1`: kinds, each with the share that is kept. */
export function parsePlans(text: string): PlanPoint[] {
  return text.split(',').map((point) => {
    const [kind, number, ...rest] = point.split(':');
    const density = Number(number);
    if (!planKinds.includes(kind as PlanKind) || rest.length > 0 || !(density > 0 && density <= 1))
      throw new RelufyError(
        'option',
        `--plans "${point}": expected KIND:SHARE, a kind of ${planKinds.join(', ')} and the share kept, above 0 and at most 1. For example inputs:0.5,predictor:0.1.`,
      );
    return { kind: kind as PlanKind, density };
  });
}

export async function benchPlans(
  backend: HostBackend,
  shape: ModelSpec,
  dtype: DType,
  points: readonly PlanPoint[],
  { seconds, prefillRows }: PlanBenchOptions,
): Promise<PlanResult[]> {
  const dense = await SyntheticModel.open(backend, shape, dtype, { maxRows: prefillRows });
  try {
    const denseStep = dense.load(shape, 'dense');
    const results: PlanResult[] = [];
    for (const point of points) {
      const spec = specOf(shape, point);
      const model = await SyntheticModel.open(backend, spec, dtype, {
        maxRows: prefillRows,
        rowsOf: gateRows(shape, point),
      });
      try {
        await setThresholds(model, spec, point);
        results.push(await compare({ model: dense, step: denseStep }, model, spec, point, { seconds, prefillRows }));
      } finally {
        await model.dispose();
      }
    }
    return results;
  } finally {
    await dense.dispose();
  }
}

/** Rows of a prefill in the table. */
const prefillRows = 128;

/** What plans can be timed on. */
export const planShapes = ['tinyllama', 'rwkv'] as const;

/** Kinds of plans that need no gate. */
const gateless: readonly PlanKind[] = ['inputs', 'shared', 'top', 'groups', 'own'];

/** Of a shape, with so many layers where they are given. */
export async function plansTable(
  backend: HostBackend,
  dtype: DType,
  plans: readonly PlanPoint[],
  {
    shape: name,
    layers,
    seconds,
  }: { readonly shape: (typeof planShapes)[number]; readonly layers?: number; readonly seconds: number },
): Promise<Table> {
  const whole = name === 'rwkv' ? rwkvShape() : tinyLlamaShape('gated');
  const shape = { ...whole, numHiddenLayers: layers ?? whole.numHiddenLayers };
  const wrong = plans.find(({ kind }) => !gateless.includes(kind));
  if (name === 'rwkv' && wrong)
    throw new RelufyError(
      'option',
      `--plans "${wrong.kind}": expected a kind that needs no gate for the shape rwkv (${gateless.join(', ')}), got ${wrong.kind}.`,
    );
  const results = await benchPlans(backend, shape, dtype, plans, { seconds, prefillRows });
  const ratio = (value: number | undefined) => value?.toFixed(2) ?? '';
  return {
    title: `Sparsity plans, ${dtype}`,
    note: `${describe(shape)}, random weights; one token, another every step, and a prefill of ${prefillRows}; the plan's exact program equals its dense one bit for bit, checked first; against the dense program of the shape without a plan interleaved, medians of ratios. Skipped: of the blocks' weight bytes. Over exact: over the same ReLU without predictor.`,
    columns: [
      'plan',
      'skipped',
      'tokens/s',
      'dense tokens/s',
      'speed-up',
      'prefill',
      'over exact',
      'MB/token',
      'dense MB',
      'predictor MB',
      'proposed',
      'spread',
    ],
    rows: results.map((result) => [
      `${result.kind} ${percent(result.density)}`,
      percent(result.skipped),
      result.tokensPerSecond.toFixed(1),
      result.denseTokensPerSecond.toFixed(1),
      ratio(result.decodeSpeedUp),
      ratio(result.prefillSpeedUp),
      ratio(result.overExact),
      (result.bytes / 1e6).toFixed(0),
      (result.denseBytes / 1e6).toFixed(0),
      (result.predictorBytes / 1e6).toFixed(1),
      result.proposed === undefined ? '' : percent(result.proposed),
      percent(result.spread),
    ]),
  };
}

function describe({ hiddenSize, intermediateSize, numHiddenLayers, vocabSize, mixer, ffn }: ModelSpec): string {
  const mixed =
    mixer.kind === 'attention' ? `${mixer.numAttentionHeads}/${mixer.numKeyValueHeads} heads, position 128` : 'RWKV-4';
  return `Hidden ${hiddenSize}, FFN ${intermediateSize} (${ffn.activation.kind}), ${numHiddenLayers} layers, ${mixed}, ${vocabSize} tokens`;
}

async function compare(
  dense: { readonly model: SyntheticModel; readonly step: LoadedStep },
  model: SyntheticModel,
  spec: ModelSpec,
  point: PlanPoint,
  { seconds, prefillRows: rows }: PlanBenchOptions,
): Promise<PlanResult> {
  const step = model.load(spec, 'exact');
  const whole = model.load(spec, 'dense');
  await model.checkEqual(step, whole);
  await model.checkEqual(step, whole, Math.min(rows, 8));
  const { predictor, ...unpredicted } = spec;
  const exact = predictor && model.load(unpredicted, 'exact');
  let [steps, bytes, blockBytes, predictorBytes] = [0, 0, 0, 0];
  const gate = { read: 0, rows: 0 };
  const decode = await takeTurns(
    {
      dense: () => dense.model.run(dense.step),
      plan: () => model.run(step),
      // between tasks, so that it is not timed
      count: async () => {
        steps++;
        for (const read of model.readsOf(step)) {
          const size = read.read * read.rowBytes;
          bytes += size;
          if (read.layer >= 0) blockBytes += size;
          if (read.site === 'predictor') predictorBytes += size;
          if (!read.weight.endsWith('.gate.weight')) continue;
          gate.read += read.read;
          gate.rows += read.rows;
        }
      },
      exact: async () => {
        if (exact) await model.run(exact);
      },
    },
    { seconds },
  );
  const prefill = await takeTurns(
    { dense: () => dense.model.run(dense.step, { rows }), plan: () => model.run(step, { rows }) },
    { seconds: seconds / 3, warmups: 1, minRounds: 3 },
  );
  const sizes = dense.step.built.reads.map((read) => ({ layer: read.layer, bytes: read.rows * read.rowBytes }));
  const sum = (some: typeof sizes) => some.reduce((all, one) => all + one.bytes, 0);
  const speedUp = (over: readonly number[], of: readonly number[]) =>
    summary(over.map((ms, round) => ms / (of[round] as number))).ms;
  return {
    ...point,
    skipped: 1 - blockBytes / steps / sum(sizes.filter(({ layer }) => layer >= 0)),
    tokensPerSecond: 1000 / decode.plan.ms,
    denseTokensPerSecond: 1000 / decode.dense.ms,
    decodeSpeedUp: speedUp(decode.dense.samples, decode.plan.samples),
    prefillSpeedUp: speedUp(prefill.dense.samples, prefill.plan.samples),
    ...(exact && { overExact: speedUp(decode.exact.samples, decode.plan.samples) }),
    bytes: bytes / steps,
    denseBytes: sum(sizes),
    predictorBytes: predictorBytes / steps,
    ...(predictor && { proposed: gate.read / gate.rows }),
    spread: Math.max(decode.plan.spread, decode.dense.spread),
  };
}

function specOf(shape: ModelSpec, { kind, density }: PlanPoint): ModelSpec {
  const perLayer = (value: number) => Array.from({ length: shape.numHiddenLayers }, () => value);
  const sharedPlaces: readonly (readonly MaskPlace[])[] = inputPlaces(shape);
  const masks = (lists: readonly (readonly MaskPlace[])[], mask: (at: readonly MaskPlace[]) => Mask): ModelSpec => ({
    ...shape,
    masks: lists.map(mask),
  });
  switch (kind) {
    case 'own':
      return shape;
    case 'inputs':
      return masks(
        inputPlaces(shape)
          .flat()
          .map((place) => [place]),
        (at) => ({ at, kind: 'magnitude' }),
      );
    case 'shared':
      return masks(sharedPlaces, (at) => ({ at, kind: 'magnitude' }));
    case 'top':
      return masks(sharedPlaces, (at) => {
        const width = at.includes('down') ? shape.intermediateSize : shape.hiddenSize;
        return { at, kind: 'top', k: perLayer(Math.round(width * density)) };
      });
    case 'groups':
      return masks(sharedPlaces, (at) => ({ at, kind: 'top', within: 32, k: perLayer(Math.round(32 * density)) }));
    case 'neurons':
      return masks([['neurons']], (at) => ({ at, kind: 'magnitude' }));
    default: {
      const activation = { kind: 'relu', threshold: normalQuantile(1 - density) } as const;
      const relu: ModelSpec = { ...shape, ffn: { ...shape.ffn, activation } };
      if (kind === 'relu') return relu;
      if (kind === 'predictor') return { ...relu, predictor: { rank: perLayer(predictorRank), dtype: 'bf16' } };
      // alpha says only that there is a predictor: thresholds are a neuron's own
      if (kind === 'signs') return { ...relu, predictor: { kind, alpha: perLayer(100), perNeuron: true } };
      if (kind === 'two-bit') return { ...relu, predictor: { kind, bits: perLayer(2) } };
      return { ...relu, predictor: { kind, inputs: perLayer(Math.round(shape.hiddenSize / 2)), perNeuron: true } };
    }
  }
}

/** With a ReLU, whose gate is judged. */
const gateKinds: readonly PlanKind[] = ['relu', 'predictor', 'signs', 'partial', 'two-bit'];

/**
 * A gate that a predictor can know: rows b a of unit length, so that pre-activations are normal; b and a are the predictor's
 * too. The same in every layer.
 */
function gateRows({ hiddenSize }: ModelSpec, { kind }: PlanPoint) {
  if (!gateKinds.includes(kind)) return () => undefined;
  const next = randomNumbers(48);
  const matrix = (rows: number, columns: number) =>
    Array.from({ length: rows }, () => Float32Array.from({ length: columns }, () => next()));
  const a = matrix(predictorRank, hiddenSize);
  const b = matrix(distinctNeurons, predictorRank);
  const gate = b.map((shares) => {
    const row = new Float32Array(hiddenSize);
    a.forEach((direction, k) => {
      for (let i = 0; i < hiddenSize; i++)
        row[i] = (row[i] as number) + (shares[k] as number) * (direction[i] as number);
    });
    const length = Math.hypot(...row);
    for (const values of [row, shares])
      for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) / length;
    return row;
  });
  return ({ name, shape: [rows] }: BufferDecl) => {
    const of = (matrixRows: readonly Float32Array[]) => ({
      count: Math.min(rows as number, matrixRows.length),
      row: (index: number) => matrixRows[index] as Float32Array,
    });
    if (name.endsWith('.gate.weight')) return of(gate);
    if (name.endsWith('.predictor.b')) return of(b);
    return name.endsWith('.predictor.a') ? of(a) : undefined;
  };
}

/** Layer by layer, since what a layer leaves out changes the size of the inputs after it. */
async function setThresholds(model: SyntheticModel, spec: ModelSpec, { density }: PlanPoint): Promise<void> {
  const layers = Array.from({ length: spec.numHiddenLayers }, (_, layer) => layer);
  if (spec.predictor?.kind !== undefined) return setRecalls(model, spec, layers);
  if (spec.predictor)
    for (const layer of layers)
      model.view(`layers.${layer}.predictor.threshold`).fill(spec.ffn.activation.threshold - predictorMargin);
  const names = (spec.masks ?? []).filter(({ kind }) => kind === 'magnitude').map(({ at }) => placesName(at));
  // a threshold of 0 keeps all: nothing to set
  if (names.length === 0 || density === 1) return;
  const tapped = model.load(
    spec,
    'dense',
    layers.flatMap((layer) => names.map((name) => `${name}.${layer}`)),
  );
  for (const layer of layers)
    for (const group of [names.filter((name) => name !== 'o' && name !== 'down'), ['o'], ['down']]) {
      const some = group.filter((name) => names.includes(name));
      if (some.length === 0) continue;
      await model.run(tapped);
      for (const name of some) {
        const kept = tapped.loaded.view(tapped.built.taps.get(`${name}.${layer}`) as string) as Float32Array;
        const sizes = Float32Array.from(kept.subarray(0, widthOf(spec, name)), Math.abs).sort();
        const place = Math.min(sizes.length - 1, Math.floor((1 - density) * sizes.length));
        model.view(`layers.${layer}.${name}.threshold`).fill(sizes[place] as number);
      }
    }
}

/** Of the active neurons, those that a threshold lets through; and steps whose scores it is set by. */
const [recall, scoredSteps] = [0.95, 12];

/** Thresholds of scores that nothing was trained for: where so many of the active neurons of some steps have more. */
async function setRecalls(model: SyntheticModel, spec: ModelSpec, layers: readonly number[]): Promise<void> {
  const { threshold } = spec.ffn.activation;
  const taps = layers.flatMap((layer) => [`predictorScores.${layer}`, `preActivation.${layer}`]);
  // everything is proposed until then
  for (const layer of layers) model.view(`layers.${layer}.predictor.threshold`).fill(Number.NEGATIVE_INFINITY);
  const { loaded, built } = model.load(spec, 'dense', taps);
  const active: number[][] = layers.map(() => []);
  for (let step = 0; step < scoredSteps; step++) {
    await model.run({ loaded, built });
    for (const layer of layers) {
      const [scores, before] = ['predictorScores', 'preActivation'].map(
        (tap) => loaded.view(built.taps.get(`${tap}.${layer}`) as string) as Float32Array,
      ) as [Float32Array, Float32Array];
      for (let i = 0; i < spec.intermediateSize; i++)
        if ((before[i] as number) > threshold) active[layer]?.push(scores[i] as number);
    }
  }
  for (const layer of layers) {
    const sorted = (active[layer] as number[]).sort((a, b) => a - b);
    // a score has to be above it
    const least = (sorted[Math.floor((1 - recall) * sorted.length)] ?? 0) - 1e-6;
    model.view(`layers.${layer}.predictor.threshold`).fill(least);
  }
}

const widthOf = ({ hiddenSize, intermediateSize }: ModelSpec, name: string): number =>
  name === 'down' || name === 'neurons' ? intermediateSize : hiddenSize;
