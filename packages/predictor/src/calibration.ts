// What a calibration gives: a plan, the numbers of its tensors, and what it was found to cost; as the files of a plan's
// folder. Does not own how it is found nor the format (@relufy/models).
import { encodeSafetensors, type ModelFiles, memoryFiles, planWeightsFile } from '@relufy/checkpoint';
import { planConfigFile, planJson, type SparsityPlan } from '@relufy/models';
import { narrowToBf16 } from '@relufy/tensor';

export interface PlanTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
  /** How the file holds it; default F32. */
  readonly stored?: 'BF16';
}

/** A plan with its numbers. */
export interface PlanDraft {
  readonly plan: SparsityPlan;
  /** By name, as `sparsity_model.safetensors` has them. */
  readonly tensors: ReadonlyMap<string, PlanTensor>;
}

/** What a plan did on the trial text. */
export interface Trial {
  /** Share of the blocks' weight bytes that were skipped; what a plan reads besides them counts against it. */
  readonly sparsity: number;
  readonly perplexity: number;
  /** Share of the weights read, by site, mean of the layers. */
  readonly density: Readonly<Record<string, number>>;
  /** The same, a layer each. */
  readonly layers: Readonly<Record<string, readonly number[]>>;
}

export interface Calibration extends PlanDraft {
  readonly trial: Trial;
  readonly densePerplexity: number;
}

/** The files of a plan's folder. */
export async function planContents({ plan, tensors }: PlanDraft): Promise<Map<string, string | Uint8Array>> {
  const files = new Map<string, string | Uint8Array>([[planConfigFile, planJson(plan)]]);
  const written = [...tensors].map(([name, { shape, values, stored }]) => ({
    name,
    dtype: stored ?? ('F32' as const),
    shape: [...shape],
    data: stored ? narrowToBf16(values) : values,
  }));
  if (written.length > 0) files.set(planWeightsFile, await encodeSafetensors(written));
  return files;
}

/** A plan's folder in memory, as `loadModel` takes it. */
export async function planFolder(draft: PlanDraft): Promise<ModelFiles> {
  return memoryFiles('plan', Object.fromEntries(await planContents(draft)));
}
