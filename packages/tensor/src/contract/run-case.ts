// Runs one op case on one backend: declares its buffers, fills them from the seed, runs, and reads the results.
// Does not judge; suite.ts does.
import {
  type Backend,
  type BufferView,
  blockSize,
  blocksOf,
  elementCount,
  f32ToBf16,
  f32ToF16,
  isBlockDType,
  type Program,
  ProgramBuilder,
  packSigns,
  quantizeRow,
  rowBytes,
  type StepLimits,
  viewLength,
  viewTypes,
} from '../index.js';
import { Operand } from '../reference/call.js';
import { referenceKernels } from '../reference/kernels.js';
import type { CaseBuffer, OpCase } from './case.js';
import { normal, uniform } from './random.js';

/** What the result operands hold after the run, by operand. */
export type CaseResult = Readonly<Record<string, Float32Array | Int32Array | Int8Array | Uint16Array>>;

export async function runCase(backend: Backend, opCase: OpCase, seed: number): Promise<CaseResult> {
  const [result] = await runCases(backend, [opCase], seed);
  return result as CaseResult;
}

/**
 * Several cases with as many rows at most, one after the other, each with buffers and a program of its own in one session:
 * making one costs more than what most cases compute.
 */
export async function runCases(backend: Backend, cases: readonly OpCase[], seed: number): Promise<CaseResult[]> {
  const limits = { maxRows: cases[0]?.maxRows ?? 1, maxOutputs: 1 };
  const named = cases.map((opCase, i) => (i === 0 ? opCase : withNames(opCase, `${i}. `)));
  const decls = named.flatMap(({ operands }) => Object.values(operands).map(({ decl }) => decl));
  const session = await backend.createSession(decls, limits);
  try {
    const all: CaseResult[] = [];
    for (const [i, opCase] of named.entries()) {
      // the numbers go by the names that the case has
      for (const [operand, { decl }] of Object.entries(opCase.operands))
        await session.write(decl.name, drawn(cases[i]?.operands[operand] as CaseBuffer, limits, seed));
      const loaded = session.load(caseProgram(opCase, limits));
      await loaded.run({ rows: opCase.rows, outputs: 0 });
      const results: Record<string, CaseResult[string]> = {};
      for (const operand of opCase.results) {
        const { decl } = opCase.operands[operand] as CaseBuffer;
        results[operand] = (await session.read(decl.name)) as CaseResult[string];
      }
      all.push(results);
    }
    return all;
  } finally {
    await session.dispose();
  }
}

/** The same case over buffers of other names; operands that share a buffer go on sharing it. */
function withNames(opCase: OpCase, prefix: string): OpCase {
  const renamed = new Map<CaseBuffer['decl'], CaseBuffer['decl']>();
  const operands = Object.entries(opCase.operands).map(([operand, { decl, fill: how }]) => {
    const known = renamed.get(decl) ?? { ...decl, name: prefix + decl.name };
    renamed.set(decl, known);
    return [operand, { decl: known, fill: how }] as const;
  });
  return { ...opCase, operands: Object.fromEntries(operands) };
}

