// The life of a model within one command: load it (showing progress), use it, dispose it, also when Ctrl-C or SIGTERM
// comes in between.
import type { LoadOptions, Model } from '@relufy/models';
import { Interruption } from './failure.js';
import { showProgress } from './load-progress.js';

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

/** Loads a model, showing progress. It is the caller's to dispose. */
export async function openModel(source: string, options: LoadOptions): Promise<Model> {
  const progress = showProgress(source, process.stderr);
  const { loadModel } = await import('./node/load-model.js');
  return loadModel(source, { ...options, onProgress: progress.hear }).finally(progress.clear);
}

/** Runs work whose signal aborts on Ctrl-C and SIGTERM. */
export async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interruption = new AbortController();
  const release = abortOnSignals(interruption);
  try {
    return await work(interruption.signal);
  } finally {
    release();
  }
}

/** A second signal does not wait for the first to be obeyed. */
function abortOnSignals(controller: AbortController): () => void {
  const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;
  const heard = (name: NodeJS.Signals) => {
    const exitCode = exitCodes[name as keyof typeof exitCodes];
    if (controller.signal.aborted) process.exit(exitCode);
    controller.abort(new Interruption(exitCode));
  };
  const names = Object.keys(exitCodes) as (keyof typeof exitCodes)[];
  for (const name of names) process.on(name, heard);
  return () => {
    for (const name of names) process.off(name, heard);
  };
}
