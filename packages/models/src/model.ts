// A loaded model: what a user calls (generate, forward, score, encode, decode), and the checks of arguments.
// Who computes when is slot-claims.ts, who shares a step scheduler.ts; steps are steps.ts, passes over sequences sequences.ts and
// continuations.ts, loading load-model.ts, the loop
// generate.ts.
import {
  aBoolean,
  anObject,
  anything,
  aText,
  aWhole,
  type Backend,
  type BufferDecl,
  checkItems,
  checkOptions,
  checkValue,
  isList,
  listOf,
  oneOf,
  printable,
  RelufyError,
} from '@relufy/tensor';
import type { Tokenizer } from '@relufy/tokenizer';
import { Constraints } from './constrained/constraint.js';
import { planBuffers } from './decoder/decoder-buffers.js';
import type { DecoderProgram } from './decoder/decoder-program.js';
import {
  type GenerateOptions,
  type GenerateResult,
  type GenerationHost,
  GenerationStream,
  type Piece,
  type Prompt,
  runGeneration,
} from './generation/generate.js';
import { listIds, listItems, wholeBelow } from './generation/lists.js';
import { checkIds, promptIds, tokenizerOf } from './generation/prompt-ids.js';
import type { SamplingOptions } from './generation/sampling.js';
import { Continuations } from './running/continuations.js';
import { hasMarks } from './running/neuron-marks.js';
import type { ParkedSlots } from './running/parked-slots.js';
import { Scheduler } from './running/scheduler.js';
import { Sequences } from './running/sequences.js';
import { SlotClaims } from './running/slot-claims.js';
import { type ModelStats, StepStatistics } from './running/statistics.js';
import type {
  ContinuationScore,
  ForwardOptions,
  ForwardResult,
  ScoreOptions,
  ScoreRequest,
  ScoreResult,
} from './running/step-results.js';
import { type StepParts, Steps } from './running/steps.js';
import { planValues } from './sparsity/plan-values.js';
import { reuseOf } from './sparsity/reuse.js';
import { signBuffers } from './sparsity/sign-predictor.js';
import type { ModelSpec } from './spec.js';
import type { DraftLane } from './speculation/drafters.js';
import { type Speculate, speculateOf } from './speculation/options.js';
import type { Speculations } from './speculation/speculations.js';

/** @internal What load-model.ts puts together. */
export interface ModelParts extends StepParts {
  readonly name: string;
  readonly modelType: string;
  readonly tokenizer: Tokenizer | undefined;
  readonly eosTokenIds: readonly number[];
  readonly recommendedSampling: SamplingOptions;
  readonly backend: Backend;
  /** What was taken, and why. */
  readonly backendDescription: string;
  readonly ownsBackend: boolean;
  /** There is a plan by which it drafts. */
  readonly draftsByPlan: boolean;
  /** How answers come about that do not say so. */
  readonly speculate: Speculate | undefined;
  /** Conversations that another one took a slot from. */
  readonly parked: ParkedSlots;
}

export class Model implements AsyncDisposable {
  readonly name: string;
  readonly modelType: string;
  readonly spec: ModelSpec;
  readonly tokenizer: Tokenizer | undefined;
  /** Token ids that end an answer. */
  readonly eosTokenIds: readonly number[];
  /** How its author samples, by generation_config.json; `generate` takes it only where it is told to. */
  readonly recommendedSampling: SamplingOptions;
  /** Positions that the KV cache holds, in each of its slots. */
  readonly contextLength: number;
  /** Sequences that are computed at once; further ones wait. */
  readonly slots: number;
  readonly sparsity: 'exact' | 'dense';
  readonly #parts: ModelParts;
  readonly #claims: SlotClaims;
  readonly #steps: Steps;
  readonly #sequences: Sequences;
  readonly #continuations: Continuations;
  readonly #scheduler: Scheduler;
  readonly #constraints: Constraints;
  #statistics: StepStatistics;
  /** Loaded with the first answer that speculates. */
  #speculations: Speculations | undefined;
  /** What was called and has not ended. */
  readonly #work = new Set<Promise<unknown>>();
  /** Resolves when the memory is free; undefined while the model may be used. */
  #disposal: Promise<void> | undefined;

