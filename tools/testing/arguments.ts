// Calls as somebody makes them who has no types: each argument, and each option, replaced by each of many values. Right is
// a RelufyError or an answer; a TypeError, or no end, is a check that is missing.
// Does not own which values a call may take: each package's arguments.test.ts names those that it has to refuse.

export interface Call {
  /** Arguments that fit. */
  readonly args: readonly unknown[];
  readonly run: (...args: never[]) => unknown;
  /** By argument: the names of its options. */
  readonly options?: Readonly<Record<number, readonly string[]>>;
}

/** What a caller's own getter throws goes back to that caller. */
class OwnError extends Error {}
const own = (): never => {
  throw new OwnError('of the caller');
};

export const strangeValues: readonly unknown[] = [
  ...[null, 5, -1, Number.NaN, 3n, true, 'x', '', Symbol('s'), /x/, () => {}, new Date(0), Promise.resolve(1)],
  ...[[], [null], {}, Object.create(null), new Map([[1, 2]]), new Uint8Array(2), new URL('x:y')],
  ...[-0, Number.POSITIVE_INFINITY, 2 ** 53, 1e308, 0.5, '\ud800\u0000\u001b[2J', Object('x'), Object(3)],
  ...[new Array(1e6), { length: 1e9 }, [[[[]]]], [Number.NaN], Float64Array.of(Number.NaN)],
  ...[{ toString: own, valueOf: own, toJSON: own }, new Proxy({}, { get: own, has: own, ownKeys: own })],
  ...[Object.defineProperty([5], 0, { get: own, enumerable: true })],
];

/** Those that ended in anything but an answer or a RelufyError, as `argument 1.stop = /x/: TypeError: ...`. */
export async function wrongEnds({ args, run, options = {} }: Call): Promise<string[]> {
  const wrong: string[] = [];
  const attempt = async (what: string, at: number, value: unknown): Promise<void> => {
    const changed = args.map((argument, i) => (i === at ? value : argument));
    try {
      await drained(await run(...(changed as never[])));
    } catch (error) {
      if (!(error instanceof OwnError) && (error as Partial<Error> | null)?.name !== 'RelufyError')
        wrong.push(`argument ${at}${what}: ${String(error)}`);
    }
  };
  for (const [at, argument] of args.entries())
    for (const value of strangeValues) {
      await attempt(` = ${nameOf(value)}`, at, value);
      for (const option of options[at] ?? [])
        await attempt(`.${option} = ${nameOf(value)}`, at, { ...(argument as object), [option]: value });
    }
  return wrong;
}

async function drained(answer: unknown): Promise<void> {
  if (typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer)
    for await (const _ of answer as AsyncIterable<unknown>);
}

function nameOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return `${typeof value} ${String(value)}`;
  try {
    return Object.prototype.toString.call(value);
  } catch {
    return 'an object whose getters throw';
  }
}
