// Predictors as PowerInfer publishes them (arXiv 2312.12456; repositories such as PowerInfer/ReluLLaMA-7B-Predictor): one file
// a layer, `model_K.pt`, a state dict of fc1.weight [rank, hidden] and fc2.weight [neurons, rank], ranks of their own, a ReLU
// between them, fed the residual stream before the FFN's norm; a neuron is computed where its logit is at least
// `sparse_threshold` of config.json (0 without one). Does not own reading such files (@relufy/checkpoint).
import { type ModelFiles, openStateDict } from '@relufy/checkpoint';
import { type ModelSource, openModelFiles, type PredictorDType, planModel } from '@relufy/models';
import { isFiniteBuffer, parseJson, RelufyError, show, showNames, widen } from '@relufy/tensor';
import { baseModelOf } from './base-model.js';
import type { PlanTensor } from './calibration.js';
import { type PredictorDraft, thresholdName } from './proposals.js';

export interface PowerInferOptions {
  /** How the matrices are held. Default: bf16. */
  readonly predictorDType?: PredictorDType;
  /** Least logit of a neuron that is computed. Default: as the folder's config.json says, else 0. */
  readonly threshold?: number;
  readonly signal?: AbortSignal;
}

/**
 * The plan that computes what PowerInfer would, for the model they were made for. A layer without a file has no predictor.
 * @throws RelufyError `checkpoint` for files that are no predictors of this model, `io` where there are none.
 */
export async function powerInferPlan(
  predictors: ModelFiles,
  source: ModelSource,
  { predictorDType: dtype = 'bf16', threshold, signal }: PowerInferOptions = {},
): Promise<PredictorDraft> {
  const files = await openModelFiles(source, { ...(signal && { signal }) });
  const model = await planModel(files, { ...(signal && { signal }) });
  const { hiddenSize, intermediateSize, numHiddenLayers } = model.spec;
  await model.close();
  if (threshold !== undefined && !Number.isFinite(Math.fround(threshold)))
    throw new RelufyError(
      'option',
      `powerInferPlan option "threshold": expected a number below 3.4e38, got ${show(threshold)}.`,
    );
  const base = await baseModelOf(files, undefined, signal);
  const least = threshold ?? (await sparseThreshold(predictors, signal));
  const tensors = new Map<string, PlanTensor>();
  const rank: number[] = [];
  for (let layer = 0; layer < numHiddenLayers; layer++) {
    const found = await readLayer(predictors, layer, { hiddenSize, intermediateSize }, signal);
    rank.push(found?.rank ?? 0);
    if (found === undefined) continue;
    const stored = dtype === 'f32' ? {} : { stored: 'BF16' as const };
    tensors.set(`layers.${layer}.predictor.a`, { shape: [found.rank, hiddenSize], values: found.fc1, ...stored });
    tensors.set(`layers.${layer}.predictor.b`, { shape: [intermediateSize, found.rank], values: found.fc2, ...stored });
    tensors.set(thresholdName(layer), { shape: [1], values: Float32Array.of(justBelow(least)) });
  }
  if (tensors.size === 0)
    throw new RelufyError(
      'io',
      `${predictors.name}: expected predictors, model_0.pt to model_${numHiddenLayers - 1}.pt, got none of them. Name the folder of a PowerInfer predictor.`,
    );
  const predictor = { rank, relu: true, input: 'residual', ...(dtype !== 'f32' && { dtype }) } as const;
  return { plan: { method: 'powerinfer', baseModel: base.model, predictor }, tensors };
}

async function readLayer(
  files: ModelFiles,
  layer: number,
  { hiddenSize, intermediateSize }: { readonly hiddenSize: number; readonly intermediateSize: number },
  signal: AbortSignal | undefined,
): Promise<{ readonly rank: number; readonly fc1: Float32Array; readonly fc2: Float32Array } | undefined> {
  const file = `model_${layer}.pt`;
  const weights = await openStateDict(files, file, signal);
  if (weights === undefined) return undefined;
  const fail = (expected: string, got: string): never => {
    throw new RelufyError(
      'checkpoint',
      `${files.name} ${file}: expected ${expected}, got ${got}. Take the predictors that were made for this model.`,
    );
  };
  try {
    const shapeOf = (name: string): readonly number[] =>
      weights.tensors.get(name)?.shape ?? fail(`a tensor ${name}`, showNames(weights.tensors.keys()));
    const [first, second] = [shapeOf('fc1.weight'), shapeOf('fc2.weight')];
    const other = [...weights.tensors.keys()].find((name) => name !== 'fc1.weight' && name !== 'fc2.weight');
    if (other !== undefined) fail('fc1.weight and fc2.weight alone', show(other));
    const rank = first[0] as number;
    if (first.length !== 2 || first[1] !== hiddenSize || rank < 1 || rank > 4 * hiddenSize)
      fail(`fc1.weight [1 to ${4 * hiddenSize},${hiddenSize}]`, show(first));
    if (second.join() !== `${intermediateSize},${rank}`) fail(`fc2.weight [${intermediateSize},${rank}]`, show(second));
    const read = async (name: string, rows: number) => {
      const { dtype, data } = await weights.readRows(name, 0, rows, signal);
      const values = Float32Array.from(widen(dtype, data));
      return isFiniteBuffer('f32', values, 0) ? values : fail(`finite numbers in ${name}`, 'NaN or infinity');
    };
    return { rank, fc1: await read('fc1.weight', rank), fc2: await read('fc2.weight', intermediateSize) };
  } finally {
    await weights.close();
  }
}

async function sparseThreshold(files: ModelFiles, signal: AbortSignal | undefined): Promise<number> {
  const text = await files.readText('config.json', { limitBytes: 1 << 20, signal });
  if (text === undefined) return 0;
  let value: unknown;
  try {
    value = (parseJson(text) as { sparse_threshold?: unknown } | null)?.sparse_threshold ?? 0;
  } catch (cause) {
    throw new RelufyError('config', `${files.name} config.json: expected JSON, got ${show(text.slice(0, 40))}.`, {
      cause,
    });
  }
  if (typeof value === 'number' && Number.isFinite(Math.fround(value))) return value;
  throw new RelufyError(
    'config',
    `${files.name} config.json "sparse_threshold": expected a number${typeof value === 'number' ? ' below 3.4e38' : ''}, got ${show(value)}.`,
  );
}

/** The largest f32 below: our scores have to be above a threshold, PowerInfer's at least it. */
function justBelow(value: number): number {
  const one = new Float32Array([value]);
  if (one[0] === 0) return -(2 ** -126); // the least that is not flushed to zero
  const bits = new Int32Array(one.buffer);
  bits[0]! += (one[0] as number) > 0 ? -1 : 1;
  return one[0] as number;
}
