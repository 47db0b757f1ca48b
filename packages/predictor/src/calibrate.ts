// Calibration from end to end: opens the model, reads the text once, and finds the plan that meets a target by trying plans
// on text of their own. Several targets share what was read. Does not own methods (methods.ts), how sparsity is shared out
// (allocation.ts), or running the model (subject.ts).
import {
  formatFreeFingerprint,
  type ModelFiles,
  type ModelSource,
  openModelFiles,
  placesName,
  planModel,
  type SparsityPlan,
  TokenLoss,
} from '@relufy/models';
import { RelufyError } from '@relufy/tensor';
import { type Allocate, blockTables, byBlocks, greedy, lossShares, uniform } from './allocation.js';
import type { Calibration, PlanDraft, Trial } from './calibration.js';
import { evolve } from './evolution.js';
import { remembered } from './journal.js';
import { type Method, prepareMethod } from './methods.js';
import { type CalibrationOptions, type CalibrationTarget, checkCalibrationOptions } from './options.js';
import { columnNorms, everyLayer, siteAt, thresholdMask, thresholdTensors } from './sites.js';
import { collectCett, useOpenMasks } from './statistics.js';
import { nothingLeftOut, Subject } from './subject.js';

/** Texts, encoded one by one and put together; or token ids. */
export type CalibrationTexts = Iterable<string | readonly number[]> | AsyncIterable<string | readonly number[]>;

/** Plans for any number that says how much is left out, 0 for nothing. */
interface Dial {
  /** The largest share of the blocks' weights that it can leave out. */
  readonly most: number;
  /** The knob at which it does. */
  readonly end: number;
  draft(knob: number): PlanDraft;
}

/** How near a sparsity that was asked for is met. */
const nearEnough = 0.0015;
const mostTrials = 8;
/** Windows of the greedy search: each is run some hundred times. */
const searchTokens = 1024;

/**
 * A plan that meets one target: masks, low-rank products, and what they cost on text behind the calibration text.
 * @throws RelufyError `input` for a text that is too short, `option` for what the model or a target cannot have, `backend`
 * for numbers that are not finite. Nothing is left allocated.
 * @example
 * const { plan, tensors } = await calibrate('./model', [text], { method: 'teal', sparsity: 0.4 });
 */
export async function calibrate(
  source: ModelSource,
  texts: CalibrationTexts,
  options: CalibrationOptions,
): Promise<Calibration> {
  checkCalibrationOptions(options);
  const calibrator = await Calibrator.open(source, texts, options);
  try {
    return await calibrator.meet(options);
  } finally {
    await calibrator.dispose();
  }
}

/** One method on one model and text, for several targets. */
export class Calibrator {
  readonly #subject: Subject;
  readonly #options: CalibrationOptions;
  readonly #base: NonNullable<SparsityPlan['baseModel']>;
  readonly #windows: readonly (readonly number[])[];
  readonly #trialWindows: readonly (readonly number[])[];
  #dial: Promise<Dial> | undefined;
  #method: Promise<Method> | undefined;
  #tables: ReturnType<typeof blockTables> | undefined;
  #dense: Trial | undefined;

  private constructor(parts: {
    subject: Subject;
    options: CalibrationOptions;
    base: NonNullable<SparsityPlan['baseModel']>;
    windows: readonly (readonly number[])[];
    trialWindows: readonly (readonly number[])[];
  }) {
    this.#subject = parts.subject;
    this.#options = parts.options;
    this.#base = parts.base;
    this.#windows = parts.windows;
    this.#trialWindows = parts.trialWindows;
  }

