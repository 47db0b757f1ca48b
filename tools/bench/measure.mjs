// What the benchmarks of kernels share: the backend, the state of the machine, sessions full of seeded numbers, interleaved rounds.
// Does not own what is timed, nor products and their checks (products.mjs).
import os from 'node:os';
import { f32ToBf16, ProgramBuilder, quantizeRow, rowBytes } from '../../packages/tensor/dist/index.js';

const option = (name, otherwise) =>
  process.argv.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise;

export const threads = Number(option('threads', 2));
export const rounds = Number(option('rounds', 7));
export const dtypes = option('dtypes', 'f32,bf16,int8,int4').split(',');
export { option };

/** Names of backends, those of --backend. */
export const backendNames = (otherwise = 'native') => option('backend', otherwise).split(',');

/** A backend by its name, with a measure of the bandwidth that it streams at. */
export async function openBackend(name, options) {
  const native = name === 'native';
  const made = await (native
    ? import('../../packages/native/dist/index.js')
    : import('../../packages/kernels/dist/node.js'));
  const backend = await (native ? made.createNativeBackend(options) : made.createWasmBackend(options));
  return { backend, bandwidth: (bytes) => made.streamBandwidth(backend, bytes) };
}

/** The only backend of a benchmark that takes one at a time. */
export const onlyBackend = (options, otherwise) => openBackend(backendNames(otherwise)[0], options);

export const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** The least processor time of a few runs, in ms: on one thread, what another program does meanwhile is not counted. */
export async function processorTime(run, count = rounds) {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < count; round++) {
    const before = process.cpuUsage();
    await run();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1000);
  }
  return least;
}

export function printMachine(title, backend) {
  const [cpu] = os.cpus();
  console.log(`# ${title}`);
  console.log(
    `${os.availableParallelism()} x ${cpu.model}, Node ${process.versions.node}, ${backend.description}, ` +
      `load ${os.loadavg()[0].toFixed(2)}, ${new Date().toISOString().slice(0, 10)}`,
  );
}

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

/** Fills a view: some random numbers, repeated. Of a block format, rows of `columns` numbers. */
export function fillRandom(view, seed, { dtype, columns, scale = 1 } = {}) {
  const next = numbers(seed);
  if (dtype === 'int8' || dtype === 'int4') {
    const bytes = rowBytes(dtype, columns);
    const rows = Math.min(8, view.length / bytes);
    for (let r = 0; r < rows; r++)
      quantizeRow(
        dtype,
        Float32Array.from({ length: columns }, () => next() * scale),
        view.subarray(r * bytes, (r + 1) * bytes),
      );
    repeat(view, rows * bytes);
    return;
  }
  const round = view instanceof Uint16Array ? f32ToBf16 : (value) => value;
  const block = view.subarray(0, Math.min(view.length, 1 << 18));
  for (let i = 0; i < block.length; i++) block[i] = round(next() * scale);
  repeat(view, block.length);
}

function repeat(view, length) {
  for (let at = length; at < view.length; at *= 2) view.copyWithin(at, 0, Math.min(at, view.length - at));
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

/**
 * Runs the cases in turn, op by op on the team. Gives for each case the sum over its ops of the least time of that op in
 * all rounds: what the step takes when nothing else runs, even on a machine where something else does.
 * A case is `(round) => Promise<Float64Array>`, milliseconds by op.
 */
export async function leastTimes(cases, count = rounds, warmups = 1) {
  const least = {};
  for (let round = -warmups; round < count; round++)
    for (const [name, run] of Object.entries(cases)) {
      const times = await run(round + warmups);
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
