// One model's memory and programs on the native backend. Owns the memory's layout over time, its views and the encoded
// programs. Does not own threads (backend.ts) or what ops compute (cpp/kernels/).
import { statSync } from 'node:fs';
import { constants } from 'node:os';
import {
  type BufferDecl,
  type BufferView,
  byteCount,
  checkInMemory,
  checkProgram,
  checkStep,
  encodeProgram,
  HostMemory,
  type HostProgram,
  type HostSession,
  opDefinition,
  type Program,
  planMemory,
  type RecordSession,
  RelufyError,
  readElements,
  type Step,
  type StepLimits,
  type StoredPlace,
  StoredRows,
  show,
  storedRowBytes,
  unitBytes,
  validateProgram,
  viewLength,
  viewTypes,
} from '@relufy/tensor';
import { availableMemory } from './available-memory.js';
import type { Binding, NativeMemory, NativeProgram, NativeTeam } from './binding.js';
import { type BufferLayout, layOutBuffers } from './layout.js';

export interface NativeLoadedProgram extends HostProgram {
  /** Runs a step op by op on the team; gives the milliseconds of each op. */
  profile(step: Step): Promise<Float64Array>;
}

export interface NativeSession extends HostSession {
  load(program: Program): NativeLoadedProgram;
  /** Whoever shortens a file while it is mapped ends the process (SIGBUS): replace such files by renaming. */
  adopt(path: string, places: Iterable<readonly [buffer: string, firstByte: number]>): void;
  /** Bytes that lie in mapped files. */
  readonly mappedBytes: number;
}

/** What a session needs of the backend it belongs to. */
export interface Engine {
  readonly binding: Binding;
  readonly team: NativeTeam;
  readonly threads: number;
  readonly isa: string;
  readonly everyThread: boolean;
}

const gibibytes = (bytes: number): string => (bytes / 2 ** 30).toFixed(2);

export class MemorySession extends HostMemory implements NativeSession, RecordSession {
  readonly #engine: Engine;
  readonly #limits: StepLimits;
  readonly #buffers: ReadonlyMap<string, BufferDecl>;
  readonly #layout: BufferLayout;
  /** Buffers that lie elsewhere: in mapped files. */
  readonly #adopted = new Map<string, number>();
  /** By first byte and length: the one ArrayBuffer over a part of the memory, to be detached in the end. */
  readonly #shown = new Map<string, ArrayBuffer>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #stored = new StoredRows();
  #memory: NativeMemory | undefined;
  #units: number;
  #mappedBytes = 0;
  #loaded = false;
  #disposed: Promise<void> | undefined;