  /** Loads the model and cuts the text. The options' targets are not looked at. */
  static async open(
    source: ModelSource,
    texts: CalibrationTexts,
    options: Omit<CalibrationOptions, keyof CalibrationTarget>,
  ): Promise<Calibrator> {
    const { window = 512, tokens = 4096, trialTokens = 2048, load = {}, signal } = options;
    const files = await openModelFiles(source, { ...(signal && { signal }) });
    const base = await baseOf(files, load.relufy, signal);
    const subject = await Subject.open(files, Math.min(window, base.positions), options);
    try {
      const own = Math.min(window, base.positions);
      const ids = await firstIds(subject, texts, tokens + trialTokens, signal);
      if (ids.length < tokens + trialTokens)
        throw new RelufyError(
          'input',
          `calibrate: expected a text of ${tokens} tokens for statistics and ${trialTokens} for trials, got ${ids.length}. Give a longer text, or ask for fewer tokens and trialTokens.`,
        );
      const windows = cut(ids.slice(0, tokens), own);
      const trialWindows = trialTokens === 0 ? windows : cut(ids.slice(tokens), own);
      return new Calibrator({ subject, options, base: base.model, windows, trialWindows });
    } catch (error) {
      await subject.dispose();
      throw error;
    }
  }

  dispose(): Promise<void> {
    return this.#subject.dispose();
  }

