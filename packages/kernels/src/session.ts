// One model's memory and programs on the wasm backend. Owns the WebAssembly.Memory, its layout over time, views and
// encoded programs. Does not own threads (engine.ts, team.ts) or what ops compute (assembly/).
import {
  type BufferDecl,
  type BufferView,
  checkInMemory,
  checkProgram,
  checkStep,
  encodeProgram,
  HostMemory,
  type HostProgram,
  type HostSession,
  isBlockDType,
  type MemoryPlan,
  type Program,
  planMemory,
  type RecordSession,
  RelufyError,
  type RowFile,
  readElements,
  type Step,
  type StepLimits,
  type StoredPlace,
  StoredRows,
  scalesBytes,
  scalesOffset,
  show,
  storedRowBytes,
  trainingOpTable,
  unitBytes,
  validateProgram,
  viewLength,
  viewTypes,
} from '@relufy/tensor';
import type { Engine } from './engine.js';
import { type KnownFile, writePlace } from './fetch-rows.js';
import {
  type BufferLayout,
  layOutBuffers,
  maxPages,
  pageBytes,
  pagesOf,
  recordUnits,
  type Workspace,
  workspaceOf,
} from './layout.js';
import type { KernelSet } from './modules.js';
import type { StepCall } from './protocol.js';
import type { KernelSizes } from './sizes.js';

export interface WasmProgram extends HostProgram {
  /** Runs a step op by op on the team; gives the milliseconds of each op. */
  profile(step: Step): Promise<Float64Array>;
}

export interface WasmSession extends HostSession {
  load(program: Program): WasmProgram;
}

interface Placed extends Workspace {
  readonly records: (offsetOf: (buffer: string) => number) => Uint32Array;
  readonly ops: number;
  readonly kernels: KernelSet;
  readonly plan: MemoryPlan;
  unit: number;
}

/** From this many bytes on, a disposed session is worth a collection of garbage. */
const worthCollecting = 2 ** 25;

const gibibytes = (bytes: number): string => (bytes / 2 ** 30).toFixed(2);

export class MemorySession extends HostMemory implements WasmSession, RecordSession {
  readonly #engine: Engine;
  readonly #sizes: KernelSizes;
  readonly #threads: number;
  readonly #limits: StepLimits;
  readonly #buffers: ReadonlyMap<string, BufferDecl>;
  readonly #layout: BufferLayout;
  readonly #programs: Placed[] = [];
  /** The numbers by which the engine knows the memory, one a set of kernels that is open. */
  readonly #numbers = new Map<KernelSet, number>();
  readonly #opening = new Map<KernelSet, Promise<void>>();
  readonly #stored = new StoredRows();
  /** What the engine calls the files behind them. */
  readonly #files = new Map<RowFile, Promise<KnownFile>>();
  #memory: WebAssembly.Memory | undefined;
  #running = 0;
  #scratchUnit = 0;
  #scratchStride = 0;
  #sharedUnit = 0;
  #arenaUnit = 0;

  private constructor(
    engine: Engine,
    sizes: KernelSizes,
    threads: number,
    buffers: readonly BufferDecl[],
    limits: StepLimits,
  ) {
    super();
    this.#engine = engine;
    this.#sizes = sizes;
    this.#threads = threads;
    this.#limits = limits;
    this.#buffers = new Map(buffers.map((buffer) => [buffer.name, buffer]));
    this.#layout = layOutBuffers([...this.#buffers.values()], limits);
  }

  static async create(
    engine: Engine,
    sizes: KernelSizes,
    threads: number,
    shared: boolean,
    buffers: readonly BufferDecl[],
    limits: StepLimits,
  ): Promise<MemorySession> {
    const session = new MemorySession(engine, sizes, threads, buffers, limits);
    const initial = checkPages(session.#layout.totalUnits, buffers);
    session.#memory = claim(
      () => new WebAssembly.Memory({ initial, maximum: maxPages, shared }),
      session.#layout.totalUnits,
    );
    await session.#open('inference');
    return session;
  }

  get memoryBytes(): number {
    return this.#memory?.buffer.byteLength ?? 0;
  }

  view(buffer: string): BufferView {
    const memory = this.#alive();
    const decl = this.#buffers.get(buffer);
    if (decl === undefined) throw new Error(`internal: no buffer ${show(buffer)}`);
    checkInMemory(decl);
    return this.#viewAt(memory, decl, this.#layout.offsets.get(buffer) as number);
  }

