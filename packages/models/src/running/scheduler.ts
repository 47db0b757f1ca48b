// Continuous batching: sequences that generate share steps. Each asks for the logits behind its ids (`advance`) and is
// answered by the next step; who is answered chooses a token and asks again, or leaves, before the step after it. One
// sequence is the same with nobody beside it.
//
// A step holds one row of every sequence that decodes and, after them, parts of the prompts that came in, in equal shares:
// as many rows as let a step take about twice the time of one without them, by what steps took (step-budget.ts).
// An answer beside them slows down, and does not stall. Sums of a row do not depend on the other rows, so neither does a text. The last ids of
// a sequence may be guesses, which a step computes like a prompt and answers like tokens (speculation/).
// Does not own slots (slot-claims.ts), a step (steps.ts) or the choice of tokens (generate.ts).
import type { StepLimits } from '@relufy/tensor';
import { firstWindow, type ReuseOptions, stepSpans } from '../sparsity/reuse.js';
import { commonPrefix } from './parked-slots.js';
import type { SlotClaims, Stopped } from './slot-claims.js';
import type { SlotCache } from './slots.js';
import type { ReadTogether, StepStatistics, TokenCost } from './statistics.js';
import { type Advanced, type AdvanceOptions, activityOf } from './step-activity.js';
import { StepBudget } from './step-budget.js';
import type { Row, StepParts, Steps } from './steps.js';

/** What is special about the ids of one `advance`. */
export interface LaneRequest {
  /** So many of the last ids are guesses, at most `mostDrafted`: each is answered for, like the id before them. Default 0. */
  readonly drafted?: number;
  /**
   * A guess is wanted: the step runs the program that drafts, and what it leaves of the ids from there on is computed anew by
   * the next one that does not.
   */
  readonly draftsFrom?: number;
}

/** What a step gave a lane. */
export interface LaneStep {
  /** Of the last id and, where some are guesses, of the id before them and of each guess. */
  readonly rows: readonly Advanced[];
  /** What each of them cost by itself; none where the step was a prompt's. */
  readonly costs: readonly TokenCost[];
  /** Of all of them, where some are guesses. */
  readonly together?: ReadTogether;
  /** The share of the step's time. */
  readonly ms: number;
}

/** A sequence: from its first `advance` to `leave` it holds a slot. */
export interface Lane {
  /**
   * Computes the ids that its slot does not hold yet. Nothing where it was stopped on the way.
   * @throws RelufyError `backend` for numbers that are not finite; `state` when the model was disposed before its turn.
   */
  advance(ids: readonly number[], request?: LaneRequest): Promise<LaneStep | undefined>;
  /** No other sequence generates on this model. */
  readonly isAlone: boolean;
  /** Guesses that fit into a step. */
  readonly mostDrafted: number;
  /** How many of these ids its slot holds. The same list as before is one that has grown at its end. */
  computed(ids: readonly number[]): number;
  /** Keeps the slot and lets the steps of others go on: the next `advance` will take its time. What it was given is gone. */
  rest(): void;
  /**
   * Gives the slot back, with no more than the first `length` ids in it. Whoever was answered must call this or `advance` at
   * once: the next step waits for it.
   */
  leave(length?: number): void;
}

export interface LaneParts {
  readonly stopped: Stopped;
  /** Counts what the sequence costs, by itself. */
  readonly statistics: StepStatistics;
  readonly options: AdvanceOptions;
  /** How steps that draft differ. */
  readonly draft?: AdvanceOptions;
  /** Windows after its prompt that reuse neurons; steps of other phases are not shared. */
  readonly reuse?: ReuseOptions | undefined;
}

