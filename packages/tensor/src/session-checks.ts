// What every session refuses before it computes: programs over buffers that are not its own, steps larger than planned.
// Owns the wording. Does not own what a program must be in itself (program.ts).
import type { BufferView, Step } from './backend.js';
import { isBlockDType } from './block-format.js';
import { type BufferDecl, byteCount, describeBuffer, elementCount, type StepLimits } from './buffer.js';
import type { DType } from './dtype.js';
import { RelufyError, show } from './errors.js';
import type { Program } from './program.js';

/** The typed array through which a buffer of each format is seen; see `BufferView`. */
export const viewTypes: Readonly<
  Record<
    DType,
    { new (length: number): BufferView; new (buffer: ArrayBufferLike, firstByte: number, length: number): BufferView }
  >
> = {
  f32: Float32Array,
  bf16: Uint16Array,
  f16: Uint16Array,
  i32: Int32Array,
  i8: Int8Array,
  int8: Uint8Array,
  int4: Uint8Array,
  uint4: Uint8Array,
};

/** Elements of the view of a buffer at its largest: numbers, or the bytes of block formats. */
export function viewLength(buffer: BufferDecl, limits: StepLimits): number {
  return isBlockDType(buffer.dtype) ? byteCount(buffer, limits) : elementCount(buffer, limits);
}

/** @throws RelufyError `program` unless it has the session's limits and its buffers are the session's. */
export function checkProgram(
  program: Program,
  buffers: ReadonlyMap<string, BufferDecl>,
  { maxRows, maxOutputs }: StepLimits,
): void {
  const refuse = (what: string) => new RelufyError('program', `program ${show(program.name)}: ${what}`);
  if (program.maxRows !== maxRows || program.maxOutputs !== maxOutputs)
    throw refuse(
      `expected the session's limits, ${maxRows} rows and ${maxOutputs} outputs, got ${program.maxRows} and ${program.maxOutputs}.`,
    );
  for (const buffer of program.buffers.values()) {
    if (buffer.kind === 'activation') continue;
    const known = buffers.get(buffer.name);
    if (known === undefined) throw refuse(`buffer ${show(buffer.name)} is not in the session.`);
    if (describeBuffer(known) !== describeBuffer(buffer))
      throw refuse(
        `buffer ${show(buffer.name)}: expected ${describeBuffer(known)} as in the session, got ${describeBuffer(buffer)}.`,
      );
  }
}

/** @throws RelufyError `input` for more rows or outputs than the program was planned for, or ops that it has not. */
export function checkStep(program: Program, { rows, outputs }: Step, from: number, to: number): void {
  const within = (what: string, value: number, least: number, most: number): void => {
    if (!Number.isInteger(value) || value < least || value > most)
      throw new RelufyError(
        'input',
        `program ${show(program.name)}: ${what}: expected an integer of ${least} to ${most}, got ${value}.`,
      );
  };
  within('rows', rows, 0, program.maxRows);
  within('outputs', outputs, 0, program.maxOutputs);
  within('to', to, 0, program.ops.length);
  within('from', from, 0, to);
}
