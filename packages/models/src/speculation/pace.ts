// How many tokens to draft, by what was measured: how often a drafted token is accepted, and what a drafted token, a step
// that verifies so many rows and a plain step take. Where no number pays, none are drafted but for a try now and then, and
// what tries lose is bounded: they spend credit, which plain steps earn.
// Does not own drafts nor steps (speculation.ts); the clock is the caller's.
import { runningMean } from '../running/running-mean.js';

/** Shares of the time that tries may lose: of plain steps, and what there is at the start, in plain steps. */
const creditShare = 0.015;
const firstCredit = 3;
/** What was won before pays for so many plain steps at most: a text that has changed is noticed soon. */
const mostCredit = 6;
/** Drafting has to win this much to be worth its own noise. */
const leastGain = 0.02;
/** Plain steps before anything is drafted, and steps after which one is plain again: what one takes grows with the context. */
const firstPlain = 3;
const plainEvery = 64;
/** The first drafts and their steps compile and warm up: they are short, and their times say nothing. */
const untimed = 2;
const untimedTokens = 1;
/** How fast old tokens are forgotten in the acceptance. */
const forgetting = 0.95;
/** As long as nothing is known: of ten drafted tokens seven are right; a further row takes an eighth of a plain step. */
const assumed = { accepted: 7, compared: 10, row: 1 / 8 };

export interface PaceFigures {
  /** Of a drafted token whose predecessors were accepted, as of late. */
  readonly acceptance: number;
  /** Milliseconds of a plain step, and of one drafted token; 0 is not known. */
  readonly plainMs: number;
  readonly draftMs: number;
}

export class Pace {
  #plainMs = 0;
  #plainSteps = 0;
  #draftMs = 0;
  /** By rows. */
  readonly #stepMs: number[] = [];
  #accepted = assumed.accepted;
  #compared = assumed.compared;
  #credit: number | undefined;
  #sincePlain = 0;
  #verified = 0;
  /** The most tokens of a draft that was timed: twice as many at most come next, since what they take is a guess. */
  #longest = 1;

  get figures(): PaceFigures {
    return { acceptance: this.#accepted / this.#compared, plainMs: this.#plainMs, draftMs: this.#draftMs };
  }

  /** Tokens to draft before the next step, 0 to `most`. */
  next(most: number): number {
    if (this.#plainSteps < firstPlain || this.#sincePlain >= plainEvery) return 0;
    if (this.#verified < untimed) return (this.#credit ?? 0) >= 0 ? Math.min(most, untimedTokens) : 0;
    const { gamma, gain } = this.#best(Math.min(most, 2 * this.#longest));
    const credit = this.#credit ?? 0;
    if (gain > leastGain) return credit >= 0 ? gamma : 0;
    // a try costs at most about a step of two rows with one token drafted
    return credit > this.#stepOf(2) + this.#draftMs ? Math.min(most, Math.max(1, gamma)) : 0;
  }

  /** A step without drafts took so long. */
  plain(ms: number): void {
    this.#plainMs = runningMean(this.#plainMs, ms);
    this.#plainSteps++;
    this.#sincePlain = 0;
    this.#earn(creditShare * ms);
  }

  /** So many tokens were drafted in so long, and their step took so long; `accepted` of `compared` were right. */
  verified(took: {
    readonly drafted: number;
    readonly draftMs: number;
    readonly stepMs: number;
    readonly accepted: number;
    readonly compared: number;
  }): void {
    const { drafted, draftMs, stepMs, accepted, compared } = took;
    this.#sincePlain++;
    this.#accepted = forgetting ** compared * this.#accepted + accepted;
    this.#compared = forgetting ** compared * this.#compared + compared;
    if (this.#verified++ < untimed) {
      // it costs what such a step might when it is warm
      this.#earn(Math.max((accepted + 1) * this.#plainMs - draftMs - stepMs, -this.#plainMs));
      return;
    }
    this.#longest = Math.max(this.#longest, drafted);
    this.#draftMs = runningMean(this.#draftMs, draftMs / drafted);
    this.#stepMs[drafted + 1] = runningMean(this.#stepMs[drafted + 1] ?? 0, stepMs);
    this.#earn((accepted + 1) * this.#plainMs - draftMs - stepMs);
  }

  /** The number of tokens with the most tokens a second, and what it wins over plain steps (0.1: a tenth more). */
  #best(most: number): { readonly gamma: number; readonly gain: number } {
    const { acceptance } = this.figures;
    let best = { gamma: 0, gain: Number.NEGATIVE_INFINITY };
    let tokens = 1;
    let power = 1;
    for (let gamma = 1; gamma <= most; gamma++) {
      power *= acceptance;
      tokens += power; // (1 - acceptance^(gamma + 1)) / (1 - acceptance)
      const gain = (tokens * this.#plainMs) / (gamma * this.#draftMs + this.#stepOf(gamma + 1)) - 1;
      if (gain > best.gain) best = { gamma, gain };
    }
    return best;
  }

  /** What a step of so many rows takes: measured, or on the line through a plain step and the nearest number that was. */
  #stepOf(rows: number): number {
    const known = this.#stepMs[rows];
    if (known !== undefined) return known;
    let nearest: number | undefined;
    for (const key of this.#stepMs.keys())
      if (
        this.#stepMs[key] !== undefined &&
        Math.abs(key - rows) < Math.abs((nearest ?? Number.POSITIVE_INFINITY) - rows)
      )
        nearest = key;
    const row =
      nearest === undefined
        ? assumed.row * this.#plainMs
        : Math.max(0, ((this.#stepMs[nearest] as number) - this.#plainMs) / (nearest - 1));
    return this.#plainMs + row * (rows - 1);
  }

  #earn(ms: number): void {
    this.#credit = Math.min(mostCredit * this.#plainMs, (this.#credit ?? firstCredit * this.#plainMs) + ms);
  }
}