/** A lane that waits for a step. */
interface Asking {
  readonly lane: Lane;
  readonly parts: LaneParts;
  readonly slot: number;
  readonly ids: readonly number[];
  /** The last of them that are guesses. */
  readonly drafted: number;
  /** It asks for a guess. */
  readonly isDraft: boolean;
  /** What the slot held when it asked. */
  readonly cached: number;
  /** What its slot loaded before counts no longer. */
  readonly forgets: boolean;
  readonly since: number;
  readonly answer: (step: LaneStep | undefined) => void;
  readonly refuse: (error: unknown) => void;
}

/** What a step computes of one lane: ids [from, to). */
interface Part {
  readonly asking: Asking;
  readonly from: number;
  readonly to: number;
}

export class Scheduler {
  readonly #steps: Steps;
  readonly #claims: SlotClaims;
  readonly #cache: SlotCache;
  readonly #limits: StepLimits;
  readonly #layers: number;
  readonly #total: () => StepStatistics;
  /** In the order in which they are served: whoever was in a step asks anew, at the end. */
  #asking: Asking[] = [];
  /** Lanes that have begun and not left. */
  readonly #open = new Set<Lane>();
  /** Lanes that were answered and have neither asked again nor left. */
  readonly #choosing = new Set<Lane>();
  #chosen: () => void = () => {};
  #running = false;
  readonly #budget = new StepBudget();

  /** `total`: counts what all lanes cost together. */
  constructor(
    steps: Steps,
    claims: SlotClaims,
    { cache, limits, spec }: Pick<StepParts, 'cache' | 'limits' | 'spec'>,
    total: () => StepStatistics,
  ) {
    this.#steps = steps;
    this.#claims = claims;
    this.#cache = cache;
    this.#limits = limits;
    this.#layers = spec.numHiddenLayers;
    this.#total = total;
  }

  /** No sequence generates. */
  get isIdle(): boolean {
    return this.#open.size === 0;
  }

