// The contract suite: what every backend owes, run against the reference executor. A backend's own test calls
// `runBackendSuite` once; what it cannot do it skips by name, with a reason. Longer than 400 lines because what a backend
// owes is one list.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Backend,
  blockDTypes,
  createReferenceBackend,
  elementsOf,
  isBlockDType,
  ProgramBuilder,
  RelufyError,
  weightDTypes,
} from '../index.js';
import { buffer, type OpCase, sentinel } from './case.js';
import { opCases, quantizable } from './cases.js';
import { checkFetches, type MakeRowFile } from './fetch-rows.js';
import { backendGradients, finiteDifferences } from './gradient-case.js';
import { gradientCases } from './gradient-cases.js';
import { chosenArbitrary, maskCases } from './mask-cases.js';
import { recurrentArbitrary } from './recurrent-cases.js';
import { type CaseResult, runCase, runCases, runRowByRow } from './run-case.js';
import { strayCases } from './stray-cases.js';
import { wideProducts, wideShapes } from './wide-products.js';

export interface BackendSuite {
  readonly name: string;
  /** Makes a backend with this many threads. */
  readonly create: (threads: number) => Promise<Backend>;
  /** Thread counts to try; the first gives the bits that the others must repeat. */
  readonly threads: readonly number[];
  /** Bound on |difference| / (largest |value| of the reference), for every op. */
  readonly tolerance: number;
  readonly skip?: readonly { readonly reason: string; readonly cases: RegExp }[];
  /** Whether wide products are run too (default): too slow for the reference, which they would compare with itself. */
  readonly wide?: boolean;
  /** Makes files whose rows steps read. Absent: the backend reads none. */
  readonly makeRowFile?: MakeRowFile;
}

