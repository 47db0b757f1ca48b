// Decoding of a whole synthetic model at stated densities, exact sparse against dense SiLU weights of the same size, in
// turns. Weights are random, so pre-activations are normal: a shift of the ReLU sets the density at down, a bias of the
// norms that at the inputs of qkv and gate or up (stage 2). What was reached is counted in every step, and told.
// Does not own the shape (decode.ts) or the clock (measure.ts).
import { type ModelSpec, relufy, withNormRelu } from '@relufy/models';
import { type DType, type HostBackend, RelufyError } from '@relufy/tensor';
import { takeTurns } from './measure.js';
import { normalQuantile } from './synthetic.js';
import { type LoadedStep, SyntheticModel } from './synthetic-model.js';

/** Shares of what is not zero; without `qkv` and `upGate` the norms have no ReLU. */
export interface DensityPoint {
  readonly down: number;
  readonly qkv?: number;
  readonly upGate?: number;
}

export interface SparseDecodeResult {
  readonly wanted: DensityPoint;
  readonly reached: Required<DensityPoint>;
  readonly tokensPerSecond: number;
  readonly denseTokensPerSecond: number;
  readonly bytes: number;
  readonly denseBytes: number;
  readonly spread: number;
}

export async function benchSparseDecode(
  backend: HostBackend,
  shape: ModelSpec,
  dtype: DType,
  points: readonly DensityPoint[],
  seconds: number,
): Promise<SparseDecodeResult[]> {
  const open: SyntheticModel[] = [];
  const openOne = async (spec: ModelSpec) => {
    const opened = await SyntheticModel.open(backend, spec, dtype);
    open.push(opened);
    return opened;
  };
  try {
    const dense = await openOne(shape);
    const denseStep = dense.load(shape, 'dense');
    const results: SparseDecodeResult[] = [];
    const models = new Map<boolean, SyntheticModel>();
    for (const wanted of points) {
      const stage2 = wanted.qkv !== undefined;
      const stage1 = relufy(shape, { stage: 1 });
      const relu = stage2 ? withNormRelu({ ...stage1, norm: { ...shape.norm, kind: 'layer', bias: true } }) : stage1;
      const model = models.get(stage2) ?? (await openOne(relu));
      models.set(stage2, model);
      setInputs(model, relu, wanted);
      const step = await calibrate(model, relu, wanted.down);
      const reached = { down: 0, qkv: 0, upGate: 0 };
      let [steps, bytes] = [0, 0];
      const times = await takeTurns(
        {
          dense: () => dense.run(denseStep),
          sparse: () => model.run(step),
          // between tasks, so that it is not timed
          count: async () => {
            steps++;
            const counted = count(model, step);
            bytes += counted.bytes;
            for (const site of ['down', 'qkv', 'upGate'] as const) reached[site] += counted[site];
          },
        },
        { seconds },
      );
      results.push({
        wanted,
        reached: { down: reached.down / steps, qkv: reached.qkv / steps, upGate: reached.upGate / steps },
        tokensPerSecond: 1000 / times.sparse.ms,
        denseTokensPerSecond: 1000 / times.dense.ms,
        bytes: bytes / steps,
        denseBytes: count(dense, denseStep).bytes,
        spread: Math.max(times.sparse.spread, times.dense.spread),
      });
    }
    return results;
  } finally {
    for (const model of open) await model.dispose();
  }
}

/** Biases of the norms behind which a ReLU stands. */
function setInputs(model: SyntheticModel, { numHiddenLayers }: ModelSpec, { qkv, upGate }: DensityPoint): void {
  if (qkv === undefined || upGate === undefined) return;
  for (let layer = 0; layer < numHiddenLayers; layer++) {
    model.view(`layers.${layer}.attentionNorm.bias`).fill(normalQuantile(qkv));
    model.view(`layers.${layer}.ffnNorm.bias`).fill(normalQuantile(upGate));
  }
}

/** The exact step whose ReLU is shifted so far that the wanted share passes, checked against the dense one. */
async function calibrate(model: SyntheticModel, spec: ModelSpec, wanted: number): Promise<LoadedStep> {
  const shifted = (threshold: number): ModelSpec => ({
    ...spec,
    ffn: { ...spec.ffn, activation: { kind: 'relu', threshold } },
  });
  let [low, high] = [0, 5];
  for (let round = 0; round < 9; round++) {
    const threshold = (low + high) / 2;
    const density = await densityOf(model, model.load(shifted(threshold), 'exact'));
    if (density > wanted) low = threshold;
    else high = threshold;
  }
  const threshold = (low + high) / 2;
  const exact = model.load(shifted(threshold), 'exact');
  await model.checkEqual(exact, model.load(shifted(threshold), 'dense'));
  return exact;
}

async function densityOf(model: SyntheticModel, step: LoadedStep): Promise<number> {
  let sum = 0;
  const tokens = 4;
  for (let i = 0; i < tokens; i++) {
    await model.run(step);
    sum += count(model, step).down;
  }
  return sum / tokens;
}

/** Of the last step: shares that were read, means over layers, and bytes of weights. */
function count(model: SyntheticModel, step: LoadedStep): Required<DensityPoint> & { readonly bytes: number } {
  const shares = { down: [0, 0], qkv: [0, 0], upGate: [0, 0] } as Record<keyof DensityPoint, [number, number]>;
  let bytes = 0;
  for (const { site, rows, rowBytes, read } of model.readsOf(step)) {
    bytes += read * rowBytes;
    const share = shares[site as keyof DensityPoint];
    if (share === undefined) continue;
    share[0] += read;
    share[1] += rows;
  }
  const of = ([read, all]: [number, number]) => read / all;
  return { bytes, down: of(shares.down), qkv: of(shares.qkv), upGate: of(shares.upGate) };
}

/** `0.35` or `0.28/0.5/0.5`: down, then qkv and upGate. */
export function parseDensities(text: string): DensityPoint[] {
  return text.split(',').map((point) => {
    const numbers = point.split('/').map(Number);
    const [down, qkv, upGate] = numbers as [number, number?, number?];
    if ((numbers.length !== 1 && numbers.length !== 3) || !numbers.every((share) => share > 0 && share < 1))
      throw new RelufyError(
        'option',
        `--densities "${point}": expected DOWN or DOWN/QKV/UP, shares between 0 and 1. For example 0.3,0.25/0.5/0.5.`,
      );
    return { down, ...(qkv !== undefined && { qkv }), ...(upGate !== undefined && { upGate }) };
  });
}
