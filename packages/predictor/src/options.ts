// What `calibrate` is asked for: methods, targets, budgets, and the rules that options have to keep. Does not own what a
// method does nor how a target is met.
import type { LoadOptions, MaskPlace } from '@relufy/models';
import {
  aBoolean,
  aFunction,
  aNumber,
  anObject,
  anything,
  aSignal,
  aText,
  aWhole,
  checkOptions,
  checkValue,
  either,
  type OptionRules,
  objectOf,
  oneOf,
  RelufyError,
} from '@relufy/tensor';
import type { Journal } from './journal.js';

/** Papers and rules: docs of each method. */
export const calibrationMethods = [
  'teal',
  'hard-shrink',
  'wina',
  'r-sparse',
  'cats',
  'chess',
  'cett',
  'fatrelu',
  'top',
  'groups',
  'random',
] as const;

export type CalibrationMethod = (typeof calibrationMethods)[number];

/**
 * How zeros are shared out among sites: `uniform` (all alike), `greedy` (within a block, by what it does to the block's
 * output: TEAL, arXiv 2408.14690), `loss` (among all sites of all blocks, by what each costs at the model's end),
 * `evolutionary` (from there, by trying shares of blocks, as WiSparse does, arXiv 2602.14452; of the method r-sparse all sites
 * alike, and rho of every linear layer is looked for, as R-Sparse does).
 * `sequential` (of hard-shrink: a threshold after the other, each as high as a budget of loss a site allows, as sparse RWKV does).
 */
export const allocations = ['uniform', 'greedy', 'loss', 'evolutionary', 'sequential'] as const;

export type Allocation = (typeof allocations)[number];

/** One of these says how much is left out. */
export interface CalibrationTarget {
  /** Share of the blocks' weight bytes that a token skips, as measured on the trial text, 0 to 1. */
  readonly sparsity?: number;
  /** Share kept by place, on the calibration text and by the dense model's numbers: `{ down: 0.3 }`. Others stay whole. */
  readonly density?: Readonly<Partial<Record<MaskPlace, number>>>;
  /** The most that perplexity of the trial text may rise: 0.01 is one percent. */
  readonly perplexityIncrease?: number;
  /** Of the method cett: the error that leaving out neurons may make (0.2 in the papers). */
  readonly cett?: number;
  /** Of the allocation sequential: how much the loss may grow by each threshold: 0.0005 in the paper. It compounds. */
  readonly siteLossIncrease?: number;
}

export interface CalibrationOptions extends CalibrationTarget {
  readonly method: CalibrationMethod;
  /** Default: uniform. */
  readonly allocation?: Allocation;
  /** Tokens of the text that statistics are made of. Default 4096. */
  readonly tokens?: number;
  /** Tokens after them on which plans are tried; 0: they are tried on the same. Default 2048. */
  readonly trialTokens?: number;
  /** Tokens of a sequence; each begins at position 0. Default 512. */
  readonly window?: number;
  /** Tokens of the longest sequence that `Calibrator.score` takes. Default: the window. */
  readonly contextLength?: number;
  /** Of random channels and of evolution. Default 1. */
  readonly seed?: number;
  /** Tokens at the beginning of a sequence that are computed whole. Default 0. */
  readonly denseTokens?: number;
  /** WINA: whose columns make the norms. `projection`: each its own (the paper); `site`: of all that read the same input
   * together; `release`: only k and gate have norms, as in the released code. Default: projection. */
  readonly norms?: 'projection' | 'site' | 'release';
  /** WINA: the k largest of each token, or a threshold. Default: top, but threshold where the allocation is not uniform. */
  readonly select?: 'top' | 'threshold';
  /** CHESS: q and o by their inputs too. Default true. */
  readonly attention?: boolean;
  /** CHESS: what stands for `up`: its root mean square, or the mean of its magnitudes. Default rms. */
  readonly kappa?: 'rms' | 'mean';
  /** R-Sparse: the share of the budget that goes to channels, the rest to ranks. Default 0.9. */
  readonly rho?: number;
  /** `groups`: neighbours among which a share is kept. Default 32. */
  readonly within?: number;
  /** Of evolution: how many live on from one generation to the next, 4 or more. Default 8; of r-sparse 32. */
  readonly population?: number;
  /** Of evolution. Default 4; of r-sparse 5 for each four blocks. */
  readonly generations?: number;
  /** Names the text in the plan. */
  readonly text?: string;
  /** How the model is loaded: it is calibrated as it will be run. */
  readonly load?: Omit<LoadOptions, 'plan' | 'sparsity' | 'slots' | 'contextLength' | 'signal' | 'onProgress'>;
  /** Remembers what was measured, so that a run that was ended goes on from there. */
  readonly journal?: Journal;
  readonly signal?: AbortSignal;
  /** Hears what is done, and the share of it that is. */
  readonly onProgress?: (what: string, share: number) => void;
}

