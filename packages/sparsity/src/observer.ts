// A backend around a backend: shows the input of every `down` between two ops of a step, where it may be changed, what an FFN is
// fed before that, and hands out a model's down weights. So thresholds are tried on any model, through every call that it has, and nobody
// instruments a decoder. The memory has to be the host's. Does not own what is looked for (measure.ts, threshold-search.ts).
import {
  type BlockDType,
  type BufferDecl,
  dequantizeRow,
  type HostBackend,
  type HostProgram,
  type HostSession,
  isBlockDType,
  type Program,
  RelufyError,
  rowBytes,
  type StepLimits,
  widen,
} from '@relufy/tensor';

/** `values`: [rows, neurons], row-major; changes count. */
export type NeuronHook = (layer: number, values: Float32Array, rows: number) => void;

interface Stop {
  /** The op that writes the values, plus one. */
  readonly after: number;
  readonly layer: number;
  readonly buffer: string;
  readonly kind: 'input' | 'neurons';
}

/**
 * Load a model with `backend: observer.backend`, one at a time. Without a hook steps run as they would.
 */
export class NeuronObserver {
  readonly backend: HostBackend;
  /** Called between the FFN's activation and its down projection. */
  hook: NeuronHook | undefined;
  /** Called with what gate and up multiply, [rows, hidden], before `hook` of the same layer. */
  inputHook: NeuronHook | undefined;
  #session: HostSession | undefined;
  #buffers: ReadonlyMap<string, BufferDecl> = new Map();

  constructor(backend: HostBackend) {
    this.backend = {
      name: backend.name,
      description: backend.description,
      threads: backend.threads,
      weightDTypes: backend.weightDTypes,
      createSession: async (buffers, limits) =>
        this.#observe(await backend.createSession(buffers, limits), buffers, limits),
      dispose: () => backend.dispose(),
    };
  }

  #observe(session: HostSession, buffers: readonly BufferDecl[], limits: StepLimits): HostSession {
    this.#session = session;
    this.#buffers = new Map(buffers.map((buffer) => [buffer.name, buffer]));
    return {
      get memoryBytes() {
        return session.memoryBytes;
      },
      view: (buffer) => session.view(buffer),
      read: (...range) => session.read(...range),
      write: (...values) => session.write(...values),
      copy: (...places) => session.copy(...places),
      load: (program) => this.#load(session, program, limits),
      dispose: () => session.dispose(),
    };
  }

  #load(session: HostSession, program: Program, limits: StepLimits): HostProgram {
    const stops = stopsOf(program);
    // a kept buffer holds its rows until the step ends, and may be viewed
    const kept = new Set([...program.kept, ...stops.map(({ buffer }) => buffer)]);
    const loaded = session.load({ ...program, kept });
    return {
      program: loaded.program,
      view: (buffer) => loaded.view(buffer),
      read: (...range) => loaded.read(...range),
      run: async (step, from = 0, to = program.ops.length) => {
        let at = from;
        for (const { after, layer, buffer, kind } of stops) {
          const hook = kind === 'neurons' ? this.hook : this.inputHook;
          if (hook === undefined || after <= at || after > to) continue;
          await loaded.run(step, at, after);
          at = after;
          const values = loaded.view(buffer) as Float32Array;
          hook(layer, values.subarray(0, (values.length / limits.maxRows) * step.rows), step.rows);
        }
        if (at < to) await loaded.run(step, at, to);
      },
    };
  }

  /** [neurons, width] in f32, a copy: what each neuron adds to the FFN's output. */
  downWeight(layer: number): Float32Array {
    const name = `layers.${layer}.down.weight`;
    const decl = this.#buffers.get(name);
    if (decl === undefined || this.#session === undefined)
      throw new RelufyError(
        'state',
        `observer: expected a loaded model with "${name}", got none. Load it with backend: observer.backend.`,
      );
    const [rows, columns] = decl.shape as [number, number];
    const stored = widenRows(decl, this.#session.view(name), rows, columns);
    return decl.transposed ? stored : turned(stored, rows, columns);
  }
}

/** A weight as a session holds it, in f32: [out, in], whether it is stored transposed or not. */
export function weightRows(
  decl: BufferDecl,
  view: ArrayBufferView,
): { readonly rows: number; readonly columns: number; readonly values: Float32Array } {
  const [first, second] = decl.shape as [number, number];
  const stored = widenRows(decl, view, first, second);
  if (!decl.transposed) return { rows: first, columns: second, values: stored };
  return { rows: second, columns: first, values: turned(stored, first, second) };
}

function turned(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) out[column * rows + row] = values[row * columns + column]!;
  return out;
}

function widenRows(decl: BufferDecl, view: ArrayBufferView, rows: number, columns: number): Float32Array {
  const bytes = new Uint8Array(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength);
  const { dtype } = decl;
  if (!isBlockDType(dtype)) return widen(dtype as 'f32' | 'bf16', bytes.slice());
  const out = new Float32Array(rows * columns);
  const stride = rowBytes(dtype, columns);
  for (let row = 0; row < rows; row++)
    out.set(
      dequantizeRow(dtype as BlockDType, bytes.subarray(row * stride, (row + 1) * stride), columns),
      row * columns,
    );
  return out;
}

/** Where each layer's neurons are ready, after the last op that writes what `down` will read; and what its FFN is fed. */
function stopsOf(program: Program): Stop[] {
  const stops: Stop[] = [];
  const afterWriter = (buffer: string, before: number): number =>
    program.ops
      .slice(0, before)
      .map(({ operands }) => operands.out)
      .lastIndexOf(buffer) + 1;
  for (let layer = 0; ; layer++) {
    const weightOf = (op: Program['ops'][number]) => op.operands.w?.match(/^layers\.(\d+)\.(\w+)\.weight$/);
    const isProduct = (places: readonly string[]) => (op: Program['ops'][number]) => {
      const [, own, place = ''] = weightOf(op) ?? [];
      return own === String(layer) && places.includes(place);
    };
    const product = program.ops.findIndex(isProduct(['down']));
    if (product < 0) return stops;
    const first = program.ops.findIndex(isProduct(['gate', 'up', 'gateUp']));
    const input = program.ops[first]?.operands.x;
    if (input !== undefined) stops.push({ after: afterWriter(input, first), layer, buffer: input, kind: 'input' });
    const names = ['downNorm', 'down'].flatMap((part) => [`${part}.${layer}.rounded`, `${part}.${layer}`]);
    const buffer = names.find((name) => program.buffers.has(name));
    if (buffer === undefined) throw new Error(`internal: layer ${layer} has no down input`);
    stops.push({ after: afterWriter(buffer, product), layer, buffer, kind: 'neurons' });
  }
}
