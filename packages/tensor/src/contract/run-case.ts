// Runs one op case on one backend: declares its buffers, fills them from the seed, runs, and reads the results.
// Does not judge; suite.ts does.
import {
  type Backend,
  type BufferView,
  elementCount,
  f32ToBf16,
  type Program,
  ProgramBuilder,
  type StepLimits,
} from '../index.js';
import type { CaseBuffer, OpCase } from './case.js';
import { normal, uniform } from './random.js';

/** What the result operands hold after the run, by operand. */
export type CaseResult = Readonly<Record<string, Float32Array | Int32Array>>;

export async function runCase(backend: Backend, opCase: OpCase, seed: number): Promise<CaseResult> {
  const limits = { maxRows: opCase.maxRows, maxOutputs: 1 };
  const session = await backend.createSession(
    Object.values(opCase.operands).map(({ decl }) => decl),
    limits,
  );
  try {
    for (const operand of Object.values(opCase.operands)) fill(session.view(operand.decl.name), operand, limits, seed);
    const loaded = session.load(caseProgram(opCase, limits));
    await loaded.run({ rows: opCase.rows, outputs: 0 });
    const results: Record<string, Float32Array | Int32Array> = {};
    for (const operand of opCase.results) {
      const { decl } = opCase.operands[operand] as CaseBuffer;
      results[operand] = session.view(decl.name).slice() as Float32Array | Int32Array;
    }
    return results;
  } finally {
    await session.dispose();
  }
}

export function caseProgram(opCase: OpCase, limits: StepLimits): Program {
  const builder = new ProgramBuilder(opCase.name, limits);
  const operands: Record<string, string> = {};
  for (const [operand, { decl }] of Object.entries(opCase.operands)) operands[operand] = builder.use(decl);
  builder.op(opCase.op, operands, opCase.attributes);
  return builder.build();
}

/** Fills a buffer; the numbers depend on its name, its width and the seed alone, so the same row means the same data. */
export function fill(view: BufferView, { decl, fill: how }: CaseBuffer, limits: StepLimits, seed: number): void {
  const write = (index: number, value: number): void => {
    view[index] = decl.dtype === 'bf16' ? f32ToBf16(value) : value;
  };
  if (how.kind === 'indicesOf' || how.kind === 'countsOf') {
    const mask = new Float32Array(elementCount(how.mask.decl, limits));
    fill(mask, how.mask, limits, seed);
    const width = how.mask.decl.shape[1] as number;
    for (let row = 0; row < mask.length / width; row++) {
      let n = 0;
      for (let c = 0; c < width; c++)
        if (mask[row * width + c] !== 0) {
          if (how.kind === 'indicesOf') write(row * width + n, c);
          n++;
        }
      if (how.kind === 'countsOf') write(row, n);
    }
    return;
  }
  const next = uniform(seed + hash(decl.name));
  for (let i = 0; i < view.length; i++) {
    switch (how.kind) {
      case 'normal':
        write(i, normal(next) * (how.scale ?? 1));
        break;
      case 'sparse': {
        const value = normal(next);
        write(i, next() < how.density ? value : 0);
        break;
      }
      case 'integers':
        write(i, Math.floor(next() * how.below));
        break;
      case 'values':
        write(i, how.values[i % how.values.length] as number);
        break;
      case 'constant':
        write(i, how.value);
        break;
    }
  }
}

function hash(text: string): number {
  let value = 7;
  for (const char of text) value = (Math.imul(value, 31) + char.charCodeAt(0)) | 0;
  return value >>> 8;
}
