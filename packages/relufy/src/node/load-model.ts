// `loadModel` in Node, where a model is most often a folder.
import { stat } from 'node:fs/promises';
import {
  type LoadOptions,
  loadModel as load,
  type Model,
  type ModelFiles,
  type ModelSource,
  openModelFiles,
  type SourceOptions,
  withOpenPlan,
} from '@relufy/models';
import { readyMadePlans } from '@relufy/predictor/plans';
import { resolveSource } from '../source.js';
import { packagedModel, packagedUrls } from './packaged-model.js';

/**
 * Loads a model: config, weights, tokenizer.
 * @throws RelufyError, one, saying what does not fit; nothing is left allocated.
 */
export async function loadModel(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  return load(await openSource(source, options), await withOpenPlan(options, openSource));
}

const packaged = new Map([[packagedModel, packagedUrls]]);

/** The files that a source names, bundled names of models and plans included. */
export function openSource(source: ModelSource, options: SourceOptions = {}): Promise<ModelFiles> {
  const plan = readyMadePlans.find(({ name }) => name === source);
  if (plan) return openModelFiles({ name: plan.name, urls: plan.urls() }, options);
  return resolveSource(source, exists, (found) => openModelFiles(found, options), packaged);
}

/** A folder, or a single file, which the loader refuses or reads in its own words. */
async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
