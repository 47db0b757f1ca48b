// What the benchmarks share: the state of the machine, sessions full of seeded numbers, interleaved rounds, medians.
import os from 'node:os';
import { f32ToBf16, ProgramBuilder } from '@relufy/tensor';

/** `--name=value` of the command line. */
export const argument = (name, otherwise) =>
  process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? String(otherwise);

export const threads = Number(argument('threads', 2));

export function printMachine(title) {
  const [cpu] = os.cpus();
  console.log(`# ${title}`);
  console.log(
    `${os.availableParallelism()} x ${cpu.model}, Node ${process.versions.node} (V8 ${process.versions.v8}), ` +
      `${threads} threads, load ${os.loadavg()[0].toFixed(2)}, ${new Date().toISOString().slice(0, 10)}`,
  );
}

export const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
export const spread = (values) => `${Math.min(...values).toFixed(2)}..${Math.max(...values).toFixed(2)}`;

/** A fast seeded source of numbers in [-1, 1). */
export function numbers(seed) {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state / 2 ** 31;
  };
}

/** Fills a view: a block of random numbers, repeated. */
export function fillRandom(view, seed, scale = 1) {
  const next = numbers(seed);
  const block = view.subarray(0, Math.min(view.length, 1 << 18));
  const round = view instanceof Uint16Array ? f32ToBf16 : (value) => value;
  for (let i = 0; i < block.length; i++) block[i] = round(next() * scale);
  for (let at = block.length; at < view.length; at += block.length)
    view.set(block.subarray(0, Math.min(block.length, view.length - at)), at);
}

/** Declarations and a program, put together by `build(declare, builder)`. */
export function design(limits, build) {
  const decls = [];
  const builder = new ProgramBuilder('bench', limits);
  const declare = (name, dtype, shape, transposed) => {
    const decl = { name, kind: 'state', dtype, shape, ...(transposed ? { transposed } : {}) };
    decls.push(decl);
    builder.use(decl);
    return name;
  };
  build(declare, builder);
  return { decls, program: builder.build() };
}

/** Runs the cases in turn, `rounds` times after warm-ups; milliseconds by case. */
export async function interleave(cases, rounds, warmups = 2) {
  const times = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
  for (let round = -warmups; round < rounds; round++)
    for (const [name, run] of Object.entries(cases)) {
      const before = performance.now();
      await run();
      if (round >= 0) times[name].push(performance.now() - before);
    }
  return times;
}

/**
 * Runs the cases in turn, op by op on the team. Gives for each case the sum over its ops of the least time of that op
 * in all rounds: what the step takes when nothing else runs, even on a machine where something else does.
 * A case is `() => Promise<Float64Array>`, milliseconds by op.
 */
export async function leastTimes(cases, rounds, warmups = 2) {
  const least = {};
  for (let round = -warmups; round < rounds; round++)
    for (const [name, run] of Object.entries(cases)) {
      const times = await run();
      if (round < 0) continue;
      least[name] = least[name]?.map((ms, op) => Math.min(ms, times[op])) ?? [...times];
    }
  return Object.fromEntries(Object.entries(least).map(([name, ms]) => [name, ms.reduce((a, b) => a + b, 0)]));
}

/** Fails when two numbers differ by more than a share of the larger. */
export function checkClose(what, got, expected, tolerance = 1e-4) {
  if (!(Math.abs(got - expected) <= tolerance * Math.max(1, Math.abs(expected))))
    throw new Error(`${what}: got ${got}, expected ${expected}`);
}
