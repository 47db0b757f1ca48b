// What the options of loading have to be, in one table; planning, inspecting and opening files take some of the same.
// Does not own what they mean (load-model.ts) nor what a relufication may be (spec.ts).

import { someFiles } from '@relufy/checkpoint';
import {
  aBoolean,
  aFunction,
  aNumber,
  anything,
  aSignal,
  aText,
  aWhole,
  type Backend,
  checkOptions,
  checkValue,
  either,
  type OptionRules,
  oneOf,
  type Rule,
  weightDTypes,
} from '@relufy/tensor';
import { isModel } from '../model.js';
import { checkRelufyOptions } from '../sparsity/relufy.js';
import { speculateOf } from '../speculation/options.js';
import type { LoadFilesOptions, LoadOptions } from './load-model.js';
import { aBudget } from './memory-budget.js';

/** What makes a backend one of ours or a user's. */
function isBackend(value: unknown): boolean {
  const backend = value as Partial<Backend> | null;
  return (
    typeof backend === 'object' &&
    backend !== null &&
    typeof backend.createSession === 'function' &&
    Array.isArray(backend.weightDTypes)
  );
}

const slotCount = aWhole(1, 1024);

/** `{ most, kvBytes }` */
const slotsByBytes: Rule = {
  expected: 'most and kvBytes',
  fits: (value) => {
    const { most, kvBytes, ...others } = (value ?? {}) as { most?: unknown; kvBytes?: unknown };
    return slotCount.fits(most) && aNumber(1).fits(kvBytes) && Object.keys(others).length === 0;
  },
};

const aPlan: Rule = { expected: 'a path, a URL, a name or an object that opens files', fits: isSource };

const rules: OptionRules<LoadOptions> = {
  backend: either('auto, native, wasm, reference or a backend', oneOf('auto', 'native', 'wasm', 'reference'), {
    expected: 'a backend',
    fits: isBackend,
  }),
  dtype: either(`auto, ${weightDTypes.join(', ')}`, oneOf('auto', ...weightDTypes)),
  threads: aWhole(1, 256),
  sparsity: oneOf('exact', 'dense'),
  relufy: anything, // relufy.ts looks into it
  plan: aPlan,
  draftPlan: aPlan,
  speculate: anything, // speculation/options.ts looks into it
  contextLength: aWhole(1),
  kvCache: oneOf('f32', 'f16'),
  slots: either('a whole number from 1 to 1024, or { most, kvBytes }', slotCount, slotsByBytes),
  reuse: aBoolean,
  memoryBudget: aBudget,
  favourHeld: aNumber(0, 100),
  waitingBytes: aWhole(0),
  revision: aText,
  subfolder: aText,
  token: either('a text or false', aText, oneOf(false)),
  cacheDir: aText,
  localFilesOnly: aBoolean,
  onProgress: aFunction,
  signal: aSignal,
};

/**
 * Refuses what no loading could take, before any file is looked for.
 * @throws RelufyError `option` for options that do not exist or do not fit.
 */
export function checkLoadOptions(call: string, options: LoadOptions | LoadFilesOptions): void {
  checkOptions(call, options, rules);
  if (options.relufy !== undefined) checkRelufyOptions(options.relufy);
  if (options.speculate !== undefined) speculateOf('loadModel', options.speculate, isModel);
}

function isSource(value: unknown): boolean {
  return (
    (typeof value === 'string' && value !== '') || value instanceof URL || isModelUrls(value) || someFiles.fits(value)
  );
}

/** @throws RelufyError `option` for what names no model: neither a text, a URL, nor files. */
export function checkSource(call: string, source: unknown): void {
  checkValue(`${call}: model`, source, {
    expected: 'a name, a path, a URL, { urls } or an object that opens files',
    fits: isSource,
  });
}

/** `{ name, urls }`: what each URL is, is checked where it is opened. */
function isModelUrls(value: unknown): boolean {
  const { name, urls } = (value ?? {}) as { name?: unknown; urls?: unknown };
  return (name === undefined || typeof name === 'string') && typeof urls === 'object' && urls !== null;
}
