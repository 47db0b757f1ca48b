// Kernels keep to the scratch that they ask for: what lies after it is filled with a pattern, for every op of every contract
// case, and is the pattern still when the op has run. Threads run one after the other, over plain memory.
import { readFile } from 'node:fs/promises';
import { type Backend, recordWords } from '@relufy/tensor';
import {
  backendGradients,
  buffer,
  gradientCases,
  type OpCase,
  opCases,
  runCase,
  wideProducts,
  wideShapes,
} from '@relufy/tensor/contract';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from './engine.js';
import type { KnownFile } from './fetch-rows.js';
import { type Modules, modulesFor } from './modules.js';
import { nodePlatform } from './node-platform.js';
import { instantiate, type RunKernel, type StepCall } from './protocol.js';
import { MemorySession } from './session.js';
import { type KernelSizes, sizesOf } from './sizes.js';

const pattern = 0xa5;

const modules: Modules = modulesFor(
  {
    ...nodePlatform,
    compile: async (build) => WebAssembly.compile(await readFile(new URL(`../dist/${build}.wasm`, import.meta.url))),
  },
  'single',
  false,
);

interface Need {
  readonly scratch: number;
  readonly shared: number;
}

interface Opened {
  readonly memory: WebAssembly.Memory;
  readonly run: RunKernel;
}

/** Runs so many threads' shares one after the other, and looks at what lies behind each one's scratch. */
class GuardedEngine implements Engine {
  readonly #threads: number;
  readonly #needs: readonly Need[];
  readonly #guardBytes: number;
  readonly #opened: Opened[] = [];

  constructor(threads: number, needs: readonly Need[], guardBytes: number) {
    this.#threads = threads;
    this.#needs = needs;
    this.#guardBytes = guardBytes;
  }

  async open(memory: WebAssembly.Memory, kernels: 'inference' | 'training'): Promise<number> {
    return this.#opened.push({ memory, run: instantiate(await modules(kernels), memory, undefined) }) - 1;
  }

  async openFile(): Promise<KnownFile> {
    throw new Error('no files here');
  }

  async closeFile(): Promise<void> {}

  async run(call: StepCall): Promise<void> {
    const { memory, run } = this.#opened[call.session] as Opened;
    for (let op = call.from; op < call.to; op++) {
      const guards = this.#guards(call, this.#needs[op] as Need);
      const bytes = new Uint8Array(memory.buffer);
      for (const { from, to } of guards) bytes.fill(pattern, from, to);
      for (let thread = 0; thread < this.#threads; thread++) {
        const scratch = call.scratch + thread * call.scratchStride;
        const { program, rows, outputs, shared, barrier } = call;
        run(program, op, op + 1, rows, outputs, thread, this.#threads, scratch, shared, barrier);
      }
      const code = new Uint32Array(memory.buffer)[call.program / 4 + op * recordWords];
      for (const { what, from, to } of guards) {
        const at = bytes.subarray(from, to).findIndex((byte) => byte !== pattern);
        if (at >= 0) throw new Error(`op code ${code} wrote ${at} bytes behind its ${what}`);
      }
    }
  }

  #guards(call: StepCall, need: Need): { what: string; from: number; to: number }[] {
    const { scratch, scratchStride: stride, shared } = call;
    return [
      ...Array.from({ length: this.#threads }, (_, thread) => ({
        what: `scratch of ${need.scratch} bytes`,
        from: scratch + thread * stride + need.scratch,
        to: scratch + (thread + 1) * stride,
      })),
      {
        what: `shared ${need.shared} bytes`,
        from: shared + need.shared,
        to: shared + need.shared + this.#guardBytes,
      },
    ];
  }

  profile = async (): Promise<Float64Array> => new Float64Array();
  close = async (): Promise<void> => {};
  dispose(): void {}
}

let sizes: KernelSizes;
beforeAll(async () => {
  sizes = sizesOf(await modules('inference'), false);
});