  /** @throws RelufyError `option` for a target that no threshold of the method reaches. */
  async meet(target: CalibrationTarget): Promise<Calibration> {
    const { perplexity: densePerplexity } = await this.#denseTrial();
    const { draft, trial } = await this.#find(target, densePerplexity);
    const { options } = { options: this.#options };
    const {
      method,
      allocation = 'uniform',
      tokens = 4096,
      window = 512,
      seed = 1,
      denseTokens = 0,
      text,
      load,
    } = options;
    const plan: SparsityPlan = {
      ...draft.plan,
      method: allocation === 'uniform' ? method : `${method}-${allocation}`,
      baseModel: this.#base,
      ...(denseTokens > 0 && { denseTokens }),
      calibration: {
        ...(text !== undefined && { text }),
        ...{ tokens, seed, dtype: load?.dtype ?? 'auto' },
        options: { ...targetOf(target), allocation, window, ...methodOptions(options) },
      },
      expected: {
        density: trial.density,
        modelSparsity: trial.sparsity,
        perplexity: trial.perplexity,
        densePerplexity,
        ...(text !== undefined && { text }),
      },
    };
    return { plan, tensors: draft.tensors, trial, densePerplexity };
  }

  /** Perplexity of sequences under a plan, or of the dense model; weights are not skipped, over the same zeros. */
  async score(sequences: readonly (readonly number[])[], draft: PlanDraft = nothingLeftOut): Promise<number> {
    await this.#subject.use(draft === nothingLeftOut ? draft : this.#withDenseTokens(draft));
    const loss = new TokenLoss();
    for (const [at, ids] of sequences.entries()) {
      this.#hear('scoring')(at / sequences.length);
      loss.add(await this.#subject.pass(ids, []));
    }
    return loss.perplexity;
  }

  #hear = (what: string) => (share: number) => this.#options.onProgress?.(what, share);

  /** The model as it is: a ReLU model skips weights too. */
  async #denseTrial(): Promise<Trial> {
    this.#dense ??= await remembered(this.#options.journal, 'dense', async () => {
      await this.#subject.use(nothingLeftOut);
      return this.#subject.trial(this.#trialWindows, this.#hear('scoring the model as it is'));
    });
    return this.#dense;
  }

  /** A plan on the trial text. */
  async #try(key: string, draft: PlanDraft): Promise<Trial> {
    return remembered(this.#options.journal, key, async () => {
      await this.#subject.use(this.#withDenseTokens(draft));
      return this.#subject.trial(this.#trialWindows, this.#hear('trying a plan'));
    });
  }

  #withDenseTokens({ plan, tensors }: PlanDraft): PlanDraft {
    const { denseTokens = 0 } = this.#options;
    return { plan: { ...plan, ...(denseTokens > 0 && { denseTokens }) }, tensors };
  }

  async #find(target: CalibrationTarget, dense: number): Promise<{ draft: PlanDraft; trial: Trial }> {
    if (target.density) return this.#atDensity(target.density);
    const dial = await this.#dialOf(target);
    const at = async (knob: number) => {
      const draft = dial.draft(knob);
      const trial = await this.#try(`trial ${knob} ${this.#dialKey}`, draft);
      return { draft, trial };
    };
    if (target.cett !== undefined) return at(target.cett);
    if (target.sparsity !== undefined) return this.#atSparsity(target.sparsity, dial, at);
    return this.#atPerplexity(target.perplexityIncrease as number, dense, at);
  }

  async #atDensity(density: NonNullable<CalibrationTarget['density']>): Promise<{ draft: PlanDraft; trial: Trial }> {
    const method = await this.#prepared();
    const unknown = Object.keys(density).find(
      (place) => !method.sites.some(({ at }) => at.some((one) => one === place)),
    );
    if (unknown !== undefined)
      throw new RelufyError(
        'option',
        `calibrate option "density": expected places that the method ${this.#options.method} masks in this model (${method.sites.map(({ at }) => at.join(', ')).join('; ')}), got ${unknown}.`,
      );
    const shares = everyLayer(this.#subject.spec, () =>
      method.sites.map(({ at }) => {
        const kept = at.map((place) => density[place]).filter((share) => share !== undefined);
        if (new Set(kept).size > 1)
          throw new RelufyError(
            'option',
            `calibrate option "density": expected one share for ${placesName(at)}, which have one mask, got ${kept.join(' and ')}.`,
          );
        return 1 - (kept[0] ?? 1);
      }),
    );
    const draft = method.draft(shares);
    return { draft, trial: await this.#try(`density ${JSON.stringify(density)}`, draft) };
  }

  /** The knob at which the trial text is as sparse as asked: by the line between the two nearest that were tried. */
  async #atSparsity(
    wanted: number,
    dial: Dial,
    at: (knob: number) => Promise<{ draft: PlanDraft; trial: Trial }>,
  ): Promise<{ draft: PlanDraft; trial: Trial }> {
    if (wanted > dial.most + 1e-9) throw unreachable(this.#options, wanted, dial.most);
    const { sparsity: own } = await this.#denseTrial();
    if (wanted <= own)
      throw new RelufyError(
        'option',
        `calibrate: expected a sparsity above ${percent(own)}, which the model has by itself, got ${percent(wanted)}. Ask for more, or run it without a plan.`,
      );
    let [low, high] = [
      { knob: 0, sparsity: own },
      { knob: dial.end, sparsity: dial.most },
    ];
    const between = () => {
      const width = high.sparsity - low.sparsity;
      const part = width > 1e-9 ? (wanted - low.sparsity) / width : 0.5;
      // not nearer to an end than this: the line may bend
      return low.knob + Math.min(0.98, Math.max(0.02, part)) * (high.knob - low.knob);
    };
    let knob = between();
    let found = await at(knob);
    let last = found;
    for (let trial = 1; trial < mostTrials && Math.abs(found.trial.sparsity - wanted) > nearEnough; trial++) {
      const here = { knob, sparsity: last.trial.sparsity };
      if (here.sparsity < wanted) low = here;
      else high = here;
      knob = between();
      last = await at(knob);
      if (Math.abs(last.trial.sparsity - wanted) < Math.abs(found.trial.sparsity - wanted)) found = last;
    }
    if (Math.abs(found.trial.sparsity - wanted) > 0.02) throw unreachable(this.#options, wanted, found.trial.sparsity);
    return found;
  }

  /** The sparsest plan within the budget, by bisection. */
  async #atPerplexity(
    increase: number,
    dense: number,
    at: (knob: number) => Promise<{ draft: PlanDraft; trial: Trial }>,
  ): Promise<{ draft: PlanDraft; trial: Trial }> {
    const most = dense * (1 + increase);
    let [low, high] = [0, 1];
    let best: { draft: PlanDraft; trial: Trial } | undefined;
    for (let trial = 0; trial < mostTrials; trial++) {
      const knob = (low + high) / 2;
      const found = await at(knob);
      if (found.trial.perplexity <= most) {
        low = knob;
        if (best === undefined || found.trial.sparsity >= best.trial.sparsity) best = found;
      } else high = knob;
    }
    if (best === undefined)
      throw new RelufyError(
        'option',
        `calibrate: expected a plan of ${this.#options.method} that raises perplexity by at most ${+(100 * increase).toFixed(2)} %, got none: the least that was tried rises more. Allow more, or take another method.`,
      );
    return best;
  }

  #prepared(): Promise<Method> {
    this.#method ??= prepareMethod({
      subject: this.#subject,
      windows: this.#windows,
      options: this.#options,
      hear: this.#hear,
    });
    return this.#method;
  }

  #dialKey = '';

  async #dialOf(target: CalibrationTarget): Promise<Dial> {
    if (this.#options.allocation === 'evolutionary') {
      // evolution is for one sparsity
      this.#dialKey = `evolved at ${target.sparsity}`;
      return this.#evolved(target);
    }
    this.#dial ??= this.#options.method === 'cett' ? this.#cettDial() : this.#shareDial();
    return this.#dial;
  }

  /** The error that leaving out neurons makes is the knob; a bar a layer follows from it. */
  async #cettDial(): Promise<Dial> {
    const subject = this.#subject;
    const { spec } = subject;
    const norms = everyLayer(spec, (layer) => columnNorms(subject, layer, ['down']));
    const sites = [siteAt(spec, ['down'], { scale: norms, keepsTies: true })];
    await useOpenMasks(subject, sites, this.#options.denseTokens ?? 0);
    const { sketches, tokens } = await collectCett(subject, this.#windows, norms, this.#hear('adding up neurons'));
    return {
      ...{ most: sites[0]!.share, end: 1 },
      draft: (knob) => ({
        plan: { method: 'cett', masks: sites.map(thresholdMask) },
        tensors: thresholdTensors(sites, sketches.length, (layer) =>
          knob >= 1 ? Number.POSITIVE_INFINITY : sketches[layer]!.crossing(knob * tokens),
        ),
      }),
    };
  }

  async #shareDial(): Promise<Dial> {
    const method = await this.#prepared();
    const allocate = await this.#allocation(method);
    return dialOf(method, allocate);
  }

  async #allocation(method: Method): Promise<Allocate> {
    const { allocation = 'uniform' } = this.#options;
    if (allocation === 'uniform') return uniform(method, this.#subject.spec.numHiddenLayers);
    const tables = await this.#blockTables(method);
    if (allocation === 'greedy') return greedy(tables);
    const shares = await lossShares({ ...this.#search(method, this.#trialWindows), tables });
    return byBlocks(tables, shares);
  }

  #search(method: Method, windows: readonly (readonly number[])[]) {
    const { journal } = this.#options;
    return { subject: this.#subject, method, windows, journal, hear: this.#hear };
  }

  #blockTables(method: Method): ReturnType<typeof blockTables> {
    if (!method.isThreshold)
      throw new RelufyError(
        'option',
        `calibrate option "allocation": expected uniform for the method ${this.#options.method} as asked, whose masks are no thresholds, got ${this.#options.allocation}. Take uniform, or WINA with select: "threshold".`,
      );
    const windows = within(this.#windows, searchTokens);
    this.#tables ??= blockTables(this.#search(method, windows));
    return this.#tables;
  }

  /** From `loss` on: shares of blocks that are tried against each other at one sparsity. */
  async #evolved({ sparsity }: CalibrationTarget): Promise<Dial> {
    if (sparsity === undefined)
      throw new RelufyError(
        'option',
        'calibrate option "allocation": expected a target sparsity for evolutionary, which is tried at one, got another target.',
      );
    const method = await this.#prepared();
    const tables = await this.#blockTables(method);
    const start = await lossShares({ ...this.#search(method, this.#trialWindows), tables });
    const { seed = 1 } = this.#options;
    /** Scaled so that their mean is the sparsity: what differs is where it lies. */
    const balanced = (vector: readonly number[], share: number): number[] => {
      let own = [...vector];
      for (let round = 0; round < 20; round++) {
        const mean = own.reduce((sum, one) => sum + one, 0) / own.length;
        own = own.map((one) => Math.min(0.9, (one * share) / Math.max(mean, 1e-9)));
      }
      return own;
    };
    const hear = this.#hear('evolving');
    const [population, generations] = [8, 4];
    const { best } = await evolve(
      start(sparsity),
      async (vector, trial) => {
        hear(trial / (population * (generations + 1)));
        const draft = byDraft(
          method,
          byBlocks(tables, () => balanced(vector, sparsity)),
          sparsity,
        );
        return (await this.#try(`evolving at ${sparsity}, ${trial}`, draft)).perplexity;
      },
      { population, generations, seed, spread: 0.1 },
    );
    return dialOf(
      method,
      byBlocks(tables, (share) => balanced(best, share)),
    );
  }
}

const byDraft = (method: Method, allocate: Allocate, share: number): PlanDraft => method.draft(allocate(share));

function dialOf(method: Method, allocate: Allocate): Dial {
  const most = method.sites.reduce((sum, { share }) => sum + share, 0);
  return {
    ...{ most, end: most },
    draft: (knob) => byDraft(method, allocate, knob),
  };
}

const percent = (share: number): string => `${+(100 * share).toFixed(1)} %`;

function unreachable({ method }: CalibrationOptions, wanted: number, most: number): RelufyError {
  return new RelufyError(
    'option',
    `calibrate: expected a sparsity of at most ${percent(most)}, which is what the method ${method} reaches in this model, got ${percent(wanted)}. Ask for less, or take a method that masks more places.`,
  );
}

const targetOf = ({ sparsity, density, perplexityIncrease, cett }: CalibrationTarget): Record<string, unknown> => ({
  ...(sparsity !== undefined && { sparsity }),
  ...(density !== undefined && { density }),
  ...(perplexityIncrease !== undefined && { perplexity_increase: perplexityIncrease }),
  ...(cett !== undefined && { cett }),
});

function methodOptions({ method, norms, select, attention, kappa, rho, within }: CalibrationOptions) {
  switch (method) {
    case 'wina':
      return { norms: norms ?? 'projection', ...(select && { select }) };
    case 'chess':
      return { attention: attention ?? true, kappa: kappa ?? 'rms' };
    case 'r-sparse':
      return { rho: rho ?? 0.9 };
    case 'groups':
      return { within: within ?? 32 };
    default:
      return {};
  }
}

async function baseOf(
  files: ModelFiles,
  relufy: NonNullable<CalibrationOptions['load']>['relufy'],
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

/** As many ids as are needed: a text that is longer is not read to its end. */
async function firstIds(
  { model }: Subject,
  texts: CalibrationTexts,
  most: number,
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const ids: number[] = [];
  for await (const text of texts) {
    signal?.throwIfAborted();
    const own = typeof text === 'string' ? await model.encode(text, { addSpecialTokens: false }) : text;
    for (const id of own) {
      if (ids.length >= most) return ids;
      ids.push(id);
    }
    if (ids.length >= most) return ids;
  }
  return ids;
}

/** Whole windows, and a last one of at least two. */
function cut(ids: readonly number[], window: number): (readonly number[])[] {
  const windows: (readonly number[])[] = [];
  for (let at = 0; at < ids.length; at += window) windows.push(ids.slice(at, at + window));
  return windows.filter(({ length }) => length > 1);
}

/** The first windows, as many tokens as given. */
function within(windows: readonly (readonly number[])[], tokens: number): (readonly number[])[] {
  let room = tokens;
  return windows.flatMap((ids) => {
    const own = ids.slice(0, Math.max(0, room));
    room -= own.length;
    return own.length > 1 ? [own] : [];
  });
}
