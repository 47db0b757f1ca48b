// The words in which ops are defined: what an operand may be, what an op's entry in the table holds.
// Does not own any op: those of inference are op-table.ts, those of training are training-ops.ts.
import type { DType } from './dtype.js';
import type { Shapes } from './shapes.js';

export type Access = 'read' | 'write' | 'update';

export interface OperandRule {
  readonly access: Access;
  readonly dtypes: readonly DType[];
  readonly optional?: true;
}

export type FieldKind = 'int' | 'float';

export interface OpDefinition {
  readonly code: number;
  /** What it computes, per row r. */
  readonly formula: string;
  readonly operands: Readonly<Record<string, OperandRule>>;
  /** Numbers that the builder gives. */
  readonly attributes: Readonly<Record<string, FieldKind>>;
  /** What an attribute is when the builder leaves it out; the others must be given. */
  readonly defaults?: Readonly<Record<string, number>>;
  /** Numbers that follow from the shapes, encoded after the attributes. */
  readonly derived: readonly string[];
  /** Checks the shapes (throws through `Shapes`) and gives the derived numbers. */
  readonly infer: (shapes: Shapes) => Readonly<Record<string, number>>;
}

export const f32 = ['f32'] as const;
export const i32 = ['i32'] as const;
export const i8 = ['i8'] as const;

export const read = (dtypes: readonly DType[]): OperandRule => ({ access: 'read', dtypes });
export const maybe = (dtypes: readonly DType[]): OperandRule => ({ access: 'read', dtypes, optional: true });
export const write = (dtypes: readonly DType[]): OperandRule => ({ access: 'write', dtypes });
export const maybeWrite = (dtypes: readonly DType[]): OperandRule => ({ access: 'write', dtypes, optional: true });
export const update = (dtypes: readonly DType[]): OperandRule => ({ access: 'update', dtypes });
export const maybeUpdate = (dtypes: readonly DType[]): OperandRule => ({ access: 'update', dtypes, optional: true });
