// A sparsity plan as the files of a folder in memory, with numbers for every buffer that it asks for.
import {
  encodeSafetensors,
  type ModelFiles,
  memoryFiles,
  planWeightsFile,
  type TensorToWrite,
} from '@relufy/checkpoint';
import { planBuffers } from '../decoder/decoder-buffers.js';
import { applyPlan, type ModelSpec, planConfigFile, planJson, type SparsityPlan } from '../index.js';

export interface PlanTensor {
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
}

export async function planFolder(plan: SparsityPlan, tensors: ReadonlyMap<string, PlanTensor>): Promise<ModelFiles> {
  const written = [...tensors].map(
    ([name, { shape, values }]): TensorToWrite => ({ name, dtype: 'F32', shape, data: Float32Array.from(values) }),
  );
  return memoryFiles('plan', {
    [planConfigFile]: planJson(plan),
    ...(written.length > 0 && { [planWeightsFile]: await encodeSafetensors(written) }),
  });
}

/** What the plan needs for this model, each number by the buffer's name and its place there. */
export function planTensors(
  spec: ModelSpec,
  plan: SparsityPlan,
  numberAt: (buffer: string, index: number) => number,
): Map<string, PlanTensor> {
  return new Map(
    planBuffers(applyPlan('test', spec, plan)).map(({ name, shape }) => {
      const sizes = shape as readonly number[];
      const length = sizes.reduce((product, size) => product * size, 1);
      return [name, { shape: sizes, values: Array.from({ length }, (_, index) => numberAt(name, index)) }];
    }),
  );
}