  /** @internal Use `loadModel`. */
  constructor(parts: ModelParts) {
    this.#parts = parts;
    this.#claims = new SlotClaims(parts.session, parts.cache, parts.parked, () => this.#check());
    this.#steps = new Steps(parts, () => this.#check());
    this.#sequences = new Sequences(parts, this.#steps, this.#claims);
    this.#continuations = new Continuations(parts, this.#steps, this.#claims);
    this.#scheduler = new Scheduler(this.#steps, this.#claims, parts, () => this.#statistics);
    this.#constraints = new Constraints(parts.tokenizer, parts.spec.vocabSize);
    this.name = parts.name;
    this.modelType = parts.modelType;
    this.spec = parts.spec;
    this.tokenizer = parts.tokenizer;
    this.eosTokenIds = parts.eosTokenIds;
    this.recommendedSampling = parts.recommendedSampling;
    this.contextLength = parts.cache.contextLength;
    this.slots = parts.cache.slots;
    this.sparsity = parts.sparsity;
    this.#statistics = new StepStatistics(parts.spec.numHiddenLayers);
  }

  /** What runs the model, in one line. */
  get backend(): string {
    return this.#parts.backendDescription;
  }

  /** Bytes of weights, KV cache and activations, and of conversations that wait for their turn. */
  get memoryBytes(): number {
    this.#check();
    return this.#parts.session.memoryBytes + this.#parts.parked.bytes;
  }

  /** Calls that compute, and calls that wait for a slot. */
  get occupancy(): { readonly running: number; readonly waiting: number } {
    return this.#claims.occupancy;
  }

  /** The program that decoding runs, for inspection. */
  get program(): DecoderProgram['program'] {
    return this.#steps.program;
  }

  /**
   * Text -> token ids.
   * @throws RelufyError `state` when the model came without a tokenizer.
   */
  async encode(text: string, options: { readonly addSpecialTokens?: boolean } = {}): Promise<number[]> {
    checkOptions('encode', options, { addSpecialTokens: aBoolean });
    checkValue('encode', text, aText, 'input');
    return tokenizerOf(this).encode(text, options);
  }

  /** Token ids -> text. Special tokens are kept unless told otherwise. */
  decode(ids: readonly number[], options: { readonly skipSpecialTokens?: boolean } = {}): string {
    checkOptions('decode', options, { skipSpecialTokens: aBoolean });
    const list = listIds('decode: ids', ids);
    checkItems('decode: ids', list, aWhole(0, this.spec.vocabSize - 1), wholeBelow(this.spec.vocabSize));
    return tokenizerOf(this).decode(list, options);
  }

