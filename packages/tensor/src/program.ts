// A program: a flat list of ops over named buffers, pure data, and the builder that makes one.
// Owns: the data types, building, validation, printing. Does not own execution (backends) or memory (plan.ts).
import { activationCodes } from './activations.js';
import { blockSize, blocksOf, isBlockDType } from './block-format.js';
import { type BufferDecl, type Dim, describeBuffer, type StepLimits } from './buffer.js';
import type { DType } from './dtype.js';
import { RelufyError } from './errors.js';
import { type OpKind, opDefinition } from './op-table.js';
import { Shapes } from './shapes.js';

export interface Op {
  readonly kind: OpKind;
  /** Operand name -> buffer name. Absent optional operands are left out. */
  readonly operands: Readonly<Record<string, string>>;
  readonly attributes: Readonly<Record<string, number>>;
  /** What it is to the model, such as `ffn.activation.3`: for whoever looks for it. It changes nothing that is computed. */
  readonly tag?: string;
}

export interface Program extends StepLimits {
  readonly name: string;
  /** Every buffer that an op names, in order of declaration. */
  readonly buffers: ReadonlyMap<string, BufferDecl>;
  readonly ops: readonly Op[];
  /** Activations that the host reads after a step: their memory is not reused. */
  readonly kept: ReadonlySet<string>;
}

/** Where a differentiable builder keeps what an op overwrites. */
export const savedName = (buffer: string): string => `${buffer}.saved`;

/** Numbers of an op as encoded: attributes, then what the shapes imply. */
export type OpFields = Readonly<Record<string, number>>;

export interface BuilderOptions {
  /** Ops that overwrite what their gradient needs are preceded by a copy of it. */
  readonly differentiable?: boolean;
}

/** Appends ops and declares activations; `build` validates. */
export class ProgramBuilder {
  readonly #name: string;
  readonly #limits: StepLimits;
  readonly #differentiable: boolean;
  readonly #buffers = new Map<string, BufferDecl>();
  readonly #ops: Op[] = [];
  readonly #kept = new Set<string>();
  /** Activation -> the operands that hold it quantised. */
  readonly #quantized = new Map<string, Readonly<Record<string, string>>>();

  constructor(name: string, limits: StepLimits, { differentiable = false }: BuilderOptions = {}) {
    this.#name = name;
    this.#limits = limits;
    this.#differentiable = differentiable;
  }

  /** What has been appended so far. */
  get ops(): readonly Op[] {
    return this.#ops;
  }

  /** Makes a buffer that outlives the step (weight, state, input) known to the program; gives its name. */
  use(buffer: BufferDecl): string {
    const known = this.#buffers.get(buffer.name);
    if (known !== undefined && known !== buffer)
      throw programError(this.#name, `buffer "${buffer.name}" is declared twice`);
    this.#buffers.set(buffer.name, buffer);
    return buffer.name;
  }

  /** Declares an activation; gives its name. */
  activation(name: string, shape: readonly Dim[], dtype: DType = 'f32'): string {
    return this.use({ name, kind: 'activation', dtype, shape });
  }

  /** The declaration of a buffer that the program knows. */
  declaration(name: string): BufferDecl {
    const found = this.#buffers.get(name);
    if (found === undefined) throw programError(this.#name, `buffer "${name}" is not declared`);
    return found;
  }

  /** Appends an op. Undefined operands are absent; attributes that have a default may be. */
  op(
    kind: OpKind,
    operands: Readonly<Record<string, string | undefined>>,
    attributes: Readonly<Record<string, number>> = {},
    tag?: string,
  ): void {
    if (this.#differentiable && kind === 'headNorm') {
      const x = operands.x as string;
      const out = this.activation(savedName(x), this.declaration(x).shape);
      this.op('activate', { x, out }, { kind: activationCodes.scale, threshold: 1 });
    }
    const present = Object.entries(operands).filter((entry): entry is [string, string] => entry[1] !== undefined);
    this.#ops.push({
      kind,
      operands: Object.fromEntries(present),
      attributes: { ...attributes, ...opDefinition(kind)?.defaults, ...attributes },
      ...(tag !== undefined && { tag }),
    });
  }

  /** Appends an op that exists already. */
  append(op: Op): void {
    this.#ops.push(op);
  }

  /**
   * The x operands of a product: x as it is, or quantised for a row-major weight in a block format. One activation is
   * quantised once, however many products read it.
   */
  inputOf(weight: BufferDecl, x: string): Readonly<Record<string, string>> {
    if (!isBlockDType(weight.dtype) || weight.transposed) return { x };
    const known = this.#quantized.get(x);
    if (known !== undefined) return known;
    const [count, width] = this.declaration(x).shape as [Dim, number];
    const blocks = blocksOf(width);
    const values = this.activation(`${x}.int8`, [count, blocks * blockSize], 'i8');
    const xScales = this.activation(`${x}.scales`, [count, blocks]);
    const xSums = this.activation(`${x}.sums`, [count, blocks], 'i32');
    this.op('quantize', { x, values, xScales, xSums });
    const operands = { x: values, xScales, xSums };
    this.#quantized.set(x, operands);
    return operands;
  }

  /** The host will read this activation after a step. */
  keep(name: string): void {
    this.#kept.add(name);
  }

  build(): Program {
    const program: Program = {
      name: this.#name,
      ...this.#limits,
      buffers: this.#buffers,
      ops: this.#ops,
      kept: this.#kept,
    };
    validateProgram(program);
    return program;
  }
}

