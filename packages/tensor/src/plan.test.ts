// The memory plan: buffers alive at the same time never overlap, dead ones are reused, kept ones live to the end.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  encodeProgram,
  type Program,
  ProgramBuilder,
  planMemory,
  printProgram,
  recordFields,
  recordWords,
} from './index.js';

const limits = { maxRows: 4, maxOutputs: 1 };
const input = { name: 'x', kind: 'input', dtype: 'f32', shape: ['rows', 16] } as const;

/** A random chain in which each op reads one earlier activation. */
function chain(reads: readonly number[], kept: readonly number[]): Program {
  const builder = new ProgramBuilder('chain', limits);
  const names: string[] = [builder.use(input)];
  for (const read of reads) {
    const out = builder.activation(`a${names.length}`, ['rows', 16]);
    builder.op('activate', { x: names[read % names.length] as string, out }, { kind: 0, threshold: 0 });
    names.push(out);
  }
  for (const index of kept) builder.keep(names[1 + (index % (names.length - 1))] as string);
  return builder.build();
}

describe('memory plan', () => {
  it('never lets two live activations overlap', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(50), { minLength: 1, maxLength: 40 }),
        fc.array(fc.nat(40), { maxLength: 5 }),
        (reads, kept) => {
          const program = chain(reads, kept);
          const { offsets } = planMemory(program);
          // simulate: each unit of the arena remembers who wrote it last; a read must find its own data
          const owner = new Map<number, string>();
          const units = 4;
          program.ops.forEach((op) => {
            const x = op.operands.x as string;
            if (x !== 'x') for (let u = 0; u < units; u++) expect(owner.get((offsets.get(x) as number) + u)).toBe(x);
            const out = op.operands.out as string;
            for (let u = 0; u < units; u++) owner.set((offsets.get(out) as number) + u, out);
          });
          for (const name of program.kept)
            for (let u = 0; u < units; u++) expect(owner.get((offsets.get(name) as number) + u)).toBe(name);
        },
      ),
    );
  });

  it('reuses the memory of dead activations', () => {
    const program = chain(
      Array.from({ length: 30 }, (_, i) => i),
      [],
    );
    expect(planMemory(program).totalUnits).toBe(2 * 4);
  });
});

describe('encoding and printing', () => {
  it('puts operands, attributes and derived numbers where recordFields says', () => {
    const program = chain([0], [0]);
    const words = encodeProgram(program, (name) => (name === 'x' ? 7 : 9));
    const at = (name: string) => words[recordFields('activate').find((field) => field.name === name)?.word ?? -1];
    expect(words.length).toBe(recordWords);
    expect([words[0], at('x'), at('out'), at('kind'), at('count'), at('width')]).toEqual([4, 7, 9, 0, 0, 16]);
  });

  it('prints one line an op', () => {
    expect(printProgram(chain([0, 1], [1]))).toMatchInlineSnapshot(`
      "program chain (rows <= 4, outputs <= 1)
      inputs
        x: f32 [rows, 16]
      activations
        a1: f32 [rows, 16]
        a2: f32 [rows, 16], kept
      ops
          0  a1 <- activate x=x kind=0 threshold=0
          1  a2 <- activate x=a1 kind=0 threshold=0
      "
    `);
  });
});
