// How many rows of prompts a step takes in beside answers, by what steps took: of a hundred steps beside a prompt one may take
// three times as long as a step without. What a row adds differs by machine, by the number of rows (of int4, 8 rows take two to
// three times as long as one, 128 rows 20 times) and by position, and no cost is modelled: each step says whether there were too
// many rows or too few, and moves their number by a quarter at most, however long the machine held it up.
// Does not own whose rows they are (scheduler.ts).
import { runningMean } from './running-mean.js';

/** Rows of prompts in the first step that has any. */
const firstRows = 2;
/** What one step changes their number by at most. */
const mostChange = 1.25;
/** Steps that take more of the time of one without prompts are long: the bar is 3, while answers grow dearer and tokens are chosen. */
const long = 2.5;
/** What steps aim at, of the same: at least, and at most and at first. */
const leastAim = 1.5;
const mostAim = 2.2;
/** How a long step changes the aim, and how any other one does. At rest one in a hundred is long: ln 1.001 / -ln 0.9. */
const afterLong = 0.9;
const afterOther = 1.001;
/** What one step that the machine held up may say of those without prompts. */
const mostOffAlone = 1.5;
/** After so many steps with rows of prompts, one without says what that takes now. */
const lookAgain = 32;

export class StepBudget {
  /** A step without rows of prompts, in ms, 0: not known; and of how many lanes the last one was. */
  #decode = 0;
  #lanes = 0;
  /** Not a whole number: between two numbers of rows, both are taken by turns. */
  #rows = firstRows;
  #aim = mostAim;
  /** Steps with rows of prompts since one without. */
  #beside = 0;

  /** Rows of prompts beside so many answers; none now and then, to see what a step takes without. */
  promptRows(decoding: number): number {
    return this.#beside >= (decoding === this.#lanes ? lookAgain : 1) ? 0 : Math.round(this.#rows);
  }

  /** A step of `decoding` rows of answers and `promptRows` of prompts took so long. */
  took(ms: number, decoding: number, promptRows: number): void {
    this.#beside = promptRows > 0 ? this.#beside + 1 : 0;
    if (promptRows === 0) {
      const before = decoding === this.#lanes ? this.#decode : 0;
      this.#decode = runningMean(before, before > 0 ? Math.min(ms, mostOffAlone * before) : ms);
      this.#lanes = decoding;
    } else if (decoding > 0 && this.#decode > 0) {
      this.#aim = between(leastAim, this.#aim * (ms > long * this.#decode ? afterLong : afterOther), mostAim);
      const change = between(1 / mostChange, (this.#aim * this.#decode) / ms, mostChange);
      // a prompt's end says nothing of more rows
      if (change < 1 || promptRows >= Math.round(this.#rows)) this.#rows = Math.max(1, this.#rows * change);
    }
  }
}

const between = (least: number, value: number, most: number): number => Math.max(least, Math.min(most, value));