/** Ops that take rows in a file. */
const readsStored: ReadonlySet<OpKind> = new Set(['fetchRows', 'announceRows']);

/** Throws a `program` error unless every op fits the table, every operand its rule, and nothing is read before it is written. */
export function validateProgram(program: Program): void {
  const written = new Set<string>();
  for (const buffer of program.buffers.values()) if (buffer.kind !== 'activation') written.add(buffer.name);
  program.ops.forEach((op, index) => {
    opFields(program, op, index);
    for (const [operand, rule] of Object.entries(opDefinition(op.kind).operands)) {
      const name = op.operands[operand];
      if (name === undefined) continue;
      if (rule.access !== 'write' && !written.has(name))
        throw opError(program, op, index, `"${operand}": buffer "${name}" is read before an op writes it`);
      if (rule.access !== 'read') {
        const kind = program.buffers.get(name)?.kind;
        if (kind === 'weight' || kind === 'stored' || kind === 'constant' || kind === 'input')
          throw opError(
            program,
            op,
            index,
            `"${operand}": expected an activation or state to write, got ${kind} "${name}"`,
          );
        written.add(name);
      } else if (program.buffers.get(name)?.kind === 'stored' && !readsStored.has(op.kind))
        throw opError(
          program,
          op,
          index,
          `"${operand}": expected a buffer in memory, got stored "${name}"; fetch its rows first`,
        );
    }
  });
  for (const name of program.kept)
    if (!written.has(name)) throw programError(program.name, `kept buffer "${name}" is never written`);
}

/** Checks one op against the table and gives its numbers. */
export function opFields(program: Program, op: Op, index: number): OpFields {
  const definition = opDefinition(op.kind);
  if (definition === undefined) throw programError(program.name, `op ${index}: unknown kind "${op.kind}"`);
  const operands: Record<string, BufferDecl> = {};
  for (const [operand, rule] of Object.entries(definition.operands)) {
    const name = op.operands[operand];
    if (name === undefined) {
      if (rule.optional) continue;
      throw opError(program, op, index, `"${operand}": expected a buffer, got none`);
    }
    const buffer = program.buffers.get(name);
    if (buffer === undefined) throw opError(program, op, index, `"${operand}": buffer "${name}" is not declared`);
    if (!rule.dtypes.includes(buffer.dtype))
      throw opError(
        program,
        op,
        index,
        `"${operand}": expected ${rule.dtypes.join(' or ')}, got ${buffer.dtype} "${name}"`,
      );
    operands[operand] = buffer;
  }
  for (const operand of Object.keys(op.operands))
    if (!(operand in definition.operands)) throw opError(program, op, index, `has no operand "${operand}"`);
  for (const attribute of Object.keys(definition.attributes))
    if (!Number.isFinite(op.attributes[attribute]))
      throw opError(program, op, index, `attribute "${attribute}": expected a number, got ${op.attributes[attribute]}`);
  for (const attribute of Object.keys(op.attributes))
    if (!(attribute in definition.attributes)) throw opError(program, op, index, `has no attribute "${attribute}"`);
  const shapes = new Shapes({ operands, attributes: op.attributes }, (operand, expected) => {
    const found = operands[operand];
    const got = found ? `"${found.name}" ${describeBuffer(found)}` : (op.attributes[operand] ?? 'none');
    throw opError(program, op, index, `"${operand}": expected ${expected}, got ${got}`);
  });
  return { ...f32Attributes(op), ...definition.infer(shapes) };
}

/** Floats as every backend has them: a threshold of 0.3 is the f32 nearest to it, in the reference too. */
function f32Attributes({ kind, attributes }: Op): OpFields {
  const kinds = opDefinition(kind).attributes;
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [name, kinds[name] === 'float' ? Math.fround(value) : value]),
  );
}

/** The program as text, one line an op, for people and for reviewed snapshots. */
export function printProgram(program: Program): string {
  const lines = [`program ${program.name} (rows <= ${program.maxRows}, outputs <= ${program.maxOutputs})`];
  for (const kind of ['weight', 'stored', 'constant', 'state', 'input', 'activation'] as const) {
    const buffers = [...program.buffers.values()].filter((buffer) => buffer.kind === kind);
    if (buffers.length === 0) continue;
    lines.push(`${kind}s`);
    for (const buffer of buffers)
      lines.push(`  ${buffer.name}: ${describeBuffer(buffer)}${program.kept.has(buffer.name) ? ', kept' : ''}`);
  }
  lines.push('ops');
  program.ops.forEach((op, index) => {
    const rules = opDefinition(op.kind).operands;
    const pick = (wanted: boolean) =>
      Object.entries(op.operands)
        .filter(([operand]) => (rules[operand]?.access === 'read') !== wanted)
        .map(([operand, name]) => (operand === 'out' ? name : `${operand}=${name}`))
        .join(' ');
    const attributes = Object.entries(op.attributes).map(([name, value]) => ` ${name}=${Number(value.toPrecision(6))}`);
    lines.push(`${String(index).padStart(5)}  ${pick(true)} <- ${op.kind} ${pick(false)}${attributes.join('')}`);
  });
  return `${lines.join('\n')}\n`;
}

function programError(program: string, what: string): RelufyError {
  return new RelufyError('program', `program "${program}": ${what}.`);
}

function opError(program: Program, op: Op, index: number, what: string): RelufyError {
  return programError(program.name, `op ${index} ${op.kind} ${what}`);
}
