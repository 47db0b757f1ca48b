// Calibration from end to end: opens the model, reads the text once, and finds the plan that meets a target by trying plans
// on text of their own. Several targets share what was read. Does not own methods (methods.ts), how sparsity is shared out
// (allocation.ts, site-costs.ts), the search for a knob (knob.ts), or running the model (subject.ts).
import { type ModelSource, openModelFiles, placesName, type SparsityPlan, TokenLoss } from '@relufy/models';
import { RelufyError } from '@relufy/tensor';
import { type Allocate, blockTables, greedy, uniform } from './allocation.js';
import { baseModelOf } from './base-model.js';
import type { Calibration, PlanDraft, Trial } from './calibration.js';
import { type EvolutionOptions, evolve, trialsOf } from './evolution.js';
import { remembered } from './journal.js';
import { atPerplexity, atSparsity, type Dial } from './knob.js';
import type { Method, MethodSearch } from './method.js';
import { prepareMethod } from './methods.js';
import { type CalibrationOptions, type CalibrationTarget, checkCalibrationOptions } from './options.js';
import { methodOptions, targetOf } from './recorded-options.js';
import { sequential } from './sequential.js';
import { type ByCost, cheapest, siteCosts } from './site-costs.js';
import { columnNorms, everyLayer, siteAt, thresholdMask, thresholdTensors } from './sites.js';
import { collectCett, useOpenMasks } from './statistics.js';
import { nothingLeftOut, Subject } from './subject.js';
import { type CalibrationTexts, cutWindows, firstIds, firstWindows } from './windows.js';

