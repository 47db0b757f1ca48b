// The model that a plan is made for, as the plan names it. Does not own how plans are refused (@relufy/models).
import { formatFreeFingerprint, type LoadOptions, type ModelFiles, planModel, type SparsityPlan } from '@relufy/models';

/** Its name and fingerprint, and how many positions it has. */
export async function baseModelOf(
  files: ModelFiles,
  relufy: LoadOptions['relufy'],
  signal: AbortSignal | undefined,
): Promise<{ model: NonNullable<SparsityPlan['baseModel']>; positions: number }> {
  const plan = await planModel(files, { ...(relufy && { relufy }), ...(signal && { signal }) });
  try {
    return {
      model: {
        // a path is of one machine
        name: files.name.split('/').at(-1) as string,
        anyFormat: await formatFreeFingerprint(plan.spec, plan.checkpoint, signal),
      },
      positions: plan.spec.maxPositionEmbeddings,
    };
  } finally {
    await plan.close();
  }
}
