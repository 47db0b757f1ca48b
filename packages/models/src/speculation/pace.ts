// How many tokens to draft, by what was measured: running means of a plain step of one row, of a drafted token and of a step
// that verifies so many rows, and how often a drafted token is accepted. Drafting is off until two or more tries say that it
// pays and off again as soon as it does not. While it is on, plain steps are timed now and then, since what is compared with
// has to be as new; while it is off, tries get rarer the longer they lose. What tries lose is bounded: they spend credit,
// which plain steps earn.
// Does not own drafts nor steps (speculation.ts); the clock is the caller's.
import { runningMean } from '../running/running-mean.js';

/** What tries may lose: so many plain steps at the start, and this share of the time of plain steps. 3 % in 128 tokens. */
const firstCredit = 2;
const creditShare = 0.01;
/** What was won before pays for so many plain steps at most: a text that has changed is noticed soon. */
const mostCredit = 4;
/** Drafting has to win this much to be worth its own noise. */
const leastGain = 0.03;
/** What is won by so much is won even if plain steps are faster than they were. */
const sureGain = 0.4;
/** Plain steps that are timed before anything is drafted. */
const firstPlain = 4;
/** While drafts are made: after how many of them plain steps are timed, at first and later, and how many. */
const firstCheck = 2;
const lastCheck = 32;
const checked = 2;
/** Plain steps until the next try, after the first one that lost and at most: twice as many after each. */
const firstWait = 32;
const lastWait = 256;
/** Steps of a try: fewer say too little, and more are asked only where it looks well. */
const leastTries = 2;
const mostTries = 6;
/** The first drafts and their steps compile and warm up: they are short, and their times say nothing. */
const untimed = 2;
const untimedTokens = 1;
/** How fast old tokens are forgotten in the acceptance, and old steps in what was won. */
const forgetting = 0.95;
const forgettingSteps = 0.9;
/** The part of a running mean that the newest time is, and how far one may stand out: the machine has other work. */
const newest = 0.2;
const newestPlain = 0.3;
const mostAbove = 2;
/** As long as nothing is known: of ten drafted tokens seven are right; a further row takes an eighth of a plain step. */
const assumed = { accepted: 7, compared: 10, row: 1 / 8 };

export interface PaceFigures {
  /** Of a drafted token whose predecessors were accepted, as of late. */
  readonly acceptance: number;
  /** Milliseconds of a plain step, and of one drafted token; 0 is not known. */
  readonly plainMs: number;
  readonly draftMs: number;
}

/** A running mean of times, the plain one of the first few; times far above it count as less. */
class MeanTime {
  ms = 0;
  count = 0;
  readonly #newest: number;

  constructor(newest: number) {
    this.#newest = newest;
  }

