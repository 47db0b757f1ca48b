// Which op of a step first wrote a number that is not finite: the step is run again, op by op, and what each op writes is
// looked at. For the way to an error only; a session's results are checked by whoever reads them (finite.ts).
// Does not own what a layer is called (the package that built the program) or the wording.
import type { LoadedProgram, Session, Step } from './backend.js';
import { elementCount } from './buffer.js';
import { areFinite } from './finite.js';
import { elementsOf } from './host-memory.js';
import { opDefinition } from './op-table.js';
import type { Op } from './program.js';

export interface NotFinite {
  /** Its place in the program. */
  readonly index: number;
  readonly op: Op;
  /** Whether `row` counts the step's rows or its outputs. */
  readonly dim: 'rows' | 'outputs';
  readonly row: number;
  /** NaN, an infinity, or what does not fit into f16 keys and values. */
  readonly value: number;
}

/** From here on a number rounds to infinity in f16. */
const beyondF16 = 65520;

/** Runs the step again, with the inputs that the session holds. Undefined when every number is finite now. */
export async function findNotFinite(
  session: Session,
  loaded: LoadedProgram,
  step: Step,
): Promise<NotFinite | undefined> {
  const { ops, buffers } = loaded.program;
  const limits = { maxRows: step.rows, maxOutputs: step.outputs };
  const numbers = async (name: string): Promise<Float32Array> => {
    const decl = buffers.get(name);
    if (decl?.dtype !== 'f32') return new Float32Array(0);
    const source = decl.kind === 'activation' ? loaded : session;
    return (await elementsOf(source, name, 0, elementCount(decl, limits))) as Float32Array;
  };
  const stray = async (
    index: number,
    name: string,
    fits: (value: number) => boolean,
  ): Promise<NotFinite | undefined> => {
    const values = await numbers(name);
    const at = values.findIndex((value) => !fits(value));
    if (at < 0) return undefined;
    const [dim, ...inner] = buffers.get(name)?.shape ?? [];
    const row = Math.floor(at / elementCount({ shape: inner }, limits));
    return { index, op: ops[index] as Op, dim: dim === 'outputs' ? dim : 'rows', row, value: values[at] as number };
  };
  for (const [index, { kind, operands }] of ops.entries()) {
    // leaves what is not listed as it was: whatever lay there before
    if (kind === 'gemvRows' && loaded.view) (await numbers(operands.out as string)).fill(0);
    await loaded.run(step, index, index + 1);
    // where that cannot be cleared, what is listed is seen in the op that reads it
    if (kind === 'gemvRows' && !loaded.view) continue;
    for (const [operand, { access }] of Object.entries(opDefinition(kind).operands)) {
      const name = operands[operand];
      if (access === 'read' || name === undefined || buffers.get(name)?.kind !== 'activation') continue;
      if (areFinite('f32', await numbers(name))) continue;
      return stray(index, name, Number.isFinite);
    }
    if (kind !== 'storeKv' || buffers.get(operands.k as string)?.dtype !== 'f16') continue;
    const tooLarge = await stray(index, operands.x as string, (value) => Math.abs(value) < beyondF16);
    if (tooLarge !== undefined) return tooLarge;
  }
  return undefined;
}
