// The life of a model within one command: load it (showing progress), use it, dispose it, also when Ctrl-C or SIGTERM
// comes in between (signals.ts).
import type { LoadOptions, Model, ModelFiles, ModelSource, SourceOptions } from '@relufy/models';
import { showProgress } from './load-progress.js';
import { type SpeculateValues, speculationOf } from './options.js';
import { untilInterrupted } from './signals.js';

/**
 * Loads a model for `use` and disposes it afterwards, however `use` ends. The signal aborts on Ctrl-C and SIGTERM.
 * @throws Interruption when a signal ended the command; else what loading or `use` throws.
 */
export async function withModel<T>(
  source: string,
  options: LoadOptions,
  use: (model: Model, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return untilInterrupted(async (signal) => {
    const model = await openModel(source, { ...options, signal });
    try {
      const result = await use(model, signal);
      signal.throwIfAborted();
      return result;
    } finally {
      await model.dispose();
    }
  });
}

/**
 * The same with drafts, as `--speculate` asks for them: a model that drafts is loaded first, with the same format and threads.
 */
export async function withSpeculatingModel<T>(
  source: string,
  options: LoadOptions,
  values: SpeculateValues,
  use: (model: Model, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const speculation = speculationOf(values);
  if (speculation.model === undefined) return withModel(source, { ...options, ...speculation.options }, use);
  const { plan: _, revision: __, sparsity: ___, ...shared } = options;
  const { draftTokens: tokens } = values;
  return withModel(speculation.model, shared, (draft) =>
    withModel(source, { ...options, speculate: { draft, ...(tokens !== undefined && { tokens }) } }, use),
  );
}

/** Loads a model, showing progress. It is the caller's to dispose. */
export async function openModel(source: string, options: LoadOptions): Promise<Model> {
  const progress = showProgress(source, process.stderr);
  const { loadModel } = await import('./node/load-model.js');
  return loadModel(source, { ...options, onProgress: progress.hear }).finally(progress.clear);
}

/** The files that a source names; what is downloaded for them is shown. */
export async function openShown(source: ModelSource, options: SourceOptions = {}): Promise<ModelFiles> {
  const progress = showProgress(typeof source === 'string' ? source : 'model', process.stderr);
  const { openSource } = await import('./node/load-model.js');
  return openSource(source, { ...options, onProgress: progress.hear }).finally(progress.clear);
}