  /**
   * Generates: one piece a token. As many calls as the model has slots share steps; further ones wait, in order. What a
   * call gives does not depend on the others.
   * Errors (options, a prompt that does not fit, an abort) reach the reader of the pieces and of `result`.
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): GenerationStream {
    return new GenerationStream((push, left) => this.#track(() => this.#generate(prompt, options, push, left)));
  }

  /**
   * One pass over a sequence, from position 0.
   * @throws RelufyError `input` for ids out of range or more of them than the context holds; `option` for unknown taps.
   */
  async forward(inputIds: Iterable<number>, options: ForwardOptions = {}): Promise<ForwardResult> {
    const capturing = { capture: listOf(aText, 'a list of taps'), reuse: anything };
    checkOptions('forward', options, { logits: oneOf('all', 'last'), ...capturing });
    const reuse = reuseOf('forward', options.reuse, this.spec.reuse, hasMarks(this.#parts));
    const { logits: which = 'last', capture = [] } = options;
    const ids = this.#checkIds(inputIds);
    return this.#track(() => this.#sequences.forward(ids, which, [...new Set(capture)], reuse));
  }

  /**
   * Writes numbers of the model's sparsity plan, by the names of its tensors (`layers.0.down.threshold`; of a predictor of
   * sign bits `layers.0.predictor.threshold`, what `signThreshold` makes of alpha). The next step computes with them; nothing is loaded or compiled again. What the KV cache held by the old ones is forgotten, unless it
   * shall be kept: then a prompt that was computed by the old numbers is continued by the new ones.
   * @throws RelufyError `option` for a name that the plan does not have, another length, or NaN.
   */
  async writePlan(
    numbers: Readonly<Record<string, ArrayLike<number>>>,
    options: { readonly keepCache?: boolean } = {},
  ): Promise<void> {
    checkOptions('writePlan', options, { keepCache: aBoolean });
    checkValue('writePlan: numbers', numbers, anObject);
    const thresholds = signBuffers(this.spec).filter(({ dtype }) => dtype === 'f32');
    const buffers = new Map([...planBuffers(this.spec), ...thresholds].map((buffer) => [buffer.name, buffer]));
    for (const [name, values] of Object.entries(numbers)) {
      const shape = buffers.get(name)?.shape as readonly number[] | undefined;
      const length = shape?.reduce((product, size) => product * size, 1);
      checkValue(`writePlan "${printable(name)}"`, values, {
        expected: length === undefined ? 'a tensor of the plan' : `${length} numbers`,
        fits: (list) => isList(list) && list.length === length && !Array.from(list, Number).some(Number.isNaN),
      });
    }
    const { session, cache, parked } = this.#parts;
    await this.#track(() =>
      // who computes goes on with the old numbers to its end
      this.#claims.hold({ least: cache.slots }, (slots) =>
        this.#claims.turn(async () => {
          parked.clear();
          if (!options.keepCache) for (const slot of slots) cache.truncate(slot, 0);
          for (const [name, values] of Object.entries(numbers))
            await session.write(name, planValues(buffers.get(name) as BufferDecl, values));
        }),
      ),
    );
  }

  /**
   * Log-probabilities of a sequence under the model, without keeping logits; and what it captures, in the same pass.
   * @throws RelufyError `input` for ids as `forward` does; `option` for unknown taps.
   */
  async score(inputIds: Iterable<number>, options: ScoreOptions = {}): Promise<ScoreResult> {
    const rules = { capture: listOf(aText, 'a list of taps'), topLogprobs: aWhole(0), reuse: anything };
    checkOptions('score', options, rules);
    const reuse = reuseOf('score', options.reuse, this.spec.reuse, hasMarks(this.#parts));
    const { capture = [], topLogprobs = 0 } = options;
    const ids = this.#checkIds(inputIds);
    return this.#track(() => this.#sequences.score(ids, [...new Set(capture)], topLogprobs, reuse));
  }

  /**
   * Scores several continuations of one context. The context is computed once, and only where the KV cache does not hold
   * it yet; with `slots` > 1 the continuations share steps.
   * @throws RelufyError `input` when context and continuation do not fit the context length, or one is empty.
   */
  async scoreContinuations(
    context: readonly number[],
    continuations: readonly (readonly number[])[],
  ): Promise<ContinuationScore[]> {
    return (await this.scoreBatch([{ context, continuations }]))[0] as ContinuationScore[];
  }

  /**
   * Scores several contexts, each with its continuations, `slots` - 1 continuations at once: a step then holds tokens of
   * many sequences, without padding. The same numbers as one context at a time. Under a plan that reuses neurons each continuation
   * is a pass of its own, its context the prompt.
   * @throws RelufyError `input` when a context and its continuation do not fit the context length, or one is empty.
   */
  async scoreBatch(requests: readonly ScoreRequest[]): Promise<ContinuationScore[][]> {
    const checked = listItems('scoreBatch: requests', requests).map((request): ScoreRequest => {
      const { context, continuations } = (request ?? {}) as ScoreRequest;
      const ids = this.#checkIds(context);
      const checkedContinuations = listItems('continuations', continuations).map((continuation) => {
        const own = listIds('continuation', continuation);
        if (own.length === 0) throw new RelufyError('input', 'continuation: expected at least one id, got none.');
        this.#checkIds([...ids, ...own.slice(0, -1)]);
        return this.#checkIds(own);
      });
      return { context: ids, continuations: checkedContinuations };
    });
    const { reuse } = this.spec;
    return this.#track(() =>
      reuse ? this.#sequences.scoreReusing(checked, reuse) : this.#continuations.scoreBatch(checked),
    );
  }

  /** Continuations that `scoreBatch` takes at once. */
  get scoringLanes(): number {
    return this.#continuations.lanes;
  }

  /** @internal A lane that drafts for another model; undefined while this one has something else to do. */
  openDraftLane(stopped: () => boolean): DraftLane | undefined {
    this.#check();
    if (!this.#scheduler.isIdle || this.occupancy.running > 0) return undefined;
    const statistics = new StepStatistics(this.spec.numHiddenLayers);
    const isOver = () => stopped() || this.#disposal !== undefined;
    const lane = this.#scheduler.open({ stopped: isOver, statistics, options: {} });
    return { lane, contextLength: this.contextLength, track: (work) => this.#track(work) };
  }

  /** Since the model was loaded, or since `resetStats`. */
  stats(): ModelStats {
    const neurons = this.#steps.neurons?.stats();
    return { ...this.#statistics.get(), ...(neurons && { neurons }) };
  }

  resetStats(): void {
    this.#statistics = new StepStatistics(this.spec.numHiddenLayers);
    this.#steps.neurons?.reset();
  }

  /**
   * Ends what runs after its step: an answer as aborted, with what there is of it; all else, and what waits, with a
   * `state` error. Then frees the memory. Every call resolves when that is done.
   */
  dispose(): Promise<void> {
    this.#disposal ??= this.#free();
    return this.#disposal;
  }

  async #free(): Promise<void> {
    // more may be called meanwhile: it is refused, and waited for all the same
    while (this.#work.size > 0) await Promise.all(this.#work);
    this.#parts.parked.clear();
    try {
      await this.#parts.session.dispose();
    } finally {
      if (this.#parts.ownsBackend) await this.#parts.backend.dispose();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #check(): void {
    if (this.#disposal !== undefined)
      throw new RelufyError('state', `model "${this.name}": used after dispose(). Load it again.`);
  }

  /** `dispose` waits for it. Work begins after the call that asks for it has returned. */
  #track<T>(work: () => Promise<T>): Promise<T> {
    const tracked = Promise.resolve().then(() => {
      this.#check();
      return work();
    });
    const settled: Promise<void> = tracked.then(ended, ended);
    function ended(): void {}
    this.#work.add(settled);
    void settled.then(() => this.#work.delete(settled));
    return tracked;
  }

  #checkIds(given: Iterable<number>): readonly number[] {
    this.#check();
    return checkIds(this, given);
  }

  async #speculationsOf(): Promise<Speculations> {
    const { Speculations } = await import('./speculation/speculations.js');
    const { draftsByPlan } = this.#parts;
    const drafts = { hasPlan: draftsByPlan, hasMarks: hasMarks(this.#parts) };
    this.#speculations ??= new Speculations(this, this.#scheduler, drafts, () => this.#statistics);
    return this.#speculations;
  }

  async #generate(
    prompt: Prompt,
    options: GenerateOptions,
    push: (piece: Piece) => void,
    left: () => boolean,
  ): Promise<GenerateResult> {
    const own = new StepStatistics(this.spec.numHiddenLayers);
    const stopped = () => options.signal?.aborted === true || this.#disposal !== undefined || left();
    const reuse = reuseOf('generate', options?.reuse, this.spec.reuse, hasMarks(this.#parts));
    const asked = options?.speculate ?? (options?.reuse ? undefined : this.#parts.speculate);
    const speculate = asked ? speculateOf('generate', asked, isModel) : undefined;
    const call = { stopped, statistics: own, options, reuse };
    const speculation = speculate && (await this.#speculationsOf()).open(speculate, call);
    const lane = speculation?.lane ?? this.#scheduler.open(call);
    const host: GenerationHost = {
      vocabSize: this.spec.vocabSize,
      contextLength: this.contextLength,
      eosTokenIds: this.eosTokenIds,
      tokenizer: this.tokenizer,
      constraint: (form, stops) => this.#constraints.open(form, stops),
      promptIds: () => promptIds(this, prompt, options),
      advance: async (ids, most) => {
        if (stopped()) return undefined;
        return speculation ? speculation.advance(ids, most) : (await lane.advance(ids))?.rows[0];
      },
      stats: () => {
        speculation?.settle();
        return own.get();
      },
    };
    try {
      return await runGeneration(host, prompt, options, push);
    } finally {
      if (speculation) speculation.close();
      else lane.leave();
    }
  }
}

/** @internal */
export const isModel = (value: unknown): value is Model => value instanceof Model;