export function runBackendSuite(suite: BackendSuite): void {
  describe(`backend contract: ${suite.name}`, () => {
    const reference = createReferenceBackend();
    const backends: Backend[] = [];
    beforeAll(async () => {
      for (const threads of suite.threads) backends.push(await suite.create(threads));
    });
    afterAll(async () => {
      for (const backend of backends) await backend.dispose();
    });

    const byOp = group(opCases);
    for (const [op, cases] of byOp)
      it(`${op}: ${cases.length} cases agree with the reference, with equal bits at ${suite.threads.join(', ')} threads`, async () => {
        const asked = cases.filter(
          (opCase) => !suite.skip?.some((skip) => skip.cases.test(opCase.name)) && takes(backends, opCase),
        );
        for (const some of inBatches(asked)) {
          const [first, ...others] = await inTurn(backends, (backend) => runCases(backend, some, 1));
          for (const [i, opCase] of some.entries()) {
            const [expected, got] = [await referenceOf(opCase, 1), first?.[i] as CaseResult];
            if (opCase.exact) expectSameBits(opCase.name, got, expected);
            else expectClose(opCase.name, got, expected, suite.tolerance);
            for (const other of others) expectSameBits(opCase.name, other[i] as CaseResult, got);
          }
        }
      });

    it('skips with reasons only', () => {
      for (const { reason, cases } of suite.skip ?? []) {
        expect(reason).not.toBe('');
        expect([...opCases, ...gradientCases].some(({ name }) => cases.test(name))).toBe(true);
      }
    });

    it(`${gradientCases.length} gradients are what finite differences say`, async () => {
      for (const gradientCase of gradientCases) {
        if (suite.skip?.some((skip) => skip.cases.test(gradientCase.name))) continue;
        const expected = finiteDifferences(gradientCase);
        const results = [];
        for (const backend of backends) results.push(await backendGradients(backend, gradientCase));
        for (const result of results) {
          // what of f32 and of a difference quotient is left, besides the backend's own rounding
          expectClose(gradientCase.name, result, expected, 1e-5 + suite.tolerance);
          expectSameBits(gradientCase.name, result as CaseResult, results[0] as CaseResult);
        }
      }
    });

    it('random products agree, whatever the shape, density and number of rows', async () => {
      await fc.assert(
        fc.asyncProperty(productArbitrary, fc.integer({ min: 0, max: 1e6 }), async (opCase, seed) => {
          if (!takes(backends, opCase)) return;
          const expected = await runCase(reference, opCase, seed);
          for (const backend of backends)
            expectClose(
              opCase.name,
              await runCase(backend, opCase, seed),
              expected,
              suite.tolerance,
              sizeOfSums(opCase),
            );
        }),
        { numRuns: 100 },
      );
    });

    it('random masks have the bits of the reference', async () => {
      if (suite.skip?.some(({ cases }) => maskCases.some(({ name }) => cases.test(name)))) return;
      await fc.assert(
        fc.asyncProperty(chosenArbitrary, fc.integer({ min: 0, max: 1e6 }), async (opCase, seed) => {
          const expected = await runCase(reference, opCase, seed);
          for (const backend of backends) expectSameBits(opCase.name, await runCase(backend, opCase, seed), expected);
        }),
        { numRuns: 150 },
      );
    });

    it('random recurrences agree, and give a row at a time what they give all rows of a step', async () => {
      await fc.assert(
        fc.asyncProperty(recurrentArbitrary, fc.integer({ min: 0, max: 1e6 }), async (opCase, seed) => {
          const expected = await runCase(reference, opCase, seed);
          for (const backend of [reference, ...backends]) {
            const result = await runCase(backend, opCase, seed);
            if (opCase.exact) expectSameBits(opCase.name, result, expected);
            else expectClose(opCase.name, result, expected, suite.tolerance);
            expectSameBits(`${opCase.name}, row by row`, await runRowByRow(backend, opCase, seed), result);
          }
        }),
        { numRuns: 60 },
      );
    });

    it('sparse equals dense bit for bit', async () => {
      await fc.assert(
        fc.asyncProperty(productArbitrary, async (opCase) => {
          if (opCase.op === 'linear' || !takes(backends, opCase)) return;
          const { active: _a, activeCount: _c, ...operands } = opCase.operands;
          const dense: OpCase = { ...opCase, op: 'linear', operands };
          for (const backend of [reference, ...backends]) {
            const [sparseOut, denseOut] = (await runCases(backend, [opCase, dense], 3)).map(({ out }) => out) as [
              Float32Array,
              Float32Array,
            ];
            // gemvRows leaves the outputs that are not listed alone
            if (opCase.op === 'gemvRows')
              for (let i = 0; i < denseOut.length; i++) if (sparseOut[i] === sentinel) denseOut[i] = sentinel;
            expectSameBits(opCase.name, { out: sparseOut }, { out: denseOut });
          }
        }),
        { numRuns: 100 },
      );
    });

    it('a row has the same bits alone and among others', async () => {
      await fc.assert(
        fc.asyncProperty(productArbitrary, async (opCase) => {
          if (!takes(backends, opCase)) return;
          const backend = backends.at(-1) as Backend;
          const both = [opCase.maxRows, 1].map((rows) => ({ ...opCase, rows }));
          const [together, alone] = (await runCases(backend, both, 5)).map(({ out }) => out) as [
            Float32Array,
            Float32Array,
          ];
          const width = (opCase.operands.out?.decl.shape[1] ?? 0) as number;
          expectSameBits(opCase.name, { out: alone.subarray(0, width) }, { out: together.subarray(0, width) });
        }),
        { numRuns: 100 },
      );
    });

    for (const dtype of suite.wide === false ? [] : weightDTypes)
      for (const transposed of [false, true])
        it(`wide products, ${dtype} ${transposed ? 'transposed' : 'row-major'}: as the reference, sparse as dense, a row alone as among others`, async () => {
          for (const shape of wideShapes) {
            const [dense, sparse] = wideProducts(dtype, transposed, shape);
            if (!takes(backends, dense)) return;
            const expected = await referenceOf(dense, 2, dense.name);
            const three = [dense, sparse, { ...sparse, rows: 1 }];
            const results = (await inTurn(backends, (backend) => runCases(backend, three, 2))) as CaseResult[][];
            const first = results[0]?.[0] as CaseResult;
            expectClose(dense.name, first, expected, suite.tolerance);
            for (const [whole, listed, one] of results as [CaseResult, CaseResult, CaseResult][]) {
              expectSameBits(dense.name, whole, first);
              const out = listed.out as Float32Array;
              const wanted = (first.out as Float32Array).slice();
              if (sparse.op === 'gemvRows')
                for (let i = 0; i < out.length; i++) if (out[i] === sentinel) wanted[i] = sentinel;
              expectSameBits(sparse.name, { out }, { out: wanted });
              const alone = one.out as Float32Array;
              const own = [alone, out].map((rows) => ({ out: rows.subarray(0, shape.outWidth) }));
              expectSameBits(`${sparse.name}, alone`, own[0] as CaseResult, own[1] as CaseResult);
            }
          }
        });

    const { makeRowFile } = suite;
    it.skipIf(makeRowFile === undefined)(
      'fetched rows give the bits of rows in memory, in the slots that the reference gives them; a step that fails spoils no other',
      () => checkFetches(reference, backends, makeRowFile as MakeRowFile, expectSameBits),
    );

    it('a number that is not finite shows in what is computed from it', async () => {
      for (const some of inBatches(strayCases(opCases).filter((stray) => takes(backends, stray))))
        for (const backend of [reference, ...backends])
          for (const [i, result] of (await runCases(backend, some, 1)).entries()) {
            const { name, shows, maxRows } = some[i] as (typeof some)[number];
            const values = result[shows] as Float32Array;
            const row = values.subarray(0, Math.max(1, values.length / maxRows));
            if (row.every(Number.isFinite)) expect.fail(`${name}: ${backend.name} gives finite numbers`);
          }
    });

    it('a step of no rows changes nothing', async () => {
      const opCase = opCases.find(({ op }) => op === 'linear') as OpCase;
      for (const backend of backends) {
        const { out } = await runCase(backend, { ...opCase, rows: 0 }, 1);
        expect([...(out as Float32Array)].every((value) => value === sentinel)).toBe(true);
      }
    });

    it('runs a program op by op as it runs it whole, and reuses activations safely', async () => {
      for (const backend of [reference, ...backends]) {
        const whole = await chain(backend, false);
        expect(await chain(backend, true)).toEqual(whole);
      }
    });

    it('reads, writes and copies elements of every format, and refuses what a buffer does not have', async () => {
      for (const backend of [reference, ...backends])
        for (const dtype of ['f32', 'bf16', 'f16', 'i32', 'i8', ...blockDTypes] as const) {
          if (isBlockDType(dtype) && !backend.weightDTypes.includes(dtype)) continue;
          const decls = ['a', 'b'].map((name) => buffer(name, dtype, [3, 32], { kind: 'constant', value: 0 }).decl);
          const other = buffer('other', dtype === 'i32' ? 'f32' : 'i32', [9], { kind: 'constant', value: 0 }).decl;
          const session = await backend.createSession([...decls, other], limits);
          const { length } = await session.read('a');
          const values = Array.from({ length }, (_, i) => i % 100);
          await session.write('a', values);
          expect([...(await session.read('a'))]).toEqual(values);
          expect([...(await session.read('a', 3, 7))]).toEqual([3, 4, 5, 6]);
          await session.write('a', [50, 51], 5);
          await session.copy({ buffer: 'a', at: 3, count: 5 }, { buffer: 'a', at: 4 }); // they overlap
          expect([...(await session.read('a', 2, 11))]).toEqual([2, 3, 3, 4, 50, 51, 7, 9, 10]);
          await session.copy({ buffer: 'a', at: 5, count: 2 }, { buffer: 'b', at: length - 2 });
          expect([...(await session.read('b')).slice(-3)]).toEqual([0, 4, 50]);
          const copied = await session.read('b');
          await session.write('b', [7]);
          expect(copied[0]).toBe(0);
          const refused = async (call: () => unknown) =>
            expect((async () => call())()).rejects.toMatchObject({ code: 'input' });
          await refused(() => session.read('a', 1, length + 1));
          await refused(() => session.read('a', 2, 1));
          await refused(() => session.write('a', [1, 2], length - 1));
          await refused(() => session.write('a', [1], -1));
          await refused(() => session.copy({ buffer: 'a', at: 0, count: 2 }, { buffer: 'b', at: length - 1 }));
          await refused(() => session.copy({ buffer: 'a', at: 0, count: 2 }, { buffer: 'other', at: 0 }));
          await session.dispose();
        }
    });

    it('a kept activation is read as it is viewed', async () => {
      for (const backend of [reference, ...backends]) {
        const x = buffer('x', 'f32', ['rows', 5], { kind: 'normal' }).decl;
        const session = await backend.createSession([x], limits);
        const builder = new ProgramBuilder('kept', limits);
        const out = builder.activation('out', ['rows', 5]);
        builder.op('activate', { x: builder.use(x), out }, { kind: 0, threshold: 0 });
        builder.keep(out);
        const loaded = session.load(builder.build());
        await session.write('x', [1, -2, 3, -4, 5, 6, -7]);
        await loaded.run({ rows: 2, outputs: 0 });
        expect([...(await loaded.read(out, 1, 7))]).toEqual([0, 3, 0, 5, 6, 0]);
        expect([...(await elementsOf(loaded, out, 4, 6))]).toEqual([5, 6]);
        await session.dispose();
      }
    });

    it('refuses calls after dispose with a state error', async () => {
      for (const backend of backends) {
        const session = await backend.createSession([buffer('x', 'f32', [4], { kind: 'normal' }).decl], limits);
        await session.dispose();
        await session.dispose();
        await expect((async () => session.read('x'))()).rejects.toMatchObject({ code: 'state' });
        await expect((async () => session.write('x', [1]))()).rejects.toMatchObject({ code: 'state' });
        try {
          session.load(new ProgramBuilder('late', limits).build());
          expect.unreachable();
        } catch (error) {
          expect(RelufyError.is(error) && error.code).toBe('state');
        }
      }
    });
  });
}