const share = aNumber(0, 1);

const rules: OptionRules<CalibrationOptions> = {
  method: oneOf(...calibrationMethods),
  allocation: oneOf(...allocations),
  sparsity: share,
  density: objectOf(share, 'shares from 0 to 1 by place'),
  perplexityIncrease: aNumber(0, 1000),
  cett: share,
  siteLossIncrease: aNumber(0, 10),
  // counts of a site's numbers are 32 bits wide
  tokens: aWhole(2, 1 << 18),
  trialTokens: aWhole(0, 1 << 18),
  window: aWhole(2),
  contextLength: aWhole(2),
  seed: aWhole(0),
  denseTokens: aWhole(0),
  norms: oneOf('projection', 'site', 'release'),
  select: oneOf('top', 'threshold'),
  attention: aBoolean,
  kappa: oneOf('rms', 'mean'),
  rho: share,
  within: aWhole(1),
  population: aWhole(4, 1024),
  generations: aWhole(1, 1024),
  text: aText,
  load: anObject,
  journal: either('a journal', anything),
  signal: aSignal,
  onProgress: aFunction,
};

const ofOneMethod = {
  cett: 'cett',
  siteLossIncrease: 'hard-shrink',
  norms: 'wina',
  select: 'wina',
  attention: 'chess',
  kappa: 'chess',
  rho: 'r-sparse',
  within: 'groups',
} as const;

/** @throws RelufyError `option` for options that do not exist, do not fit, or contradict each other. */
export function checkCalibrationOptions(options: CalibrationOptions): void {
  checkOptions('calibrate', options, rules);
  checkValue('calibrate option "method"', options.method, rules.method);
  const targets = (['sparsity', 'density', 'perplexityIncrease', 'cett', 'siteLossIncrease'] as const).filter(
    (name) => options[name] !== undefined,
  );
  if (targets.length !== 1)
    throw new RelufyError(
      'option',
      `calibrate: expected one target (sparsity, density, perplexityIncrease, cett or siteLossIncrease), got ${targets.join(' and ') || 'none'}.`,
    );
  for (const [name, method] of Object.entries(ofOneMethod))
    if (options[name as keyof typeof ofOneMethod] !== undefined && options.method !== method)
      throw new RelufyError(
        'option',
        `calibrate option "${name}": expected the method ${method}, got ${options.method}.`,
      );
  if ((options.allocation === 'sequential') !== (options.siteLossIncrease !== undefined))
    throw new RelufyError(
      'option',
      `calibrate option "allocation": expected sequential and the target siteLossIncrease together, got ${options.allocation ?? 'uniform'} and ${targets.join()}.`,
    );
  const isEvolved = options.allocation === 'evolutionary';
  for (const name of ['population', 'generations'] as const)
    if (options[name] !== undefined && !isEvolved)
      throw new RelufyError(
        'option',
        `calibrate option "${name}": expected the allocation evolutionary, got ${options.allocation ?? 'uniform'}.`,
      );
  if (isEvolved && options.rho !== undefined)
    throw new RelufyError(
      'option',
      `calibrate option "rho": expected none with the allocation evolutionary, which looks for it, got ${options.rho}.`,
    );
  if (options.method !== 'cett') return;
  if (options.density !== undefined)
    throw new RelufyError(
      'option',
      'calibrate option "density": expected a method of shares, got cett, whose target is an error. Take cett, sparsity or perplexityIncrease.',
    );
  if ((options.allocation ?? 'uniform') !== 'uniform')
    throw new RelufyError(
      'option',
      `calibrate option "allocation": expected uniform for the method cett, which allows every layer the same error, got ${options.allocation}.`,
    );
}