/** A backend whose kernels get this share of what they ask for, and a guard after it. */
function guarded(threads: number, share = 1, guardBytes = 16384): Backend {
  const weightDTypes = ['f32', 'bf16', 'int8', 'int4'] as const;
  return {
    name: 'guarded',
    description: 'guarded',
    threads,
    weightDTypes,
    createSession: (buffers, limits) => {
      const needs: Need[] = [];
      const asked: KernelSizes = {
        scratchBytes: (...about) => {
          const scratch = sizes.scratchBytes(...about) * share;
          needs.push({ scratch, shared: sizes.sharedBytes(about[0]) });
          return scratch + guardBytes;
        },
        sharedBytes: (record) => sizes.sharedBytes(record) + guardBytes,
      };
      return MemorySession.create(
        new GuardedEngine(threads, needs, guardBytes),
        asked,
        threads,
        false,
        buffers,
        limits,
      );
    },
    dispose: async () => {},
  };
}

/** Some of the many cases of a product, all of what has few. */
const some = opCases.filter(({ op }, index) => index % 11 === 0 || !/^(linear|gemvRows|axpyRows)$/.test(op));

const matrix = (name: string, width: number, density = 1) =>
  buffer(name, 'f32', ['rows', width], { kind: 'sparse', density });

/** Wide and long ones: what scratch grows with. */
function* large(): Generator<OpCase> {
  for (const dtype of ['f32', 'bf16', 'int8', 'int4'] as const)
    for (const transposed of [false, true])
      for (const shape of [
        ...wideShapes.filter(({ rows }) => [12, 70, 131].includes(rows)),
        { inWidth: 40, outWidth: 2500, rows: 1, density: 0.2 },
        { inWidth: 40, outWidth: 2500, rows: 7, density: 0.2 },
        { inWidth: 40, outWidth: 2500, rows: 9, density: 0.6 },
        { inWidth: 2500, outWidth: 40, rows: 9, density: 0.3 },
      ])
        yield* wideProducts(dtype, transposed, shape);
  for (const rows of [3, 200])
    for (const [inWidth, outWidth] of [
      [40, 700],
      [700, 40],
      [300, 300],
    ] as const)
      for (const transposed of [false, true])
        for (const density of rows === 3 ? [1] : [0.2, 1]) {
          const shape = transposed ? [inWidth, outWidth] : [outWidth, inWidth];
          const w = buffer('w', 'f32', shape, { kind: 'normal' }, transposed);
          const base = { rows, maxRows: rows, attributes: {} };
          const dy = matrix('dy', outWidth, density);
          yield {
            ...base,
            name: `linearBackward [${rows}, ${outWidth}] -> ${inWidth}`,
            op: 'linearBackward',
            operands: { dy, w, out: matrix('out', inWidth) },
            results: ['out'],
          };
          yield {
            ...base,
            name: `linearGradient [${rows}, ${inWidth}] -> ${outWidth}`,
            op: 'linearGradient',
            operands: { x: matrix('x', inWidth, density), dy, w },
            results: ['w'],
          };
        }
}

describe.each([1, 3])('at %i threads', (threads) => {
  it('every op keeps to the scratch that it asks for', async () => {
    for (const opCase of [...some, ...large()])
      await runCase(guarded(threads), opCase, 1).catch((cause) => {
        throw new Error(`${opCase.name}: ${cause.message}`, { cause });
      });
  }, 120_000);

  it('so do those of programs that train', async () => {
    for (const gradientCase of gradientCases)
      await backendGradients(guarded(threads), gradientCase).catch((cause) => {
        throw new Error(`${gradientCase.name}: ${cause.message}`, { cause });
      });
  });
});

it.each(['linear f32 transposed', 'linear int4 [', 'gemvRows int8', 'axpyRows int8', 'keepTop 750', 'attention'])(
  'an overrun of %s would be seen',
  async (name) => {
    const found = [...opCases].filter((opCase) => opCase.name.startsWith(name)).at(-1) as OpCase;
    await expect(runCase(guarded(1, 0, 2 ** 20), found, 1)).rejects.toThrow(
      /wrote \d+ bytes behind its scratch of 0 bytes/,
    );
  },
);