const limits = { maxRows: 3, maxOutputs: 2 };

/** Four layers of norm -> linear -> relu -> linear with residual; gives the last activation. */
async function chain(backend: Backend, opByOp: boolean): Promise<number[]> {
  const width = 24;
  const inputs = ['input', 'w1', 'w2'] as const;
  const decls = [
    buffer('input', 'f32', ['rows', width], { kind: 'normal' }).decl,
    buffer('w1', 'f32', [width * 2, width], { kind: 'normal' }).decl,
    buffer('w2', 'f32', [width * 2, width], { kind: 'normal' }, true).decl,
  ];
  const session = await backend.createSession(decls, limits);
  const builder = new ProgramBuilder('chain', limits);
  for (const decl of decls) builder.use(decl);
  let x = 'input';
  for (let layer = 0; layer < 4; layer++) {
    const name = (part: string) => `${part}.${layer}`;
    const normed = builder.activation(name('norm'), ['rows', width]);
    const up = builder.activation(name('up'), ['rows', width * 2]);
    const down = builder.activation(name('down'), ['rows', width * 2]);
    const next = builder.activation(name('hidden'), ['rows', width]);
    builder.op('rmsNorm', { x, out: normed }, { eps: 1e-5 });
    builder.op('linear', { x: normed, w: 'w1', out: up });
    builder.op('activate', { x: up, out: down }, { kind: 0, threshold: 0 });
    builder.op('linear', { x: down, w: 'w2', residual: x, out: next });
    x = next;
  }
  builder.keep(x);
  const loaded = session.load(builder.build());
  for (const [seed, name] of inputs.entries()) {
    const { length } = await session.read(name);
    await session.write(
      name,
      Float32Array.from({ length }, (_, i) => Math.sin(i * 0.7 + seed) * 0.3),
    );
  }
  const step = { rows: 3, outputs: 0 };
  if (opByOp) for (let op = 0; op < loaded.program.ops.length; op++) await loaded.run(step, op, op + 1);
  else await loaded.run(step);
  const result = [...((await loaded.read(x)) as Float32Array)];
  await session.dispose();
  return result;
}

