// What one rendering may cost. A template is a program from a file: it may loop, recurse and double what it has, so
// steps are counted and sizes are asked for before anything is allocated. Rendering is synchronous, so one count is
// enough. Which work costs what is said where it is done (jinja-interpreter.ts, jinja-values.ts).

const STEPS = 250_000;
/** Characters and list entries that come about, printed or not; ten times as many as a long context has. */
const SIZE = 16_000_000;
const DEPTH = 400;

let steps = STEPS;
let size = SIZE;
let depth = 0;

/** What a template that costs too much throws. */
export class TemplateBudgetError extends Error {}

/** Runs with a fresh budget; `input` is the length of what is rendered, which a template may copy many times. */
export function withTemplateBudget<T>(input: number, run: () => T): T {
  const before = [steps, size, depth] as const;
  steps = STEPS + 4 * input;
  size = SIZE + 32 * input;
  depth = 0;
  try {
    return run();
  } finally {
    [steps, size, depth] = before;
  }
}

export function step(count = 1): void {
  steps -= count;
  if (steps < 0) throw new TemplateBudgetError(`it takes more than ${STEPS} steps`);
}

/** Before `amount` characters or entries come about. */
export function charge(amount: number): void {
  size -= amount;
  if (!(size >= 0)) throw new TemplateBudgetError(`it makes more than ${SIZE} characters or list entries`);
}

/** One level of macros or nested values deeper. */
export function deeper<T>(run: () => T): T {
  if (++depth > DEPTH) throw new TemplateBudgetError(`it nests more than ${DEPTH} calls or values`);
  try {
    return run();
  } finally {
    depth--;
  }
}
