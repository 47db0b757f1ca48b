// The speculation of one model: refuses what it cannot draft from, and keeps what was learnt of each source from one answer
// to the next. Does not own one answer's speculation (speculation.ts).
import { RelufyError } from '@relufy/tensor';
import { isSparse } from '../decoder/projections.js';
import type { Model } from '../model.js';
import type { LaneParts, Scheduler } from '../running/scheduler.js';
import type { StepStatistics } from '../running/statistics.js';
import type { AdvanceOptions } from '../running/step-activity.js';
import { checkVocabulary, type Drafter, modelDrafter, promptDrafter, selfDrafter } from './drafters.js';
import type { DraftSource, SpeculateOptions } from './options.js';
import { Pace } from './pace.js';
import { Speculation } from './speculation.js';

/** How the steps of an answer, and those that draft for it, differ from the model's own. */
function stepsThatDraft(draft: DraftSource, options: AdvanceOptions): Pick<LaneParts, 'options' | 'draft'> {
  if (draft === 'plan') return { options, draft: { ...options, sparsity: 'exact', drafts: true } };
  // steps of the answer mark the neurons that they use, and those that draft compute no others
  if (draft === 'reuse') return { options: { ...options, phase: 'load' }, draft: { ...options, phase: 'reuse' } };
  return { options };
}

export class Speculations {
  readonly #model: Model;
  readonly #scheduler: Scheduler;
  readonly #hasPlan: boolean;
  readonly #hasMarks: boolean;
  readonly #statistics: () => StepStatistics;
  readonly #paces = new Map<string, Pace>();

  /** `hasPlan`: there is one that drafts. `hasMarks`: neurons can be marked, and reused. `statistics`: what counts all answers together. */
  constructor(
    model: Model,
    scheduler: Scheduler,
    { hasPlan, hasMarks }: { readonly hasPlan: boolean; readonly hasMarks: boolean },
    statistics: () => StepStatistics,
  ) {
    this.#model = model;
    this.#scheduler = scheduler;
    this.#hasPlan = hasPlan;
    this.#hasMarks = hasMarks;
    this.#statistics = statistics;
  }

  /** @throws RelufyError `option` for a source that this model, or this call, cannot have. */
  open(options: Required<SpeculateOptions>, call: LaneParts): Speculation {
    const { draft } = options;
    this.#check(draft, call);
    const { vocabSize } = this.#model.spec;
    const lane = this.#scheduler.open({ ...call, ...stepsThatDraft(draft, call.options) });
    const openDrafter = (): Drafter | undefined => {
      if (draft === 'prompt') return promptDrafter;
      if (typeof draft === 'string') return selfDrafter(lane, vocabSize);
      const opened = draft.openDraftLane(call.stopped);
      return opened && modelDrafter(opened, vocabSize);
    };
    const key = `${typeof draft === 'string' ? draft : `model ${draft.name}`} ${call.options.sparsity}`;
    const pace = this.#paces.get(key) ?? new Pace();
    this.#paces.set(key, pace);
    const statistics = () => [call.statistics, this.#statistics()];
    return new Speculation({
      ...{ lane, openDrafter, pace, options, statistics },
      contextLength: this.#model.contextLength,
    });
  }

  #check(draft: DraftSource, { reuse, options }: LaneParts): void {
    const { spec, name, sparsity } = this.#model;
    const refuse = (expected: string, got: string): never => {
      throw new RelufyError('option', `generate speculate "draft": expected ${expected}, got ${got}.`);
    };
    if (reuse)
      throw new RelufyError(
        'option',
        'generate options "reuse" and "speculate": expected one of them, got both (a plan may ask for reuse). Leave one out.',
      );
    const drafting = typeof draft === 'string' ? spec : draft.spec;
    const recurrent = [spec, drafting].find(({ mixer }) => mixer.kind !== 'attention');
    if (recurrent)
      refuse('models with attention, since a recurrent state cannot take a draft back', recurrent.mixer.kind);
    if (draft === this.#model)
      refuse('another model', `${name} itself, which drafts by some of its neurons with "reuse"`);
    if (draft === 'reuse' && ((options.sparsity ?? sparsity) === 'dense' || !isSparse(spec)))
      refuse('prompt or a smaller model, since this one skips no neurons', '"reuse"');
    if (draft === 'reuse' && !this.#hasMarks)
      refuse('a model that was loaded with { reuse: true }, or to speculate so', '"reuse" without marks');
    if (draft === 'plan' && !this.#hasPlan) refuse('a model that was loaded with a draftPlan', '"plan" without one');
    if (typeof draft !== 'string') checkVocabulary(this.#model, draft);
  }
}
