// fetchRows and products over what it fetched: two layers of a gated FFN whose neurons share fewer slots than there are
// neurons, over steps of different rows and lists. What comes out, and who has which slot, is told after each step.
import { expect } from 'vitest';
import {
  type Backend,
  type BufferDecl,
  type BufferView,
  elementsOf,
  fetchCounters,
  type Program,
  ProgramBuilder,
  RelufyError,
  type RowFile,
  type StepLimits,
  slotFields,
  type WeightDType,
  weightDTypes,
} from '../index.js';
import type { CaseResult } from './run-case.js';
import { filled } from './run-case.js';

/** Makes a file of bytes, to be read in steps. */
export type MakeRowFile = (bytes: Uint8Array) => RowFile;

const [neurons, hidden, slots, layers] = [1040, 70, 1100, 2];
const limits: StepLimits = { maxRows: 9, maxOutputs: 1 };
/** Rows and density of the steps: few neurons, all of them, and more rows than kernels take at once. */
const steps = [
  [1, 0.1],
  [3, 0.2],
  [1, 1],
  [9, 0.3],
  [1, 0],
  [2, 0.1],
] as const;

const weights = (dtype: WeightDType, kind: BufferDecl['kind']): BufferDecl[] =>
  Array.from({ length: layers }, (_, layer): BufferDecl[] => [
    { name: `up.${layer}`, kind, dtype, shape: [neurons, hidden] },
    { name: `down.${layer}`, kind, dtype, shape: [neurons, hidden], transposed: true },
  ]).flat();

const words = (name: string, ...shape: readonly number[]): BufferDecl => ({ name, kind: 'state', dtype: 'i32', shape });
const inputs: readonly BufferDecl[] = [
  { name: 'x', kind: 'input', dtype: 'f32', shape: ['rows', hidden] },
  ...Array.from({ length: layers }, (_, layer): BufferDecl => {
    return { name: `mask.${layer}`, kind: 'input', dtype: 'f32', shape: ['rows', neurons] };
  }),
];

/** What `fetchRows` works on. */
function caches(dtype: WeightDType): BufferDecl[] {
  return [
    { name: 'upRows', kind: 'state', dtype, shape: [slots, hidden] },
    { name: 'downRows', kind: 'state', dtype, shape: [slots, hidden], transposed: true },
    words('slots', slots, slotFields),
    words('counters', fetchCounters),
    ...Array.from({ length: layers }, (_, layer) => words(`table.${layer}`, neurons)),
  ];
}

function programOver(buffers: readonly BufferDecl[], fetches: boolean): Program {
  const builder = new ProgramBuilder(fetches ? 'fetched' : 'in memory', limits);
  const named = new Map(buffers.map((decl) => [decl.name, decl]));
  const use = (name: string) => builder.use(named.get(name) as BufferDecl);
  // the lists of all layers are there from the beginning: rows are announced before those of earlier layers are fetched
  const lists = Array.from({ length: layers }, (_, layer) => {
    const active = builder.activation(`active.${layer}`, ['rows', neurons], 'i32');
    const activeCount = builder.activation(`count.${layer}`, ['rows'], 'i32');
    builder.op('selectActive', { x: use(`mask.${layer}`), active, activeCount });
    const list = { active, activeCount };
    const rows = { a: use(`up.${layer}`), b: use(`down.${layer}`) };
    if (fetches)
      builder.op('announceRows', { ...list, ...rows, table: use(`table.${layer}`), slots: use('slots') }, { layer });
    return list;
  });
  let x = use('x');
  for (let layer = 0; layer < layers; layer++) {
    const [up, down] = [use(`up.${layer}`), use(`down.${layer}`)];
    const mask = use(`mask.${layer}`);
    const list = lists[layer] as (typeof lists)[number];
    const table = fetches ? use(`table.${layer}`) : undefined;
    if (fetches) {
      const rows = { a: up, b: down, aRows: use('upRows'), bRows: use('downRows') };
      const missing = builder.activation(`missing.${layer}`, [neurons], 'i32');
      const state = { table, slots: use('slots'), counters: use('counters'), missing };
      builder.op('fetchRows', { ...list, ...rows, ...state }, { layer });
    }
    const [wUp, wDown] = fetches ? [use('upRows'), use('downRows')] : [up, down];
    const upOut = builder.activation(`upOut.${layer}`, ['rows', neurons]);
    const input = builder.inputOf(named.get(up) as BufferDecl, x);
    builder.op('gemvRows', { ...input, w: wUp, table, ...list, out: upOut });
    const h = builder.activation(`h.${layer}`, ['rows', neurons]);
    builder.op('multiply', { a: mask, b: upOut, out: h });
    const out = builder.activation(`out.${layer}`, ['rows', hidden]);
    builder.op('axpyRows', { x: h, w: wDown, table, ...list, residual: x, out });
    builder.keep(out);
    x = out;
  }
  return builder.build();
}