  add(ms: number): void {
    this.ms = runningMean(this.ms, this.clipped(ms), Math.max(this.#newest, 1 / ++this.count));
  }

  clipped(ms: number): number {
    return this.count === 0 ? ms : Math.min(ms, mostAbove * this.ms);
  }
}

export class Pace {
  readonly #plain = new MeanTime(newestPlain);
  readonly #draft = new MeanTime(newest);
  /** By rows. */
  readonly #steps: MeanTime[] = [];
  #accepted = assumed.accepted;
  #compared = assumed.compared;
  /** In plain steps. */
  #credit = firstCredit;
  /** `try`: it is asked whether drafting pays. */
  #state: 'off' | 'try' | 'on' = 'off';
  /** Plain steps since the last draft, and until the next try. */
  #sinceDraft = 0;
  #wait = 0;
  /** The step before was another kind of step. */
  #isCold = true;
  /** Tries that lost, one after the other. */
  #lost = 0;
  /** Steps that verified: since plain ones were timed, after how many they are again, and in this state. */
  #sincePlain = 0;
  #check = firstCheck;
  #inState = 0;
  /** Tokens that came, and the time that they took, of the last steps that verified. */
  readonly #recent = { tokens: 0, ms: 0 };
  #verified = 0;
  /** The most tokens of a draft that was timed: twice as many at most come next, since what they take is a guess. */
  #longest = 1;

  get figures(): PaceFigures {
    return { acceptance: this.#accepted / this.#compared, plainMs: this.#plain.ms, draftMs: this.#draft.ms };
  }

  /** Another answer begins: after its prompt a plain step is not what it will be. */
  begin(): void {
    this.#isCold = true;
  }

  /** Tokens to draft before the next step, 0 to `most`. */
  next(most: number): number {
    if (this.#plain.count < firstPlain || this.#sincePlain >= this.#check) return 0;
    if (this.#state === 'off') {
      if (this.#sinceDraft < this.#wait) return 0;
      this.#enter('try');
    }
    if (this.#verified < untimed) return this.#credit >= 0 ? Math.min(most, untimedTokens) : 0;
    const { gamma, tokens, ms } = this.#best(Math.min(most, 2 * this.#longest));
    return this.#credit >= ms / this.#plain.ms - tokens ? gamma : 0;
  }

  /** A step without drafts took so long. */
  plain(ms: number): void {
    this.#credit = Math.min(mostCredit, this.#credit + creditShare);
    this.#sinceDraft++;
    // it finds colder caches
    const isCold = this.#isCold;
    this.#isCold = false;
    if (isCold) return;
    this.#plain.add(ms);
    if (this.#sincePlain >= this.#check && this.#sinceDraft > checked) {
      this.#sincePlain = 0;
      this.#check = Math.min(lastCheck, 2 * this.#check);
      this.#judge();
    }
  }

  /** So many tokens were drafted in so long, and their step took so long; `accepted` of `compared` were right. */
  verified(took: {
    readonly drafted: number;
    readonly draftMs: number;
    readonly stepMs: number;
    readonly accepted: number;
    readonly compared: number;
  }): void {
    const { drafted, accepted, compared } = took;
    this.#sinceDraft = 0;
    this.#isCold = true;
    this.#accepted = forgetting ** compared * this.#accepted + accepted;
    this.#compared = forgetting ** compared * this.#compared + compared;
    if (this.#verified++ < untimed) {
      // it costs what such a step might when it is warm
      this.#earn(accepted + 1, Math.min(took.draftMs + took.stepMs, (accepted + 2) * this.#plain.ms));
      return;
    }
    this.#longest = Math.max(this.#longest, drafted);
    this.#steps[drafted + 1] ??= new MeanTime(newest);
    const step = this.#steps[drafted + 1] as MeanTime;
    const draftMs = this.#draft.clipped(took.draftMs / drafted);
    const ms = drafted * draftMs + step.clipped(took.stepMs);
    this.#draft.add(draftMs);
    step.add(took.stepMs);
    this.#earn(accepted + 1, ms);
    this.#recent.tokens = forgettingSteps * this.#recent.tokens + accepted + 1;
    this.#recent.ms = forgettingSteps * this.#recent.ms + ms;
    this.#sincePlain++;
    this.#inState++;
    this.#judge();
  }

  /** Whether to go on as it is. */
  #judge(): void {
    if (this.#inState < leastTries) return;
    const { tokens, ms } = this.#best(2 * this.#longest);
    const expected = (tokens * this.#plain.ms) / ms - 1;
    const seen = (this.#recent.tokens * this.#plain.ms) / this.#recent.ms - 1;
    if (this.#state === 'on') {
      if (expected < leastGain || (this.#inState > 4 * leastTries && seen < leastGain)) this.#lose();
      else if (seen > leastGain && this.#check > 2 * firstCheck) this.#lost = 0;
    } else if (this.#state === 'try') {
      if (expected > leastGain) this.#enter('on', expected > sureGain ? lastCheck : firstCheck);
      else if (seen < leastGain || this.#inState >= mostTries) this.#lose();
    }
  }

  #lose(): void {
    this.#wait = Math.min(lastWait, firstWait * 2 ** this.#lost++);
    this.#enter('off');
  }

  #enter(state: 'off' | 'try' | 'on', check = this.#check): void {
    this.#state = state;
    this.#sincePlain = 0;
    this.#inState = 0;
    this.#check = check;
    if (state === 'try') Object.assign(this.#recent, { tokens: 0, ms: 0 });
  }

  /** The number of tokens, at least one, with the most tokens a second; how many a step gives then, and what that takes. */
  #best(most: number): { readonly gamma: number; readonly tokens: number; readonly ms: number } {
    const { acceptance } = this.figures;
    let best: { readonly gamma: number; readonly tokens: number; readonly ms: number } | undefined;
    let tokens = 1;
    let power = 1;
    for (let gamma = 1; gamma <= Math.max(1, most); gamma++) {
      power *= acceptance;
      tokens += power; // (1 - acceptance^(gamma + 1)) / (1 - acceptance)
      const ms = gamma * this.#draft.ms + this.#stepOf(gamma + 1);
      if (best === undefined || tokens / ms > best.tokens / best.ms) best = { gamma, tokens, ms };
    }
    return best as NonNullable<typeof best>;
  }

  /** What a step of so many rows takes: measured, or on the line through a plain step and the nearest number that was. */
  #stepOf(rows: number): number {
    const known = this.#steps[rows];
    if (known !== undefined) return known.ms;
    let nearest: number | undefined;
    for (const key of this.#steps.keys())
      if (
        this.#steps[key] !== undefined &&
        Math.abs(key - rows) < Math.abs((nearest ?? Number.POSITIVE_INFINITY) - rows)
      )
        nearest = key;
    const plainMs = this.#plain.ms;
    const row =
      nearest === undefined
        ? assumed.row * plainMs
        : Math.max(0, ((this.#steps[nearest] as MeanTime).ms - plainMs) / (nearest - 1));
    return plainMs + row * (rows - 1);
  }

  /** So many tokens came in so long. */
  #earn(tokens: number, ms: number): void {
    this.#credit = Math.min(mostCredit, this.#credit + tokens - ms / this.#plain.ms);
  }
}