  async attach(buffer: string, place: StoredPlace): Promise<void> {
    this.#alive();
    const { file, firstByte } = place;
    const decl = this.#buffers.get(buffer) as BufferDecl;
    this.#stored.attach(decl, place);
    const opening = this.#files.get(file) ?? this.#engine.openFile(file);
    this.#files.set(file, opening);
    const { number, byFirst } = await opening;
    const at = (this.#layout.offsets.get(buffer) as number) * unitBytes;
    const { dtype, shape } = decl;
    const columns = shape[1] as number;
    // of a whole block format; the halves of padding behind them are never read
    const [scales, scalesEnd] = isBlockDType(dtype)
      ? [scalesOffset(dtype, columns), scalesOffset(dtype, columns) + scalesBytes(dtype, columns)]
      : [0, 0];
    const stride = place.stride ?? storedRowBytes(decl);
    writePlace(this.#alive().buffer, at, [number, firstByte, stride, scales, scalesEnd, Number(byFirst)]);
  }

  load(program: Program): WasmProgram {
    this.#alive();
    validateProgram(program);
    checkProgram(program, this.#buffers, this.#limits);
    const placed = this.#place({
      records: (offsetOf) => encodeProgram(program, offsetOf),
      ops: program.ops.length,
      kernels: program.ops.some(({ kind }) => kind in trainingOpTable) ? 'training' : 'inference',
      ...workspaceOf(program, this.#threads, this.#sizes),
      plan: planMemory(program),
      unit: 0,
    });
    const call = (step: Step, from: number, to: number): StepCall => {
      this.#alive();
      checkStep(program, step, from, to);
      return this.#call(placed, step, from, to);
    };
    const view = (buffer: string): BufferView => {
      const memory = this.#alive();
      const decl = program.buffers.get(buffer);
      const offset = placed.plan.offsets.get(buffer);
      if (decl === undefined || offset === undefined) throw new Error(`internal: no activation ${show(buffer)}`);
      return this.#viewAt(memory, decl, this.#arenaUnit + offset);
    };
    return {
      program,
      view,
      read: (buffer, from, to) => readElements(buffer, view(buffer), from, to),
      run: async (step, from = 0, to = program.ops.length) => {
        await this.#track(placed, () => this.#engine.run(call(step, from, to)));
        if (this.#memory !== undefined) this.#stored.afterStep(program, (buffer) => this.view(buffer));
      },
      profile: (step) => this.#track(placed, () => this.#engine.profile(call(step, 0, program.ops.length))),
    };
  }

  /** Loads hand-made records that are not in the op table (measuring kernels); see streaming.ts of @relufy/tensor. */
  loadRecords(ops: number, records: (unitOf: (buffer: string) => number) => Uint32Array): () => Promise<Float64Array> {
    const plan = { offsets: new Map<string, number>(), totalUnits: 0 };
    const placed = this.#place({ records, ops, kernels: 'inference', scratchUnits: 1, sharedUnits: 0, plan, unit: 0 });
    const none: Step = { rows: 0, outputs: 0 };
    return () => this.#track(placed, () => this.#engine.profile(this.#call(placed, none, 0, ops)));
  }

  async dispose(): Promise<void> {
    if (this.#memory === undefined) return;
    const large = this.memoryBytes >= worthCollecting;
    this.#memory = undefined;
    for (const number of this.#numbers.values()) await this.#engine.close(number, large).catch(() => {}); // a team that died has closed everything
    for (const opening of this.#files.values())
      await opening.then((file) => this.#engine.closeFile(file.number)).catch(() => {});
    this.#stored.close();
  }

  /** Lays out what follows the buffers anew with one program more, grows the memory, and writes all records. */
  #place(added: Placed): Placed {
    const memory = this.#alive();
    if (this.#running > 0)
      throw new RelufyError('state', 'wasm session: load() during a step would move its memory. Await run() first.');
    const programs = [...this.#programs, added];
    let unit = this.#layout.totalUnits;
    const units = programs.map(({ ops }) => {
      const start = unit;
      unit += recordUnits(ops);
      return start;
    });
    const scratchUnit = unit;
    const scratchStride = Math.max(...programs.map((program) => program.scratchUnits));
    const sharedUnit = scratchUnit + scratchStride * this.#threads;
    const arenaUnit = sharedUnit + Math.max(...programs.map((program) => program.sharedUnits));
    const total = arenaUnit + Math.max(...programs.map(({ plan }) => plan.totalUnits));
    const missing = checkPages(total, [...this.#buffers.values()]) - memory.buffer.byteLength / pageBytes;
    if (missing > 0) claim(() => memory.grow(missing), total);
    this.#programs.push(added);
    this.#scratchUnit = scratchUnit;
    this.#scratchStride = scratchStride;
    this.#sharedUnit = sharedUnit;
    this.#arenaUnit = arenaUnit;
    programs.forEach((program, index) => {
      program.unit = units[index] as number;
      const words = program.records((buffer) => this.#unitOf(program, buffer));
      new Uint32Array(memory.buffer, program.unit * unitBytes, words.length).set(words);
    });
    return added;
  }

  #unitOf({ plan }: Placed, buffer: string): number {
    const activation = plan.offsets.get(buffer);
    if (activation !== undefined) return this.#arenaUnit + activation;
    const unit = this.#layout.offsets.get(buffer);
    if (unit === undefined) throw new Error(`internal: no buffer ${show(buffer)}`);
    return unit;
  }

  #call(placed: Placed, { rows, outputs }: Step, from: number, to: number): StepCall {
    return {
      session: this.#numbers.get(placed.kernels) as number,
      program: placed.unit * unitBytes,
      from,
      to,
      rows,
      outputs,
      scratch: this.#scratchUnit * unitBytes,
      scratchStride: this.#scratchStride * unitBytes,
      shared: this.#sharedUnit * unitBytes,
      barrier: this.#layout.barrierUnit * unitBytes,
    };
  }

  /** Brings a set of kernels to the memory, once. */
  #open(kernels: KernelSet): Promise<void> {
    const before = this.#opening.get(kernels);
    if (before !== undefined) return before;
    const opening = this.#engine.open(this.#alive(), kernels, this.#layout.barrierUnit * unitBytes).then((number) => {
      this.#numbers.set(kernels, number);
      if (this.#memory === undefined) return this.#engine.close(number, false);
    });
    this.#opening.set(kernels, opening);
    opening.catch(() => this.#opening.delete(kernels));
    return opening;
  }

  async #track<T>({ kernels }: Placed, start: () => Promise<T>): Promise<T> {
    this.#running++;
    try {
      // a step of open kernels is queued at once: what disposes the session next waits after it
      if (!this.#numbers.has(kernels)) await this.#open(kernels);
      return await start();
    } finally {
      this.#running--;
    }
  }

  #viewAt(memory: WebAssembly.Memory, decl: BufferDecl, unit: number): BufferView {
    return new viewTypes[decl.dtype](memory.buffer, unit * unitBytes, viewLength(decl, this.#limits));
  }

  #alive(): WebAssembly.Memory {
    if (this.#memory === undefined)
      throw new RelufyError('state', 'wasm session: used after dispose(). Load the model again.');
    return this.#memory;
  }
}

/** The formats that are smaller than the largest of the weights. */
function smallerFormats(buffers: readonly BufferDecl[]): string {
  const dtypes = new Set(buffers.filter(({ kind }) => kind === 'weight').map(({ dtype }) => dtype));
  if (dtypes.has('bf16') || (dtypes.has('f32') && ![...dtypes].some(isBlockDType))) return 'as int8 or int4, ';
  return dtypes.has('int8') || dtypes.has('uint4') ? 'as int4, ' : '';
}

/** Pages for so many units, or the refusal when 32-bit memory ends before. */
function checkPages(units: number, buffers: readonly BufferDecl[]): number {
  const pages = pagesOf(units);
  if (pages > maxPages)
    throw new RelufyError(
      'backend',
      `wasm backend: the model needs ${gibibytes(units * unitBytes)} GiB, expected at most 4 GiB. Load it ${smallerFormats(buffers)}with a smaller context or fewer slots, or use the native backend.`,
    );
  return pages;
}

/** Runs an allocation; the engine's refusal becomes ours. */
function claim<T>(allocate: () => T, units: number): T {
  try {
    return allocate();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RelufyError(
      'backend',
      `wasm backend: the model needs ${gibibytes(units * unitBytes)} GiB, and the system does not give so much memory. Dispose other models, or load it in a smaller format.`,
      { cause: error },
    );
  }
}
