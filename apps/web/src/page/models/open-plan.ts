// From a person's choice of a sparsity plan to its files: picked ones, or those that come with the page, a few kilobytes each.
// Does not own which plans there are (@relufy/predictor) nor what is kept of models (model-store.ts).
import { blobFiles, type ModelFiles } from '@relufy/checkpoint';
import { readyMadePlans } from '@relufy/predictor/plans';
import type { PlanChoice } from '../engine/engine.js';
import { withoutFolder } from './open-choice.js';

export async function openPlan(choice: PlanChoice, signal: AbortSignal): Promise<ModelFiles> {
  if (choice.kind === 'files') return blobFiles(choice.name, withoutFolder(choice.files));
  const plan = readyMadePlans.find(({ name }) => name === choice.name);
  if (plan === undefined) throw new Error(`${choice.name}: this page has no such plan. Choose another, or none.`);
  const files = await Promise.all(
    Object.entries(plan.urls()).map(async ([name, url]) => {
      const response = await fetch(url, { signal });
      if (!response.ok) throw new Error(`${plan.name}/${name}: the server answers ${response.status}.`);
      return [name, await response.blob()] as const;
    }),
  );
  return blobFiles(plan.name, Object.fromEntries(files));
}