  constructor(engine: Engine, buffers: readonly BufferDecl[], limits: StepLimits) {
    super();
    this.#engine = engine;
    this.#limits = limits;
    this.#buffers = new Map(buffers.map((buffer) => [buffer.name, buffer]));
    this.#layout = layOutBuffers([...this.#buffers.values()], limits);
    this.#units = this.#layout.totalUnits;
    const bytes = this.#units * unitBytes;
    checkFits(bytes, bytes);
    this.#memory = engine.binding.reserve(bytes);
    if (this.#memory === undefined || !engine.binding.commit(this.#memory, bytes)) throw noMemory(bytes);
  }

  get memoryBytes(): number {
    return this.#memory === undefined ? 0 : this.#units * unitBytes - this.#mappedBytes;
  }

  get mappedBytes(): number {
    return this.#memory === undefined ? 0 : this.#mappedBytes;
  }

  view(buffer: string): BufferView {
    this.#alive();
    const decl = this.#buffers.get(buffer);
    if (decl === undefined) throw new Error(`internal: no buffer ${show(buffer)}`);
    checkInMemory(decl);
    return this.#viewAt(decl, this.#unitOf(buffer));
  }

  attach(buffer: string, place: StoredPlace): void {
    this.#alive();
    const { file, firstByte } = place;
    const decl = this.#buffers.get(buffer) as BufferDecl;
    this.#stored.attach(decl, place);
    const { descriptor } = file;
    if (descriptor === undefined || !this.#engine.binding.openForRows(descriptor))
      throw new RelufyError(
        'backend',
        `native backend: this system does not read rows of ${file.path} in a step. Use the wasm backend.`,
      );
    const line: BufferDecl = { name: buffer, kind: 'state', dtype: 'int8', shape: [1, 1] };
    const bytes = this.#viewAt(line, this.#unitOf(buffer));
    const stride = place.stride ?? storedRowBytes(decl);
    new BigInt64Array(bytes.buffer, bytes.byteOffset, 3).set([descriptor, firstByte, stride].map(BigInt));
  }

  adopt(path: string, places: Iterable<readonly [buffer: string, firstByte: number]>): void {
    const memory = this.#alive();
    if (this.#loaded) throw new RelufyError('state', 'native session: adopt() after load(). Adopt files first.');
    const { size } = checkFile(path);
    const wanted = [...places].map(([name, firstByte]) => {
      const decl = this.#buffers.get(name);
      if (decl === undefined) throw new Error(`internal: no buffer ${show(name)}`);
      return { decl, firstByte, bytes: byteCount(decl, this.#limits) };
    });
    for (const { decl, firstByte, bytes } of wanted)
      if (firstByte % unitBytes !== 0 || firstByte < 0 || !(firstByte + bytes <= size))
        throw new RelufyError(
          'checkpoint',
          `${path} buffer ${show(decl.name)}: expected ${bytes} bytes from a multiple of ${unitBytes} on, got byte ${firstByte} of ${size}. The file is damaged; convert the model again.`,
        );
    const start = this.#engine.binding.map(memory, path);
    if (start < 0)
      throw new RelufyError('io', `${path}: expected a file that can be mapped, got ${errorName(-start)}.`);
    for (const { decl, firstByte, bytes } of wanted) {
      this.#adopted.set(decl.name, (start + firstByte) / unitBytes);
      this.#mappedBytes += bytes;
    }
  }

  load(program: Program): NativeLoadedProgram {
    this.#alive();
    validateProgram(program);
    checkProgram(program, this.#buffers, this.#limits);
    this.#checkOps(program);
    this.#settle();
    const { offsets, totalUnits } = planMemory(program);
    const arena = this.#layout.totalUnits;
    this.#grow(arena + totalUnits);
    const unitOf = (buffer: string): number => {
      const activation = offsets.get(buffer);
      return activation === undefined ? this.#unitOf(buffer) : arena + activation;
    };
    const native = this.#encode(encodeProgram(program, unitOf), program.maxRows);
    const all = program.ops.length;
    const view = (buffer: string): BufferView => {
      this.#alive();
      const decl = program.buffers.get(buffer);
      const offset = offsets.get(buffer);
      if (decl === undefined || offset === undefined) throw new Error(`internal: no activation ${show(buffer)}`);
      return this.#viewAt(decl, arena + offset);
    };
    return {
      program,
      view,
      read: (buffer, from, to) => readElements(buffer, view(buffer), from, to),
      run: async (step, from = 0, to = all) => {
        this.#alive();
        checkStep(program, step, from, to);
        await this.#run(native, step, from, to, false);
        this.#afterStep(program);
      },
      profile: async (step) => {
        this.#alive();
        checkStep(program, step, 0, all);
        return (await this.#run(native, step, 0, all, true)) as Float64Array;
      },
    };
  }

  /** Loads hand-made records that are not in the op table (measuring kernels); see streaming.ts of @relufy/tensor. */
  loadRecords(ops: number, records: (unitOf: (buffer: string) => number) => Uint32Array): () => Promise<Float64Array> {
    const words = records((buffer) => this.#unitOf(buffer));
    const native = this.#encode(words, 0);
    return async () => (await this.#run(native, { rows: 0, outputs: 0 }, 0, ops, true)) as Float64Array;
  }

  dispose(): Promise<void> {
    this.#disposed ??= this.#release();
    return this.#disposed;
  }

  async #release(): Promise<void> {
    const { binding } = this.#engine;
    const memory = this.#memory as NativeMemory;
    this.#memory = undefined;
    await Promise.allSettled(this.#running);
    for (const view of this.#shown.values()) binding.detach(view);
    this.#shown.clear();
    this.#stored.close();
    binding.close(memory);
  }

  #afterStep(program: Program): void {
    if (this.#stored.files.size === 0 || this.#memory === undefined) return;
    for (const { descriptor } of this.#stored.files) this.#engine.binding.forgetPages(descriptor as number);
    this.#stored.afterStep(program, (buffer) => this.view(buffer));
  }

  /** At the first load: weights are complete, and mapped ones read faster from large pages (a twentieth of a sparse step). */
  #settle(): void {
    if (this.#loaded) return;
    this.#loaded = true;
    // the copy replaces pages of the file, which the system takes back when it needs memory
    if (this.#mappedBytes > 0 && availableMemory() > 2 * this.#mappedBytes) this.#engine.binding.settle(this.#alive());
  }

  #unitOf(buffer: string): number {
    return this.#adopted.get(buffer) ?? (this.#layout.offsets.get(buffer) as number);
  }

  #encode(words: Uint32Array, maxRows: number): NativeProgram {
    const { binding, team, isa, threads, everyThread } = this.#engine;
    return binding.program(this.#alive(), team, words, isa, maxRows, threads, everyThread);
  }

  #run(program: NativeProgram, { rows, outputs }: Step, from: number, to: number, measured: boolean) {
    const step = this.#engine.binding.run(program, from, to, rows, outputs, measured);
    this.#running.add(step);
    return step.finally(() => this.#running.delete(step));
  }

  #grow(units: number): void {
    if (units <= this.#units) return;
    const [before, bytes] = [this.#units * unitBytes, units * unitBytes];
    checkFits(bytes - before, bytes);
    if (!this.#engine.binding.commit(this.#alive(), bytes)) throw noMemory(bytes);
    this.#units = units;
  }

  #viewAt(decl: BufferDecl, unit: number): BufferView {
    const View = viewTypes[decl.dtype];
    const bytes = byteCount(decl, this.#limits);
    const length = viewLength(decl, this.#limits);
    if (length === 0) return new View(new ArrayBuffer(0), 0, 0);
    const key = `${unit} ${bytes}`;
    let shown = this.#shown.get(key);
    if (shown === undefined) {
      shown = this.#engine.binding.view(this.#alive(), unit * unitBytes, bytes);
      if (shown === undefined)
        throw new RelufyError(
          'backend',
          `native session: this engine does not show ${bytes} bytes of outside memory to JavaScript. Use the wasm backend.`,
        );
      this.#shown.set(key, shown);
    }
    return new View(shown, 0, length);
  }

  #alive(): NativeMemory {
    if (this.#memory === undefined)
      throw new RelufyError('state', 'native session: used after dispose(). Load the model again.');
    return this.#memory;
  }

  #checkOps(program: Program): void {
    const { ops } = this.#engine.binding;
    const lacking = program.ops.find(({ kind }) => !ops.includes(opDefinition(kind).code));
    if (lacking !== undefined)
      throw new RelufyError(
        'backend',
        `program ${show(program.name)}: the native backend has no kernel for ${lacking.kind}. Use the reference backend.`,
      );
  }
}

function checkFile(path: string): { size: number } {
  try {
    return statSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new RelufyError('io', `${path}: expected a file that can be mapped, got ${code ?? error}.`, { cause: error });
  }
}

function errorName(number: number): string {
  return Object.entries(constants.errno).find(([, value]) => value === number)?.[0] ?? `error ${number}`;
}

/** Refuses `more` bytes, of `total` in all, that the machine cannot give. */
function checkFits(more: number, total: number): void {
  const available = availableMemory();
  if (more > available)
    throw new RelufyError(
      'backend',
      `native backend: the model needs ${gibibytes(total)} GiB, expected at most ${gibibytes(available)} GiB, which is free. Load it in a smaller format, or with a smaller context or fewer slots.`,
    );
}

function noMemory(bytes: number): RelufyError {
  return new RelufyError(
    'backend',
    `native backend: the model needs ${gibibytes(bytes)} GiB, and the system does not give so much memory. Dispose other models, or load it in a smaller format.`,
  );
}