/** The same rows, each in a step of its own: what they leave for each other goes through the session's state. */
export async function runRowByRow(backend: Backend, opCase: OpCase, seed: number): Promise<CaseResult> {
  const limits = { maxRows: opCase.maxRows, maxOutputs: 1 };
  const operands = Object.entries(opCase.operands);
  const session = await backend.createSession(
    operands.map(([, { decl }]) => decl),
    limits,
  );
  try {
    const whole = new Map(operands.map(([name, each]) => [name, filled(each, limits, seed)]));
    for (const [name, { decl }] of operands) await session.write(decl.name, whole.get(name) as BufferView);
    const loaded = session.load(caseProgram(opCase, limits));
    const byRow = operands.filter(([, { decl }]) => decl.shape[0] === 'rows');
    const results = new Map(
      byRow.filter(([name]) => opCase.results.includes(name)).map(([name]) => [name, whole.get(name) as BufferView]),
    );
    for (let r = 0; r < opCase.rows; r++) {
      const width = (values: BufferView) => values.length / limits.maxRows;
      for (const [name, { decl }] of byRow) {
        const values = whole.get(name) as BufferView;
        await session.write(decl.name, values.slice(r * width(values), (r + 1) * width(values)));
      }
      await loaded.run({ rows: 1, outputs: 0 });
      for (const [name, values] of results)
        values.set(
          await session.read((opCase.operands[name] as CaseBuffer).decl.name, 0, width(values)),
          r * width(values),
        );
    }
    const read = async (name: string) =>
      results.get(name) ?? (await session.read((opCase.operands[name] as CaseBuffer).decl.name));
    return Object.fromEntries(
      await Promise.all(opCase.results.map(async (name) => [name, await read(name)] as const)),
    ) as CaseResult;
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

/** Of the last buffers: a case runs on several backends and at several numbers of threads, over the same numbers. */
const known = new Map<CaseBuffer, { readonly key: string; readonly view: BufferView }>();
const mostKnown = 256;

/** As `filled`, to be read only. */
function drawn(operand: CaseBuffer, limits: StepLimits, seed: number): BufferView {
  const key = `${limits.maxRows} ${seed}`;
  const before = known.get(operand);
  if (before?.key === key) return before.view;
  const view = filled(operand, limits, seed);
  known.delete(operand);
  known.set(operand, { key, view });
  if (known.size > mostKnown) known.delete(known.keys().next().value as CaseBuffer);
  return view;
}

/** What a buffer is to hold. */
export function filled(operand: CaseBuffer, limits: StepLimits, seed: number): BufferView {
  const values = new viewTypes[operand.decl.dtype](viewLength(operand.decl, limits));
  fill(values, operand, limits, seed);
  return values;
}

/** Fills a buffer; the numbers depend on its name, its width and the seed alone, so the same row means the same data. */
export function fill(view: BufferView, { decl, fill: how }: CaseBuffer, limits: StepLimits, seed: number): void {
  const write = (index: number, value: number): void => {
    view[index] = decl.dtype === 'bf16' ? f32ToBf16(value) : decl.dtype === 'f16' ? f32ToF16(value) : value;
  };
  if (isBlockDType(decl.dtype)) {
    const columns = decl.shape.at(-1) as number;
    const values = new Float32Array(elementCount(decl, limits));
    fill(values, { decl: { ...decl, dtype: 'f32' }, fill: how }, limits, seed);
    const bytes = rowBytes(decl.dtype, columns);
    for (let row = 0; row * bytes < view.length; row++)
      quantizeRow(
        decl.dtype,
        values.subarray(row * columns, (row + 1) * columns),
        (view as Uint8Array).subarray(row * bytes, (row + 1) * bytes),
      );
    return;
  }
  if (how.kind === 'stray') {
    fill(view, { decl, fill: how.fill }, limits, seed);
    view[0] = how.value;
    return;
  }
  if (how.kind === 'quantizedOf') {
    view.set(quantizedOf(how.source, limits, seed)[how.part]);
    return;
  }
  if (how.kind === 'signsOf') {
    const weight = new Float32Array(elementCount(how.weight.decl, limits));
    fill(weight, how.weight, limits, seed);
    view.set(packSigns('f32', weight, how.weight.decl.shape[1] as number));
    return;
  }
  if (how.kind === 'indicesOf' || how.kind === 'countsOf') {
    const mask = new Float32Array(elementCount(how.mask.decl, limits));
    fill(mask, how.mask, limits, seed);
    const width = how.mask.decl.shape[1] as number;
    for (let row = 0; row < mask.length / width; row++) {
      let n = 0;
      for (let c = 0; c < width; c++)
        if (mask[row * width + c] !== 0 || (how.also !== undefined && (row + c) % how.also === 0)) {
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
      case 'coarse':
      case 'coarsePositive': {
        const value = Math.floor(next() * 9 - 4) / 4;
        const special = next();
        const corners = [0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
        if (how.kind === 'coarsePositive') write(i, special < 1 / 8 ? Number.POSITIVE_INFINITY : Math.abs(value));
        else write(i, special < 1 / 8 ? (corners[Math.floor(special * 40)] as number) : value);
        break;
      }
      case 'constant':
        write(i, how.value);
        break;
    }
  }
}

/** Quantises an operand's rows as the op `quantize` defines it. */
function quantizedOf(source: CaseBuffer, limits: StepLimits, seed: number) {
  const x = new Float32Array(elementCount(source.decl, limits));
  fill(x, source, limits, seed);
  const width = source.decl.shape.at(-1) as number;
  const [rows, blocks] = [x.length / width, blocksOf(width)];
  const values = new Int8Array(rows * blocks * blockSize);
  const xScales = new Float32Array(rows * blocks);
  const xSums = new Int32Array(rows * blocks);
  const operands = Object.fromEntries(
    Object.entries({ x, values, xScales, xSums }).map(([name, storage]) => {
      const columns = storage.length / rows;
      return [name, new Operand({ name, kind: 'state', dtype: 'f32', shape: [rows, columns] }, storage)];
    }),
  );
  referenceKernels.quantize({ operands, fields: { width, blocks }, count: rows });
  return { values, xScales, xSums };
}

function hash(text: string): number {
  let value = 7;
  for (const char of text) value = (Math.imul(value, 31) + char.charCodeAt(0)) | 0;
  return value >>> 8;
}
