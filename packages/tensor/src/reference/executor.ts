// The reference backend: runs a program op by op with the naive kernels. Slow on purpose; it defines what is right.
// Owns plain typed arrays, one a buffer, activations included: nothing is planned, so nothing can hide in a plan.
import type { BufferView, HostBackend, HostProgram, HostSession, Step } from '../backend.js';
import { type BufferDecl, type StepLimits, weightDTypes } from '../buffer.js';
import { RelufyError } from '../errors.js';
import { HostMemory, readElements } from '../host-memory.js';
import { opFields, type Program, validateProgram } from '../program.js';
import { checkProgram, checkStep, viewLength, viewTypes } from '../session-checks.js';
import { countCodes } from '../shapes.js';
import { checkInMemory, type StoredPlace, StoredRows } from '../stored-rows.js';
import { yieldToEventLoop } from '../yield.js';
import { type OpCall, Operand } from './call.js';
import { referenceKernels } from './kernels.js';

const allocate = (buffer: BufferDecl, limits: StepLimits): BufferView =>
  new viewTypes[buffer.dtype](viewLength(buffer, limits));

/** The backend that defines every op. One thread, whatever is asked. */
export function createReferenceBackend(): HostBackend {
  return {
    name: 'reference',
    description: 'reference: naive TypeScript, one thread, the definition of every op',
    threads: 1,
    weightDTypes,
    createSession: async (buffers, limits) => new ReferenceSession(buffers, limits),
    dispose: async () => {},
  };
}

class ReferenceSession extends HostMemory implements HostSession {
  readonly #storage = new Map<string, BufferView>();
  readonly #buffers: ReadonlyMap<string, BufferDecl>;
  readonly #limits: StepLimits;
  readonly #stored = new StoredRows();
  #disposed = false;

  constructor(buffers: readonly BufferDecl[], limits: StepLimits) {
    super();
    this.#buffers = new Map(buffers.map((buffer) => [buffer.name, buffer]));
    this.#limits = limits;
    for (const buffer of buffers)
      if (buffer.kind !== 'stored') this.#storage.set(buffer.name, allocate(buffer, limits));
  }

  get memoryBytes(): number {
    return [...this.#storage.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  view(buffer: string): BufferView {
    this.#check();
    const decl = this.#buffers.get(buffer);
    if (decl) checkInMemory(decl);
    return find(this.#storage, buffer);
  }

  attach(buffer: string, place: StoredPlace): void {
    this.#check();
    this.#stored.attach(this.#buffers.get(buffer) as BufferDecl, place);
  }

  load(program: Program): HostProgram {
    this.#check();
    validateProgram(program);
    checkProgram(program, this.#buffers, this.#limits);
    const storage = new Map(this.#storage);
    for (const buffer of program.buffers.values()) {
      if (buffer.kind === 'activation') storage.set(buffer.name, allocate(buffer, program));
    }
    const calls = program.ops.map((op, index) => ({
      kernel: referenceKernels[op.kind],
      fields: opFields(program, op, index),
      operands: Object.fromEntries(
        Object.entries(op.operands).map(([operand, buffer]) => [
          operand,
          this.#operand(program.buffers.get(buffer) as BufferDecl, storage),
        ]),
      ),
    }));
    const view = (buffer: string) => {
      this.#check();
      return find(storage, buffer);
    };
    return {
      program,
      view,
      read: (buffer, from, to) => readElements(buffer, view(buffer), from, to),
      run: async (step: Step, from = 0, to = calls.length) => {
        this.#check();
        checkStep(program, step, from, to);
        await yieldToEventLoop();
        this.#check();
        for (const { kernel, fields, operands } of calls.slice(from, to)) {
          const count = fields.count === countCodes.outputs ? step.outputs : step.rows;
          const call: OpCall = { operands, fields, count };
          kernel(call);
        }
        this.#stored.afterStep(program, (buffer) => this.view(buffer));
      },
    };
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#storage.clear();
    this.#stored.close();
  }

  #operand(decl: BufferDecl, storage: ReadonlyMap<string, BufferView>): Operand {
    return decl.kind === 'stored'
      ? new Operand(decl, new Uint8Array(0), this.#stored.placeOf(decl.name))
      : new Operand(decl, find(storage, decl.name));
  }

  #check(): void {
    if (this.#disposed)
      throw new RelufyError('state', 'reference session: used after dispose(). Load the model again.');
  }
}

function find(storage: ReadonlyMap<string, BufferView>, name: string): BufferView {
  const found = storage.get(name);
  if (found === undefined) throw new Error(`internal: no buffer "${name}"`);
  return found;
}