/** Products of random shape: dense in both layouts, and the two sparse kernels. */
const productArbitrary = fc
  .record({
    inWidth: fc.integer({ min: 1, max: 150 }),
    outWidth: fc.integer({ min: 1, max: 150 }),
    rows: fc.integer({ min: 1, max: 7 }),
    extra: fc.integer({ min: 0, max: 3 }),
    density: fc.constantFrom(0, 0.03, 0.2, 0.7, 1),
    dtype: fc.constantFrom(...weightDTypes),
    op: fc.constantFrom('linear' as const, 'gemvRows' as const, 'axpyRows' as const),
    transposed: fc.boolean(),
    biased: fc.boolean(),
    also: fc.constantFrom(undefined, 1, 2, 5),
  })
  .map(({ inWidth, outWidth, rows, extra, density, dtype, op, transposed, biased, also }): OpCase => {
    const columns = op === 'axpyRows' || (op === 'linear' && transposed);
    const x = buffer('x', 'f32', ['rows', inWidth], { kind: 'sparse', density: op === 'axpyRows' ? density : 1 });
    const mask = op === 'axpyRows' ? x : buffer('mask', 'f32', ['rows', outWidth], { kind: 'sparse', density });
    const width = op === 'axpyRows' ? inWidth : outWidth;
    const listed = { mask, ...(also !== undefined && { also }) };
    return {
      name: `${op} ${dtype} [${rows}, ${inWidth}] -> ${outWidth}, density ${density}`,
      op,
      rows,
      maxRows: rows + extra,
      operands: {
        ...quantizable(dtype, columns, inWidth, x),
        w: buffer('w', dtype, columns ? [inWidth, outWidth] : [outWidth, inWidth], { kind: 'normal' }, columns),
        ...(op === 'linear'
          ? {}
          : {
              active: buffer('active', 'i32', ['rows', width], { kind: 'indicesOf', ...listed }),
              activeCount: buffer('activeCount', 'i32', ['rows'], { kind: 'countsOf', ...listed }),
            }),
        ...(biased ? { bias: buffer('bias', 'f32', [outWidth], { kind: 'normal' }) } : {}),
        out: buffer('out', 'f32', ['rows', outWidth], { kind: 'constant', value: sentinel }),
      },
      attributes: {},
      results: ['out'],
    };
  });

