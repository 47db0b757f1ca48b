// Whether a step of several rows goes by the lists of what is not zero, row by row, or reads all weights in one product of
// all rows: the bits are the same, and which takes less depends on rows, density, format and machine. So both are timed now
// and then, and the faster one is taken. One row always goes by its lists.
// Measured, exact over dense time of an FFN (uint4, 576 x 1536, AVX-512): 4 rows 0.5 at 5 %, 1.1 at 20 % active; 16 rows 0.7,
// 1.3; 128 rows 0.8, 1.5, and 3.4 at 50 %.
// Does not own the two programs (steps.ts, decoder-products.ts).
import { runningMean } from './running-mean.js';

/** `listed`: only the weights behind lists; `all`: every weight, the lists are made and counted all the same. */
export type WeightsRead = 'listed' | 'all';

interface Tried {
  runs: number;
  /** Of a row, as of late. */
  ms: number;
}

interface Choice {
  readonly listed: Tried;
  readonly all: Tried;
  /** Steps until the slower one is tried again, and how many they were the last time. */
  wait: number;
  lastWait: number;
}

/** Runs of each before they are compared; the first one is not timed, since it compiles and warms up. */
const trials = 3;
const firstWait = 32;
const longestWait = 1024;
const newest = 0.3;

export class ProductChoice {
  /** By the number of rows, in powers of two. */
  readonly #choices = new Map<number, Choice>();

  next(rows: number): WeightsRead {
    if (rows === 1) return 'listed';
    const choice = this.#choiceOf(rows);
    const { listed, all } = choice;
    if (listed.runs < trials || all.runs < trials) return listed.runs <= all.runs ? 'listed' : 'all';
    const [better, other]: readonly [WeightsRead, WeightsRead] =
      listed.ms <= all.ms ? ['listed', 'all'] : ['all', 'listed'];
    if (--choice.wait > 0) return better;
    // who keeps losing is tried less and less often
    choice.lastWait = Math.min(longestWait, 2 * choice.lastWait);
    choice.wait = choice.lastWait;
    return other;
  }

  took(rows: number, way: WeightsRead, ms: number): void {
    if (rows === 1) return;
    const choice = this.#choiceOf(rows);
    const tried = choice[way];
    tried.runs++;
    if (tried.runs === 1) return;
    const before = choice.listed.ms <= choice.all.ms;
    tried.ms = runningMean(tried.ms, ms / rows, newest);
    if (tried.runs > trials && before !== choice.listed.ms <= choice.all.ms) choice.lastWait = firstWait;
  }

  #choiceOf(rows: number): Choice {
    const key = Math.floor(Math.log2(rows));
    let choice = this.#choices.get(key);
    if (choice === undefined) {
      choice = { listed: { runs: 0, ms: 0 }, all: { runs: 0, ms: 0 }, wait: firstWait, lastWait: firstWait };
      this.#choices.set(key, choice);
    }
    return choice;
  }
}