/** Windows of the greedy search: each is run some hundred times. */
const searchTokens = 512;

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
  #costs: Promise<ByCost> | undefined;
  #dense: Trial | undefined;
  /** What a search has found besides thresholds, as the plan tells it. */
  #found: Readonly<Record<string, unknown>> = {};

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
    const base = await baseModelOf(files, load.relufy, signal);
    const own = Math.min(window, base.positions);
    const { contextLength = own } = options;
    const subject = await Subject.open(files, Math.min(Math.max(own, contextLength), base.positions), options);
    try {
      const ids = await firstIds(subject.model, texts, tokens + trialTokens, signal);
      if (ids.length < tokens + trialTokens)
        throw new RelufyError(
          'input',
          `calibrate: expected a text of ${tokens} tokens for statistics and ${trialTokens} for trials, got ${ids.length}. Give a longer text, or ask for fewer tokens and trialTokens.`,
        );
      const windows = cutWindows(ids.slice(0, tokens), own);
      const trialWindows = trialTokens === 0 ? windows : cutWindows(ids.slice(tokens), own);
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
    const options = this.#options;
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
        options: { ...targetOf(target), allocation, window, ...methodOptions(options), ...this.#found },
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
    if (target.siteLossIncrease !== undefined) return this.#sequential(target.siteLossIncrease);
    const dial = await this.#dialOf(target);
    const at = async (knob: number) => {
      const draft = dial.draft(knob);
      const trial = await this.#try(`trial ${knob} ${this.#dialKey}`, draft);
      return { draft, trial };
    };
    if (target.cett !== undefined) return at(target.cett);
    const { method } = this.#options;
    if (target.sparsity === undefined)
      return atPerplexity(target.perplexityIncrease as number, { dial, dense, method }, at);
    const { sparsity: own } = await this.#denseTrial();
    return atSparsity(target.sparsity, { dial, method, own }, at);
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

  async #sequential(increase: number): Promise<{ draft: PlanDraft; trial: Trial }> {
    const { journal, denseTokens = 0 } = this.#options;
    const context = { subject: this.#subject, windows: this.#windows, journal, increase, denseTokens };
    const { kept, losses, ...draft } = await sequential({ ...context, hear: this.#hear('setting thresholds') });
    this.#found = { kept, dense_loss: losses.dense, sparse_loss: losses.sparse };
    return { draft, trial: await this.#try(`sequential ${increase}`, draft) };
  }

  #prepared(): Promise<Method> {
    this.#method ??= prepareMethod({
      subject: this.#subject,
      windows: this.#windows,
      options: this.#options,
      hear: this.#hear,
    }).then((method) => ({ ...method, draft: (shares) => this.#withDenseTokens(method.draft(shares)) }));
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
    return allocation === 'greedy' ? greedy(await this.#blockTables(method)) : (await this.#byCost(method))();
  }

  #byCost(method: Method): Promise<ByCost> {
    this.#checkThresholds(method);
    this.#costs ??= siteCosts(this.#search(method, this.#windows)).then((costs) => cheapest(method, costs));
    return this.#costs;
  }

  #search(method: Method, windows: readonly (readonly number[])[]) {
    const { journal } = this.#options;
    return { subject: this.#subject, method, windows, journal, hear: this.#hear };
  }

  #blockTables(method: Method): ReturnType<typeof blockTables> {
    this.#checkThresholds(method);
    const windows = firstWindows(this.#windows, searchTokens);
    this.#tables ??= blockTables(this.#search(method, windows));
    return this.#tables;
  }

  #checkThresholds(method: Method): void {
    if (!method.isThreshold)
      throw new RelufyError(
        'option',
        `calibrate option "allocation": expected uniform for the method ${this.#options.method} as asked, whose masks are no thresholds, got ${this.#options.allocation}. Take uniform, WINA with select: "threshold", or R-Sparse with evolutionary.`,
      );
  }

  /** At one sparsity: what the method has to look for, or from `loss` on blocks that become dearer or cheaper. */
  async #evolved({ sparsity }: CalibrationTarget): Promise<Dial> {
    if (sparsity === undefined)
      throw new RelufyError(
        'option',
        'calibrate option "allocation": expected a target sparsity for evolutionary, which is tried at one, got another target.',
      );
    const method = await this.#prepared();
    if (method.search) return this.#searched(method, method.search, sparsity);
    const byCost = await this.#byCost(method);
    const draftOf = (numbers: readonly number[]) => (knob: number) => method.draft(byCost(factorsOf(numbers))(knob));
    const start = everyLayer(this.#subject.spec, () => 0.5);
    const { best } = await this.#evolve(start, sparsity, draftOf, { population: 8, generations: 4, spread: 0.25 });
    return { ...rangeOf(method), draft: draftOf(best) };
  }

  /** The same share at every site; what else the method may set is looked for (R-Sparse: rho of every linear layer). */
  async #searched(method: Method, search: MethodSearch, sparsity: number): Promise<Dial> {
    const allocate = uniform(method, this.#subject.spec.numHiddenLayers);
    const draftOf = (numbers: readonly number[]) => {
      const { draft } = search.with(numbers);
      return (knob: number) => this.#withDenseTokens(draft(allocate(knob)));
    };
    const { group, size } = search;
    const { best } = await this.#evolve(new Array<number>(size).fill(1), sparsity, draftOf, {
      ...{ group, population: 32, generations: 5, spread: 'anywhere' },
    });
    this.#found = search.options(best);
    return { ...rangeOf(method), draft: draftOf(best) };
  }

  #evolve(
    start: readonly number[],
    sparsity: number,
    draftOf: (numbers: readonly number[]) => Dial['draft'],
    defaults: Omit<EvolutionOptions, 'seed'>,
  ) {
    const { seed = 1, population, generations } = this.#options;
    const options: EvolutionOptions = {
      ...{ ...defaults, seed },
      ...(population !== undefined && { population }),
      ...(generations !== undefined && { generations }),
    };
    const hear = this.#hear('evolving');
    const trials = trialsOf(start.length, options);
    return evolve(
      start,
      async (numbers, trial) => {
        hear(trial / trials);
        return (await this.#try(`evolving at ${sparsity}, ${trial}`, draftOf(numbers)(sparsity))).perplexity;
      },
      options,
    );
  }
}

/** 1 for one half; a quarter to four times the cost. */
const factorsOf = (vector: readonly number[]): number[] => vector.map((one) => 4 ** (2 * one - 1));

function rangeOf({ sites }: Method): Pick<Dial, 'most' | 'end'> {
  const most = sites.reduce((sum, { share }) => sum + share, 0);
  return { most, end: most };
}

const dialOf = (method: Method, allocate: Allocate): Dial => ({
  ...rangeOf(method),
  draft: (knob) => method.draft(allocate(knob)),
});