type Numbers = Readonly<Record<string, Float32Array | Float64Array | Int32Array | Int8Array | Uint16Array>>;

/** What a sum of so many products of normal numbers is like: where there is one output, it may be small by cancellation. */
const sizeOfSums = ({ operands }: OpCase): number => Math.sqrt((operands.x?.decl.shape[1] ?? 1) as number);

/** `least`: differences are measured against the largest number of the reference, or this. */
export function expectClose(name: string, actual: Numbers, expected: Numbers, tolerance: number, least = 0): void {
  for (const [operand, want] of Object.entries(expected)) {
    const got = actual[operand] as typeof want;
    const exact = !(want instanceof Float32Array || want instanceof Float64Array);
    let largest = least;
    for (const value of want) largest = Math.max(largest, Math.abs(value));
    for (let i = 0; i < want.length; i++) {
      const difference = Math.abs((got[i] as number) - (want[i] as number));
      // written so that NaN fails
      if (!(difference <= (exact ? 0 : tolerance * largest)))
        expect.fail(`${name}: ${operand}[${i}] is ${got[i]}, the reference says ${want[i]} (largest ${largest})`);
    }
  }
}

export function expectSameBits(name: string, actual: CaseResult, expected: CaseResult): void {
  for (const [operand, want] of Object.entries(expected)) {
    const got = actual[operand] as typeof want;
    const [a, b] = [bitsOf(got), bitsOf(want)];
    for (let i = 0; i < b.length; i++)
      if (a[i] !== b[i]) expect.fail(`${name}: ${operand}[${i}] is ${got[i]}, expected the same bits as ${want[i]}`);
  }
}

function bitsOf(values: CaseResult[string]): ArrayLike<number> {
  return values instanceof Float32Array ? new Uint32Array(values.buffer, values.byteOffset, values.length) : values;
}

/** What the reference gives for a case: it is slow, and a file may run several suites. */
const references = new Map<OpCase | string, Promise<CaseResult>>();
function referenceOf(opCase: OpCase, seed: number, key: OpCase | string = opCase): Promise<CaseResult> {
  const known = references.get(key) ?? runCase(createReferenceBackend(), opCase, seed);
  references.set(key, known);
  return known;
}

/** Cases that have one session in common: as many rows at most, and few enough that their buffers stay small. */
function inBatches<Case extends OpCase>(cases: readonly Case[]): Case[][] {
  const batches: Case[][] = [];
  for (const opCase of cases) {
    const open = batches.find((batch) => batch[0]?.maxRows === opCase.maxRows && batch.length < mostInBatch);
    if (open) open.push(opCase);
    else batches.push([opCase]);
  }
  return batches;
}
const mostInBatch = 16;

async function inTurn<In, Out>(items: readonly In[], each: (item: In) => Promise<Out>): Promise<Out[]> {
  const out: Out[] = [];
  for (const item of items) out.push(await each(item));
  return out;
}

/** Every backend takes the formats of the case's weights. */
function takes(backends: readonly Backend[], { op, operands }: OpCase): boolean {
  const block = Object.values(operands).find(({ decl }) => isBlockDType(decl.dtype))?.decl.dtype;
  const dtype = block ?? (op === 'quantize' ? 'int8' : 'f32');
  return backends.every(({ weightDTypes }) => (weightDTypes ?? ['f32', 'bf16']).includes(dtype));
}

function group(cases: readonly OpCase[]): Map<string, OpCase[]> {
  const groups = new Map<string, OpCase[]>();
  for (const opCase of cases) groups.set(opCase.op, [...(groups.get(opCase.op) ?? []), opCase]);
  return groups;
}
