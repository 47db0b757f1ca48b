// The binary form of a program, for backends that interpret it: one fixed-size record of 32-bit words an op.
// Word 0 is the op's code; then one word an operand (an offset in units of 64 bytes; 0 = absent), then the attributes,
// then the derived numbers, each in the op table's order. `recordFields` is the map that generated accessors follow.
import type { FieldKind } from './op-rules.js';
import { type OpKind, opDefinition } from './op-table.js';
import { opFields, type Program } from './program.js';

export const recordWords = 32;

export interface RecordField {
  readonly name: string;
  readonly word: number;
  readonly kind: 'operand' | FieldKind;
}

/** Where each operand and number of an op lies in its record. */
export function recordFields(kind: OpKind): readonly RecordField[] {
  const { operands, attributes, derived } = opDefinition(kind);
  const fields: Omit<RecordField, 'word'>[] = [
    ...Object.keys(operands).map((name) => ({ name, kind: 'operand' as const })),
    ...Object.entries(attributes).map(([name, fieldKind]) => ({ name, kind: fieldKind })),
    ...derived.map((name) => ({ name, kind: 'int' as const })),
  ];
  return fields.map((field, index) => ({ ...field, word: index + 1 }));
}

/** Encodes a program; `offsetOf` gives each buffer's place in units of 64 bytes, never 0. */
export function encodeProgram(program: Program, offsetOf: (buffer: string) => number): Uint32Array {
  const words = new Uint32Array(program.ops.length * recordWords);
  const floats = new Float32Array(words.buffer);
  program.ops.forEach((op, index) => {
    const base = index * recordWords;
    const values = opFields(program, op, index);
    words[base] = opDefinition(op.kind).code;
    for (const field of recordFields(op.kind)) {
      const at = base + field.word;
      if (field.kind === 'operand') {
        const buffer = op.operands[field.name];
        words[at] = buffer === undefined ? 0 : offsetOf(buffer);
      } else if (field.kind === 'int') words[at] = values[field.name] as number;
      else floats[at] = values[field.name] as number;
    }
  });
  return words;
}