const contents = (decl: BufferDecl): BufferView => filled({ decl, fill: { kind: 'normal' } }, limits, 7);

/** `check` of the file, given the number of the step, counted from 1. */
type Check = (step: number) => void;

/** What each step leaves: outputs, and with files who has which slot. Undefined where a step failed. */
async function fetchSteps(
  backend: Backend,
  dtype: WeightDType,
  makeFile?: MakeRowFile,
  check: Check = () => {},
): Promise<(CaseResult | undefined)[]> {
  const decls = weights(dtype, makeFile ? 'stored' : 'weight');
  const buffers = [...decls, ...inputs, ...(makeFile ? caches(dtype) : [])];
  const session = await backend.createSession(buffers, limits);
  let step = 0;
  try {
    if (makeFile) {
      const parts = decls.map((decl) => new Uint8Array(contents(decl).buffer));
      const bytes = new Uint8Array(64 + parts.reduce((sum, { length }) => sum + length, 0));
      let at = 64;
      const places = parts.map((part) => {
        bytes.set(part, at);
        at += part.length;
        return at - part.length;
      });
      const made = makeFile(bytes);
      const file: RowFile = { ...made, check: () => check(step) };
      for (const [i, { name }] of decls.entries())
        await session.attach?.(name, { file, firstByte: places[i] as number });
    } else for (const decl of decls) await session.write(decl.name, contents(decl));
    const loaded = session.load(programOver(buffers, makeFile !== undefined));
    const results: (CaseResult | undefined)[] = [];
    for (const [rows, density] of steps) {
      step++;
      for (const decl of inputs) {
        const fill = decl.name === 'x' ? ({ kind: 'normal' } as const) : ({ kind: 'sparse', density } as const);
        await session.write(decl.name, filled({ decl, fill }, limits, step));
      }
      try {
        await loaded.run({ rows, outputs: 0 });
      } catch {
        results.push(undefined);
        continue;
      }
      const result: Record<string, CaseResult[string]> = {};
      for (let layer = 0; layer < layers; layer++)
        result[`out.${layer}`] = (await loaded.read(`out.${layer}`, 0, rows * hidden)) as Float32Array;
      if (makeFile)
        for (const { name, dtype: of } of buffers)
          if (of === 'i32') result[name] = Int32Array.from(await elementsOf(session, name));
      results.push(result);
    }
    return results;
  } finally {
    await session.dispose();
  }
}

/** The outputs alone. */
function outputsOf(result: CaseResult): CaseResult {
  return Object.fromEntries(Object.entries(result).filter(([name]) => name.startsWith('out.')));
}

/** Outputs have the bits of weights in memory, slots are the reference's, and after a failure all is read anew. */
export async function checkFetches(
  reference: Backend,
  backends: readonly Backend[],
  makeFile: MakeRowFile,
  expectSameBits: (name: string, actual: CaseResult, expected: CaseResult) => void,
): Promise<void> {
  const wanted = await fetchSteps(reference, 'f32', makeFile);
  for (const dtype of weightDTypes)
    for (const backend of backends) {
      const inMemory = await fetchSteps(backend, dtype);
      for (const [step, result] of (await fetchSteps(backend, dtype, makeFile)).entries()) {
        const name = `${dtype}, step ${step + 1}`;
        expectSameBits(name, outputsOf(result as CaseResult), inMemory[step] as CaseResult);
        const { 'out.0': _, 'out.1': __, ...slots } = wanted[step] as CaseResult;
        expectSameBits(name, result as CaseResult, slots);
      }
      if (dtype !== 'f32') continue;
      const failing = await fetchSteps(backend, dtype, makeFile, (step) => {
        if (step === 4) throw new RelufyError('io', 'changed');
      });
      expect(failing.map((result) => result === undefined)).toEqual(failing.map((_, step) => step === 3));
      for (const [step, result] of failing.entries())
        if (result) expectSameBits('after a failure', outputsOf(result), inMemory[step] as CaseResult);
    }
}