  /** A place for a sequence. */
  open(parts: LaneParts): Lane {
    let slot: number | undefined;
    let prompt: number | undefined;
    // of a list that grows, what was compared before need not be compared again
    let compared: { readonly ids: readonly number[]; readonly equal: number } | undefined;
    const { maxRows, maxOutputs } = this.#limits;
    const open = this.#open;
    const lane: Lane = {
      get isAlone() {
        return open.size <= 1;
      },
      // a row is left for the id before them, and one for prompts
      mostDrafted: Math.min(maxRows, maxOutputs) - 2,
      computed: (ids) => {
        if (slot === undefined) return 0;
        const from = compared?.ids === ids ? Math.min(compared.equal, this.#cache.length(slot)) : 0;
        const equal = commonPrefix(this.#cache.ids(slot), ids, from);
        compared = { ids, equal };
        return equal;
      },
      rest: () => this.#hasChosen(lane),
      advance: async (ids, request = {}) => {
        const isFirst = prompt === undefined;
        prompt ??= ids.length;
        open.add(lane);
        if (slot === undefined) {
          const claimed = await this.#claims.claim({ ids, isChat: true, stopped: parts.stopped });
          if (claimed === undefined) return undefined;
          slot = claimed[0] as number;
        }
        const { reuse } = parts;
        if (!isFirst || !reuse?.warmUp) return this.#ask(parts, lane, { slot, ids, prompt, ...request });
        // the tokens that load have a step of their own, whatever the slot holds of them
        const loads = Math.max(0, firstWindow({ ...reuse, prompt }));
        const before = ids.slice(0, loads);
        if (loads > 0 && (await this.#ask(parts, lane, { slot, ids: before, prompt })) === undefined) return undefined;
        return this.#ask(parts, lane, { slot, ids, prompt, loads, ...request });
      },
      leave: (length) => {
        open.delete(lane);
        if (slot !== undefined && length !== undefined) this.#cache.truncate(slot, length);
        // what some of the neurons gave is no beginning of anything
        if (slot !== undefined && parts.reuse) this.#cache.truncate(slot, prompt as number);
        if (slot !== undefined) this.#claims.release([slot]);
        slot = undefined;
        compared = undefined;
        this.#hasChosen(lane);
      },
    };
    return lane;
  }

  #ask(
    parts: LaneParts,
    lane: Lane,
    asked: LaneRequest & {
      readonly slot: number;
      readonly ids: readonly number[];
      readonly prompt: number;
      /** Where the ids begin that load, however many of them there are. */
      readonly loads?: number;
    },
  ): Promise<LaneStep | undefined> {
    const { slot, ids, prompt, drafted = 0, draftsFrom, loads } = asked;
    const known = Math.min(lane.computed(ids), ids.length - 1 - drafted, loads ?? ids.length);
    const cached = this.#cache.truncate(slot, known);
    const from = loads ?? ids.length - 1;
    const spans = [...stepSpans(from, ids.length, ids.length, parts.reuse && { ...parts.reuse, prompt })];
    const phase = spans.at(-1)?.phase;
    const forgets = spans.some((span) => span.forgets);
    const options: AdvanceOptions = {
      ...parts.options,
      ...(phase && { phase }),
      ...(drafted > 0 && { together: slot }),
      ...(draftsFrom !== undefined && parts.draft),
    };
    if (parts.reuse) this.#cache.keepFromOthers(slot, prompt);
    if (draftsFrom !== undefined) this.#cache.keepFromOthers(slot, draftsFrom);
    return new Promise((answer, refuse) => {
      const common = { lane, parts: { ...parts, options }, slot, ids, drafted, isDraft: draftsFrom !== undefined };
      this.#asking.push({ ...common, forgets, cached, since: performance.now(), answer, refuse });
      this.#hasChosen(lane);
      if (!this.#running) void this.#run();
    });
  }

  #hasChosen(lane: Lane): void {
    if (this.#choosing.delete(lane) && this.#choosing.size === 0) this.#chosen();
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#asking.length > 0) await this.#claims.turn(() => this.#step());
    this.#running = false;
  }

  /** Errors are those of lanes. */
  async #step(): Promise<void> {
    for (const asking of this.#asking.filter(({ parts }) => parts.stopped())) this.#answer(asking, undefined);
    const parts = this.#compose();
    try {
      if (parts.length > 0) await this.#compute(parts);
    } catch (error) {
      if (parts.length === 1) this.#refuse((parts[0] as Part).asking, error);
      // one of them left f32, or f16 in its cache: the others go on
      else for (const part of parts) await this.#alone(part).catch((own) => this.#refuse(part.asking, own));
    }
    await this.#allChosen();
  }

  /** A lane's part of a step that failed. Of a recurrent state nothing is left then: it is computed from its beginning. */
  async #alone({ asking, from, to }: Part): Promise<void> {
    const { maxRows } = this.#limits;
    for (let at = Math.min(from, this.#cache.length(asking.slot)); at < to; at += maxRows)
      await this.#compute([{ asking, from: at, to: Math.min(to, at + maxRows) }]);
  }

  /** The rows of the next step: those that decode first. Who asks for another program is served round robin. */
  #compose(): Part[] {
    const { maxRows, maxOutputs } = this.#limits;
    const [first] = this.#asking;
    const together = this.#asking.filter(({ parts }) => first && sameProgram(parts.options, first.parts.options));
    const prompts = together.filter((asking) => !decodes(asking));
    // a row and an output are left for prompts: who decodes must not shut them out
    const most = Math.max(1, Math.min(maxRows, maxOutputs) - (prompts.length > 0 ? 1 : 0));
    const parts: Part[] = [];
    let decoding = 0;
    for (const asking of together.filter(decodes)) {
      const own = asking.ids.length - asking.cached;
      if (decoding + own > most) break;
      decoding += own;
      parts.push({ asking, from: asking.cached, to: asking.ids.length });
    }
    let outputs = maxOutputs - decoding;
    let rows = decoding === 0 ? maxRows : Math.min(maxRows - decoding, this.#budget.promptRows(decoding));
    for (const [i, asking] of prompts.entries()) {
      const from = this.#cache.length(asking.slot);
      let to = Math.min(asking.ids.length, from + Math.ceil(rows / (prompts.length - i)));
      if (to === asking.ids.length && outputs-- <= 0) to--;
      if (to > from) parts.push({ asking, from, to });
      rows -= to - from;
    }
    return parts;
  }

  async #compute(parts: readonly Part[]): Promise<void> {
    const rows: Row[] = [];
    const outputRows: number[] = [];
    const done: Asking[] = [];
    for (const { asking, from, to } of parts) {
      for (let at = from; at < to; at++)
        rows.push({ token: asking.ids[at] as number, position: at, slot: asking.slot });
      if (to < asking.ids.length) continue;
      done.push(asking);
      for (let row = rows.length - 1 - asking.drafted; row < rows.length; row++) outputRows.push(row);
    }
    const decoding = parts.reduce((sum, { asking, from, to }) => sum + (decodes(asking) ? to - from : 0), 0);
    const { options } = (parts[0] as Part).asking.parts;
    for (const { asking, from } of parts)
      if (asking.forgets && from === asking.cached) await this.#steps.forgetLoaded(asking.slot);
    const { logits, costs, neurons, together, ms } = await this.#steps.advance(options, rows, outputRows, decoding);
    const vocabSize = logits.length / Math.max(1, outputRows.length);
    const isUsual = parts.every(({ asking }) => asking.drafted === 0 && !asking.isDraft);
    if (isUsual) this.#budget.took(ms, decoding, rows.length - decoding);
    const total = this.#total();
    const share = ms / rows.length;
    if (rows.length > decoding) total.prefill(rows.length - decoding, share * (rows.length - decoding));
    const now = performance.now();
    let output = 0;
    for (const asking of done) {
      const { ids, cached, since, drafted } = asking;
      const { statistics } = asking.parts;
      const own = costs.slice(output, output + 1 + drafted);
      const [first] = own;
      const ownMs = share * (1 + drafted);
      if (first && asking.isDraft) {
        total.drafts(ms, first.bytes);
        statistics.drafts(now - since, first.bytes);
      } else if (first) {
        const cost = together && drafted > 0 ? { ...first, bytes: together.bytes } : first;
        total.decode(ownMs, cost);
        statistics.decode(now - since, cost);
      } else statistics.prefill(ids.length - cached, now - since);
      const answers = Array.from({ length: 1 + drafted }, (_, i): Advanced => {
        const at = output + i;
        const cost = costs[at];
        const activity = cost && neurons[at] && activityOf(this.#layers, cost, neurons[at]);
        const row = logits.subarray(at * vocabSize, (at + 1) * vocabSize);
        return { logits: row, cached, ...(activity && { activity }) };
      });
      output += 1 + drafted;
      this.#answer(asking, { rows: answers, costs: own, ms: ownMs, ...(together && { together }) });
    }
    await this.#allChosen();
  }

  #answer(asking: Asking, step: LaneStep | undefined): void {
    this.#asking = this.#asking.filter((other) => other !== asking);
    this.#choosing.add(asking.lane);
    asking.answer(step);
  }

  #refuse(asking: Asking, error: unknown): void {
    this.#asking = this.#asking.filter((other) => other !== asking);
    asking.refuse(error);
  }

  async #allChosen(): Promise<void> {
    if (this.#choosing.size > 0)
      await new Promise<void>((resolve) => {
        this.#chosen = resolve;
      });
  }
}

/** All but its last id, and guesses, was there: what it costs is what a token of an answer costs. */
const decodes = ({ ids, cached, drafted }: Asking): boolean => ids.length - cached === 1 + drafted;

const sameProgram = (a: AdvanceOptions, b: AdvanceOptions): boolean =>
  a.sparsity === b.sparsity &&
  (a.activity ?? false) === (b.activity ?? false) &&
  a.phase === b.phase &&
  a.drafts === b.drafts &&
  a.together === b.together;
