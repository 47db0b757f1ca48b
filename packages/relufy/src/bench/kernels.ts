// One kernel at a time: bytes and floating-point operations a second. Each runs over more weights than a cache holds
// (several copies, one after the other), and its answer is held against the reference executor first.
import {
  type Backend,
  type BufferDecl,
  createReferenceBackend,
  type Dim,
  type DType,
  type OpKind,
  ProgramBuilder,
  rowBytes,
  type Session,
} from '@relufy/tensor';
import { takeTurns } from './measure.js';
import { fillBuffer, fillRandom, fillSelection, randomNumbers } from './synthetic.js';

export interface KernelResult {
  readonly name: string;
  readonly microseconds: number;
  readonly gigabytesPerSecond: number;
  readonly gflops: number;
  readonly spread: number;
}

const [hidden, ffn] = [2048, 5632];
/** More than the last-level cache of a desktop or a small server. */
const coldBytes = 256 << 20;

interface Kernel {
  readonly name: string;
  readonly op: OpKind;
  readonly rows: number;
  readonly dtype: DType;
  /** in -> out of the product. */
  readonly shape: readonly [input: number, output: number];
  readonly transposed: boolean;
  /** Share of rows or channels that are active, for sparse kernels. */
  readonly density?: number;
}

function kernels(dtype: DType): Kernel[] {
  const [up, down] = [[hidden, ffn] as const, [ffn, hidden] as const];
  const product = { op: 'linear', dtype, transposed: false, rows: 1 } as const;
  return [
    { ...product, name: `gemv ${dtype} [out, in]`, shape: up },
    { ...product, name: `gemv ${dtype} [in, out]`, shape: down, transposed: true },
    { ...product, name: `gemvRows ${dtype}, 10 %`, op: 'gemvRows', shape: up, density: 0.1 },
    { ...product, name: `axpyRows ${dtype}, 10 %`, op: 'axpyRows', shape: down, transposed: true, density: 0.1 },
    { ...product, name: `gemm ${dtype} [out, in], 128 rows`, rows: 128, shape: up },
    { ...product, name: `gemm ${dtype} [in, out], 128 rows`, rows: 128, shape: down, transposed: true },
  ];
}

export async function benchKernels(backend: Backend, dtype: DType, seconds: number): Promise<KernelResult[]> {
  const list = kernels(dtype);
  const results: KernelResult[] = [];
  for (const kernel of list) results.push(await benchKernel(backend, kernel, seconds / list.length));
  return results;
}

async function benchKernel(backend: Backend, kernel: Kernel, seconds: number): Promise<KernelResult> {
  const bench = new KernelBench(kernel);
  await bench.check(backend);
  const session = await bench.open(backend);
  try {
    const loaded = session.load(bench.program(bench.copies));
    const step = { rows: kernel.rows, outputs: 0 };
    const { run } = await takeTurns({ run: () => loaded.run(step) }, { seconds });
    const share = kernel.density ?? 1;
    const bytes = bench.weightBytes * share * bench.copies;
    const flops = 2 * kernel.rows * kernel.shape[0] * kernel.shape[1] * share * bench.copies;
    return {
      name: kernel.name,
      microseconds: (1000 * run.ms) / bench.copies,
      gigabytesPerSecond: bytes / run.ms / 1e6,
      gflops: flops / run.ms / 1e6,
      spread: run.spread,
    };
  } finally {
    await session.dispose();
  }
}

class KernelBench {
  readonly weightBytes: number;
  readonly copies: number;
  readonly #kernel: Kernel;
  readonly #limits: { maxRows: number; maxOutputs: number };

  constructor(kernel: Kernel) {
    const [input, output] = kernel.shape;
    this.#kernel = kernel;
    this.#limits = { maxRows: kernel.rows, maxOutputs: 1 };
    this.weightBytes = kernel.transposed
      ? input * rowBytes(kernel.dtype, output)
      : output * rowBytes(kernel.dtype, input);
    this.copies = Math.ceil(coldBytes / this.weightBytes);
  }

  #weight(copy: number): BufferDecl {
    const { dtype, shape, transposed } = this.#kernel;
    const [input, output] = shape;
    const sizes = transposed ? [input, output] : [output, input];
    return { name: `w.${copy}`, kind: 'weight', dtype, shape: sizes, ...(transposed && { transposed }) };
  }

  #input(name: string, width: Dim): BufferDecl {
    return { name, kind: 'input', dtype: 'f32', shape: ['rows', width] };
  }

  get #inputs(): BufferDecl[] {
    const { op, shape } = this.#kernel;
    const chosen = op === 'gemvRows' ? [this.#input('chosen', shape[1])] : [];
    return [this.#input('x', shape[0]), ...chosen];
  }

  async open(backend: Backend, copies = this.copies): Promise<Session> {
    const weights = Array.from({ length: copies }, (_, copy) => this.#weight(copy));
    const session = await backend.createSession([...this.#inputs, ...weights], this.#limits);
    for (const [seed, decl] of weights.entries())
      await fillBuffer(session, decl, this.#limits, (view) => fillRandom(view, decl, seed + 1));
    const { density, op, rows, shape } = this.#kernel;
    const next = randomNumbers(5);
    const x = Float32Array.from({ length: rows * shape[0] }, next);
    const chosen = op === 'gemvRows' ? new Float32Array(rows * shape[1]) : x;
    if (density !== undefined)
      for (let row = 0, width = chosen.length / rows; row < rows; row++)
        fillSelection(chosen.subarray(row * width, (row + 1) * width), density, next);
    await session.write('x', x);
    if (op === 'gemvRows') await session.write('chosen', chosen);
    return session;
  }

  program(copies: number) {
    const { op, shape } = this.#kernel;
    const builder = new ProgramBuilder(this.#kernel.name, this.#limits);
    for (const decl of this.#inputs) builder.use(decl);
    const list = op === 'gemvRows' ? this.#selection(builder, 'chosen', shape[1]) : {};
    const active = op === 'axpyRows' ? this.#selection(builder, 'x', shape[0]) : list;
    for (let copy = 0; copy < copies; copy++) {
      const weight = this.#weight(copy);
      const out = builder.activation(`out.${copy}`, ['rows', shape[1]]);
      builder.op(op, { ...builder.inputOf(weight, 'x'), w: builder.use(weight), ...active, out });
      builder.keep(out);
    }
    return builder.build();
  }

  #selection(builder: ProgramBuilder, x: string, width: number) {
    const active = builder.activation('active', ['rows', width], 'i32');
    const activeCount = builder.activation('activeCount', ['rows'], 'i32');
    builder.op('selectActive', { x, active, activeCount });
    return { active, activeCount };
  }

  /** The first row agrees with the reference executor, which has only that row to compute. */
  async check(backend: Backend): Promise<void> {
    const first: Float32Array[] = [];
    for (const [which, rows] of [
      [createReferenceBackend(), 1],
      [backend, this.#kernel.rows],
    ] as const) {
      const session = await this.open(which, 1);
      const loaded = session.load(this.program(1));
      await loaded.run({ rows, outputs: 0 });
      first.push((await loaded.read('out.0', 0, this.#kernel.shape[1])) as Float32Array);
      await session.dispose();
    }
    const [expected, actual] = first as [Float32Array, Float32Array];
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    if (largest === 0 || !expected.every((value, i) => Math.abs(value - (actual[i] as number)) <= 1e-4 * largest))
      throw new Error(`internal: ${this.#kernel.name} gives another answer than the reference; nothing was timed`);
  }
}
