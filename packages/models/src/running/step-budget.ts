// How many rows of prompts a step takes in beside answers: as many as let it take about twice the time of one without, by what
// steps took. What a row adds is not the same for any number of rows (of int4, 8 rows take six times as long as one, 128
// rows 20 times) nor at any position, so the number moves by small factors from where it was measured, down at once and up slowly.
// Does not own whose rows they are (scheduler.ts).
import { runningMean } from './running-mean.js';

/** A step with rows of prompts may take so many times as long as one without. */
const stretch = 2;
/** Rows of prompts beside answers, as long as it is not known what one costs. */
const firstRows = 2;
/** From one step to the next, so many times as many, and one. */
const growth = 1.5;
/** What one step that the machine held up may say of the cost of a row, and of a step without any. */
const mostOff = 2;
const mostOffAlone = 1.5;
/** After so many steps with rows of prompts, one without says what that takes now. */
const lookAgain = 32;

export class StepBudget {
  /** A step without rows of prompts, in ms, 0: not known; and of how many lanes the last one was. */
  #decode = 0;
  #lanes = 0;
  /** What a row of a prompt adds to it, in steps of about `rows` of them. */
  #row = 0;
  #rows = 0;
  /** Steps with rows of prompts since one without. */
  #beside = 0;

  /** Rows of prompts beside so many answers; none now and then, to see what a step takes without. */
  promptRows(decoding: number): number {
    if (this.#beside >= (decoding === this.#lanes ? lookAgain : 1)) return 0;
    if (this.#decode === 0 || this.#row === 0) return firstRows;
    const fitting = Math.round(((stretch - 1) * this.#decode) / this.#row);
    return Math.max(1, Math.min(fitting, Math.floor(growth * this.#rows) + 1));
  }

  /** A step of `decoding` rows of answers and `promptRows` of prompts took so long. */
  took(ms: number, decoding: number, promptRows: number): void {
    this.#beside = promptRows > 0 ? this.#beside + 1 : 0;
    if (promptRows === 0) {
      const before = decoding === this.#lanes ? this.#decode : 0;
      this.#decode = runningMean(before, before > 0 ? Math.min(ms, mostOffAlone * before) : ms);
      this.#lanes = decoding;
    } else if (decoding > 0 && this.#decode > 0) {
      const row = Math.max(0.01, ms - this.#decode) / promptRows;
      const isDearer = this.#row > 0 && row > this.#row;
      this.#row = isDearer ? Math.min(row, mostOff * this.#row) : runningMean(this.#row, row);
      this.#rows = promptRows;
    }
  }
}
