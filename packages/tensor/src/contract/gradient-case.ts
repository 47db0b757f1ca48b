// One gradient case of the contract suite: a forward program over seeded data, its gradients as a backend computes
// them, and as finite differences of the same program in f64 say. The cases themselves are in gradient-cases.ts.
import {
  appendGradients,
  type Backend,
  type BufferDecl,
  type BufferView,
  countCodes,
  elementCount,
  type Op,
  opFields,
  type Program,
  ProgramBuilder,
  viewLength,
  viewTypes,
} from '../index.js';
import { Operand } from '../reference/call.js';
import { referenceKernels } from '../reference/kernels.js';
import type { CaseBuffer } from './case.js';
import { buffer } from './case.js';
import { fill, filled } from './run-case.js';

export interface GradientCase {
  readonly name: string;
  readonly rows: number;
  readonly maxRows: number;
  readonly buffers: readonly CaseBuffer[];
  /** Buffers whose gradients are added up, as weights' are. */
  readonly parameters: readonly string[];
  /** Buffers whose gradients are activations. */
  readonly inputs: readonly string[];
  /** Appends the forward ops; gives the output. */
  readonly build: (builder: ProgramBuilder) => string;
  /** Buffer -> its inverse (`GradientOptions.inverses`); `prepare` fills it. */
  readonly inverses?: Readonly<Record<string, BufferDecl>>;
  readonly prepare?: (view: (buffer: string) => BufferView) => void;
}

/** Gradients by buffer. */
export type Gradients = Readonly<Record<string, Float32Array | Float64Array>>;

/** What gradient buffers hold before the step: gradients are added. */
const before = 0.25;

const dyName = 'dy';

function declared(gradientCase: GradientCase): { limits: { maxRows: number; maxOutputs: number }; all: CaseBuffer[] } {
  const limits = { maxRows: gradientCase.maxRows, maxOutputs: gradientCase.maxRows };
  const probe = new ProgramBuilder(gradientCase.name, limits);
  for (const { decl } of gradientCase.buffers) probe.use(decl);
  const { shape } = probe.declaration(gradientCase.build(probe));
  const dy = buffer(dyName, 'f32', shape, { kind: 'normal' });
  return { limits, all: [...gradientCase.buffers, dy] };
}

export async function backendGradients(backend: Backend, gradientCase: GradientCase): Promise<Gradients> {
  const { limits, all } = declared(gradientCase);
  const gradientOf = (name: string): BufferDecl => {
    const { decl } = all.find((one) => one.decl.name === name) as CaseBuffer;
    return { ...decl, name: `${name}.gradient` };
  };
  const parameters = new Map(gradientCase.parameters.map((name) => [name, gradientOf(name)]));
  const inverses = Object.entries(gradientCase.inverses ?? {});
  const session = await backend.createSession(
    [...all.map(({ decl }) => decl), ...parameters.values(), ...inverses.map(([, decl]) => decl)],
    limits,
  );
  try {
    const values = new Map(all.map((one) => [one.decl.name, filled(one, limits, 1)]));
    for (const [, decl] of inverses) values.set(decl.name, new viewTypes[decl.dtype](viewLength(decl, limits)));
    gradientCase.prepare?.((name) => values.get(name) as BufferView);
    for (const decl of parameters.values())
      values.set(decl.name, new viewTypes[decl.dtype](viewLength(decl, limits)).fill(before));
    for (const [name, numbers] of values) await session.write(name, numbers);
    const builder = new ProgramBuilder(gradientCase.name, limits, { differentiable: true });
    for (const { decl } of all) builder.use(decl);
    const out = gradientCase.build(builder);
    const seeds = new Map([[out, dyName]]);
    const tape = appendGradients(builder, { seeds, parameters, inverses: new Map(inverses) });
    const kept = gradientCase.inputs.map((name): [string, string] => [name, tape.of(name) as string]);
    for (const [, activation] of kept) if (activation !== dyName) builder.keep(activation);
    const loaded = session.load(builder.build());
    await loaded.run({ rows: gradientCase.rows, outputs: gradientCase.rows });
    const results: Record<string, Float32Array> = {};
    for (const [name, activation] of kept)
      results[name] = (await (activation === dyName ? session : loaded).read(activation)) as Float32Array;
    for (const [name, { name: gradient }] of parameters)
      results[name] = ((await session.read(gradient)) as Float32Array).map((value) => value - before);
    return results;
  } finally {
    await session.dispose();
  }
}

/** Central differences of sum(dy . out) in f64, element by element. */
export function finiteDifferences(gradientCase: GradientCase): Gradients {
  const { limits, all } = declared(gradientCase);
  const builder = new ProgramBuilder(gradientCase.name, limits);
  for (const { decl } of all) builder.use(decl);
  const out = gradientCase.build(builder);
  const program = builder.build();
  const storage = new Map<string, Float64Array | Int32Array>();
  for (const one of all) {
    const size = elementCount(one.decl, limits);
    const view = one.decl.dtype === 'i32' ? new Int32Array(size) : new Float32Array(size);
    fill(view, one, limits, 1);
    storage.set(one.decl.name, view instanceof Int32Array ? view : Float64Array.from(view));
  }
  const dy = storage.get(dyName) as Float64Array;
  const columns = builder.declaration(out).shape.at(-1) as number;
  const loss = (): number => {
    const result = evaluate(program, storage, gradientCase.rows).get(out) as Float64Array;
    let sum = 0;
    for (let i = 0; i < gradientCase.rows * columns; i++) sum += (dy[i] as number) * (result[i] as number);
    return sum;
  };
  const results: Record<string, Float64Array> = {};
  for (const name of [...gradientCase.inputs, ...gradientCase.parameters]) {
    const values = storage.get(name) as Float64Array;
    results[name] = values.map((value, i) => {
      const step = 1e-5;
      values[i] = value + step;
      const above = loss();
      values[i] = value - step;
      const below = loss();
      values[i] = value;
      return (above - below) / (2 * step);
    });
  }
  return results;
}

/** Runs a program by the reference kernels on f64 numbers; gives every buffer. */
function evaluate(
  program: Program,
  given: ReadonlyMap<string, Float64Array | Int32Array>,
  rows: number,
): ReadonlyMap<string, Float64Array | Int32Array> {
  const storage = new Map(given);
  for (const [name, decl] of program.buffers)
    if (decl.kind === 'activation') storage.set(name, new Float64Array(elementCount(decl, program)));
    else storage.set(name, (given.get(name) as Float64Array | Int32Array).slice());
  program.ops.forEach((op: Op, index) => {
    const operands = Object.fromEntries(
      Object.entries(op.operands).map(([operand, name]) => {
        // f64 in the place of f32: a kernel only reads and writes numbers
        const numbers = storage.get(name) as unknown as Float32Array;
        return [operand, new Operand(program.buffers.get(name) as BufferDecl, numbers)];
      }),
    );
    const fields = opFields(program, op, index);
    if (fields.count === countCodes.rows || fields.count === countCodes.outputs)
      referenceKernels[op.kind]({ operands, fields, count: rows });
  });
  return storage;
}
