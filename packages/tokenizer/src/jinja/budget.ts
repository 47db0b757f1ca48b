// What one rendering may cost. A template is a program from a file: it may loop, recurse and double what it has, so
// steps are counted and sizes are asked for before anything is allocated. Rendering is synchronous, so one count is
// enough. Which work costs what is said where it is done.

const STEPS = 400_000;
/** Characters and list entries that come about, printed or not; ten times as many as a long context has. */
const SIZE = 16_000_000;
const ITEM = 8;
/** Nested calls, expressions and values. Python gives up at about 1000 frames of its own. */
const DEPTH = 400;
/** Comparing and searching goes through so many characters in a step. */
const CHARACTERS_PER_STEP = 64;

let steps = STEPS;
let size = SIZE;
let depth = 0;

/** What a template that costs too much throws. */
export class TemplateBudgetError extends Error {}

/** Runs with a fresh budget; `input` is the size of template and variables, which a template may copy many times. */
export function withTemplateBudget<T>(input: number, run: () => T): T {
  const before = [steps, size, depth] as const;
  steps = STEPS + 2 * input;
  size = SIZE + 32 * input;
  depth = 0;
  try {
    return run();
  } catch (error) {
    // The engine's own limits: the stack, or the length of a string or list.
    if (error instanceof RangeError) throw new TemplateBudgetError('it nests or makes too much', { cause: error });
    throw error;
  } finally {
    [steps, size, depth] = before;
  }
}

export function step(count = 1): void {
  steps -= count;
  if (!(steps >= 0)) throw new TemplateBudgetError(`it takes more than ${STEPS} steps`);
}

/** Before `amount` characters are gone through. */
export function scan(amount: number): void {
  if (amount >= CHARACTERS_PER_STEP) step(Math.floor(amount / CHARACTERS_PER_STEP));
}

/** Before `amount` characters or entries come about. */
export function charge(amount: number): void {
  size -= amount;
  if (!(size >= 0)) throw new TemplateBudgetError(`it makes more than ${SIZE} characters or list entries`);
}

/** Before `amount` entries of lists come about, each of which takes a pointer or more. */
export const chargeItems = (amount: number): void => charge(ITEM * amount);

/** One level of calls or nested values deeper. */
export function deeper<T>(run: () => T): T {
  enter();
  try {
    return run();
  } finally {
    leave();
  }
}

export function enter(): void {
  if (++depth > DEPTH) throw new TemplateBudgetError(`it nests more than ${DEPTH} calls or values`);
}

export function leave(): void {
  depth--;
}
