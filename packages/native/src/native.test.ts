// What the contract suite cannot see: sessions side by side, more threads than cores, the event loop, memory given back,
// binaries that are missing or foreign, and a process that ends by itself.
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os, { availableParallelism } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type BufferDecl, type Program, ProgramBuilder, RelufyError } from '@relufy/tensor';
import { afterAll, describe, expect, it } from 'vitest';
import { createNativeBackend, type NativeBackend, nativeAvailability, streamBandwidth } from '../dist/index.js';
import { provideBinary } from '../testing/binary.mjs';
import { coresPerProcessor } from './cores.js';

const reason = await provideBinary();
const binary = process.env.RELUFY_NATIVE_BINARY as string;
const folder = mkdtempSync(path.join(os.tmpdir(), 'relufy-native-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const width = 64;
const limits = { maxRows: 2, maxOutputs: 1 };
const buffers: BufferDecl[] = [
  { name: 'x', kind: 'input', dtype: 'f32', shape: ['rows', width] },
  { name: 'w', kind: 'weight', dtype: 'f32', shape: [width, width] },
];

/** `layers` times x <- w x. */
function chain(layers: number): Program {
  const builder = new ProgramBuilder('chain', limits);
  for (const buffer of buffers) builder.use(buffer);
  let x = 'x';
  for (let layer = 0; layer < layers; layer++) {
    const out = builder.activation(`out${layer}`, ['rows', width]);
    builder.op('linear', { x, w: 'w', out });
    x = out;
  }
  builder.keep(x);
  return builder.build();
}

async function run(backend: NativeBackend, scale: number, layers = 20): Promise<number[]> {
  const session = await backend.createSession(buffers, limits);
  const fill = (name: string, f: (i: number) => number) => {
    const view = session.view(name);
    for (let i = 0; i < view.length; i++) view[i] = f(i);
  };
  fill('x', (i) => Math.sin(i));
  fill('w', (i) => Math.cos(i) * scale);
  const loaded = session.load(chain(layers));
  for (let step = 0; step < 50; step++) await loaded.run({ rows: 2, outputs: 1 });
  const result = [...(loaded.view(`out${layers - 1}`) as Float32Array)];
  await session.dispose();
  return result;
}

describe.skipIf(reason !== undefined)(`native backend${reason ? ` (${reason})` : ''}`, () => {
  it('says what it took', async () => {
    const backend = await createNativeBackend({ threads: 2 });
    expect(backend.description).toBe(`native: ${backend.isa}, 2 threads`);
    expect(nativeAvailability()).toEqual({ available: true, reason: `loaded ${binary}`, path: binary });
    await backend.dispose();
  });

  it('serves sessions side by side, and more threads than there are cores', async () => {
    const [one, many] = [
      await createNativeBackend({ threads: 1 }),
      await createNativeBackend({ threads: 9, everyThread: true }),
    ];
    const alone = await run(one, 0.2);
    const together = await Promise.all([run(many, 0.2), run(one, 0.2), run(many, 0.2), run(one, 0.3)]);
    expect(together.slice(0, 3)).toEqual([alone, alone, alone]);
    expect(together[3]).not.toEqual(alone);
    await one.dispose();
    await many.dispose();
  });

  it('threads beyond the processors are not started', async () => {
    const backend = await createNativeBackend({ threads: 256 });
    expect(backend.threads).toBe(Math.min(256, availableParallelism()));
    await backend.dispose();
  });

  it('beside busy loops two threads give the same bits, and do not wait for each other for long', async () => {
    const loop = 'const end = Date.now() + 20000; while (Date.now() < end);';
    const busy = Array.from({ length: 2 * availableParallelism() }, () => spawn(process.execPath, ['-e', loop]));
    const [one, two] = [await createNativeBackend({ threads: 1 }), await createNativeBackend({ threads: 2 })];
    try {
      const ms = { one: 0, two: 0 };
      const timed = async (name: keyof typeof ms, backend: NativeBackend) => {
        const before = performance.now();
        const result = await run(backend, 0.2, 40);
        ms[name] += performance.now() - before;
        return result;
      };
      for (let round = 0; round < 4; round++) {
        expect(await timed('two', two)).toEqual(await timed('one', one));
        // who took no part in a read has no sum of it: a wrong one throws
        expect(await streamBandwidth(two, 4e6)).toBeGreaterThan(0);
      }
      // waiting for one particular other at each of 2000 ops a round took fifty times as long
      expect(ms.two).toBeLessThan(10 * ms.one);
    } finally {
      for (const child of busy) child.kill();
      await one.dispose();
      await two.dispose();
    }
  }, 60_000);

  it('can be created, used and disposed again and again', async () => {
    for (let round = 0; round < 5; round++) {
      const backend = await createNativeBackend({ threads: 1 + (round % 3) });
      await run(backend, 0.2, 2);
      await backend.dispose();
      await backend.dispose();
      await expect(backend.createSession(buffers, limits)).rejects.toMatchObject({ code: 'state' });
    }
  });

  it('refuses to run after dispose, lets a step end first, and empties the views', async () => {
    const backend = await createNativeBackend({ threads: 2 });
    const session = await backend.createSession(buffers, limits);
    const loaded = session.load(chain(3));
    const view = session.view('x');
    const step = loaded.run({ rows: 1, outputs: 0 });
    const disposed = session.dispose();
    expect(() => session.view('x')).toThrowError(expect.objectContaining({ code: 'state' }));
    await expect(loaded.run({ rows: 1, outputs: 0 })).rejects.toMatchObject({ code: 'state' });
    await step;
    await disposed;
    expect(view.length).toBe(0);
    expect(session.memoryBytes).toBe(0);
    await backend.dispose();
  });

  it('gives the memory back', async () => {
    const backend = await createNativeBackend({ threads: 1 });
    const before = process.memoryUsage.rss();
    const big: BufferDecl[] = [{ name: 'big', kind: 'weight', dtype: 'f32', shape: [1 << 26] }];
    for (let round = 0; round < 4; round++) {
      const session = await backend.createSession(big, limits);
      session.view('big').fill(1);
      await session.dispose();
      await sleep(20);
    }
    expect(process.memoryUsage.rss() - before).toBeLessThan(2 ** 27);
    await backend.dispose();
  });

  it('addresses buffers beyond 4 GiB', async () => {
    const backend = await createNativeBackend({ threads: 2 });
    // never written, so never more than address space
    const sparse: BufferDecl = { name: 'sparse', kind: 'state', dtype: 'f32', shape: [9 * 2 ** 28] };
    if (os.freemem() < 10 * 2 ** 30) return;
    const session = await backend.createSession([sparse, ...buffers], limits);
    session.view('x').fill(1);
    session.view('w').fill(0.5);
    const loaded = session.load(chain(1));
    await loaded.run({ rows: 1, outputs: 0 });
    expect((loaded.view('out0') as Float32Array)[3]).toBe(width / 2);
    expect(session.memoryBytes).toBeGreaterThan(9 * 2 ** 30);
    await session.dispose();
    await backend.dispose();
  });

  it('refuses what does not fit before it allocates', async () => {
    const backend = await createNativeBackend({ threads: 1 });
    const huge: BufferDecl = { name: 'huge', kind: 'weight', dtype: 'f32', shape: [2 ** 20, 2 ** 20] };
    await expect(backend.createSession([huge], limits)).rejects.toThrowError(/needs 4096.00 GiB, expected at most/);
    await backend.dispose();
  });

  it('adopts buffers of a mapped file, and writes to them stay private', async () => {
    const backend = await createNativeBackend({ threads: 2 });
    const file = path.join(folder, 'weights.bin');
    const weights = Float32Array.from({ length: width * width + 32 }, (_, i) => Math.cos(i));
    writeFileSync(file, new Uint8Array(weights.buffer));
    const session = await backend.createSession(buffers, limits);
    const place = 128;
    for (const [first, size] of [
      [60, 'multiple of 64'],
      [256, '16512'],
    ] as const)
      expect(() => session.adopt(file, [['w', first]])).toThrowError(new RegExp(`"w": expected 16384 bytes.*${size}`));
    expect(() => session.adopt(path.join(folder, 'none'), [])).toThrowError(/ENOENT/);
    expect(() => session.adopt(folder, [])).toThrowError(/expected a file that can be mapped/);
    session.adopt(file, [['w', place]]);
    expect(session.mappedBytes).toBe(width * width * 4);
    expect(session.view('w')).toEqual(weights.subarray(place / 4));
    session.view('x').fill(1);
    session.view('w').fill(1, 0, width);
    const loaded = session.load(chain(1));
    await loaded.run({ rows: 1, outputs: 0 });
    const out = loaded.view('out0') as Float32Array;
    const expected = weights.subarray(place / 4 + 2 * width, place / 4 + 3 * width).reduce((a, b) => a + b, 0);
    expect(out[2]).toBeCloseTo(expected, 4);
    expect(out[0]).toBe(width);
    expect(readFileSync(file).equals(Buffer.from(weights.buffer))).toBe(true);
    expect(() => session.adopt(file, [['w', place]])).toThrowError(expect.objectContaining({ code: 'state' }));
    await session.dispose();
    await backend.dispose();
  });

  it.skipIf(process.platform !== 'linux')('moves a mapped file into large pages while steps run', async () => {
    const backend = await createNativeBackend({ threads: 2 });
    const file = path.join(folder, 'large.bin');
    const rows = (24 << 20) / (4 * width);
    writeFileSync(file, new Uint8Array(Float32Array.from({ length: rows * width }, (_, i) => Math.sin(i)).buffer));
    const decls = [
      { name: 'w', kind: 'weight', dtype: 'f32', shape: [rows, width] },
      { name: 'x', kind: 'state', dtype: 'f32', shape: ['rows', width] },
      { name: 'out', kind: 'state', dtype: 'f32', shape: ['rows', rows] },
    ] as const;
    const session = await backend.createSession(decls, limits);
    session.adopt(file, [['w', 0]]);
    session.view('x').fill(0.5);
    const builder = new ProgramBuilder('product', limits);
    for (const decl of decls) builder.use(decl);
    builder.op('linear', { x: 'x', w: 'w', out: 'out' }, {});
    const loaded = session.load(builder.build());
    const product = async () => {
      await loaded.run({ rows: 1, outputs: 0 });
      return (session.view('out') as Float32Array).slice(0, rows);
    };
    const first = await product();
    const stillMapped = () => readFileSync('/proc/self/maps', 'utf8').includes(file);
    const before = performance.now();
    while (stillMapped() && performance.now() - before < 50_000) expect(await product()).toEqual(first);
    expect(stillMapped()).toBe(false);
    writeFileSync(file, '');
    expect(await product()).toEqual(first);
    await session.dispose();
    await backend.dispose();
  });

  it('leaves the event loop alone', async () => {
    const backend = await createNativeBackend({ threads: 2 });
    const wide = 2048;
    const decls: BufferDecl[] = [
      { name: 'x', kind: 'input', dtype: 'f32', shape: ['rows', wide] },
      { name: 'w', kind: 'weight', dtype: 'f32', shape: [wide, wide] },
      { name: 'out', kind: 'state', dtype: 'f32', shape: ['rows', wide] },
    ];
    const session = await backend.createSession(decls, limits);
    const builder = new ProgramBuilder('long', limits);
    for (const decl of decls) builder.use(decl);
    for (let i = 0; i < 100; i++) builder.op('linear', { x: 'x', w: 'w', out: 'out' });
    const loaded = session.load(builder.build());
    let turns = 0;
    const turn = (): void => {
      turns++;
      pending = setImmediate(turn);
    };
    let pending = setImmediate(turn);
    for (let step = 0; step < 20; step++) await loaded.run({ rows: 1, outputs: 0 });
    clearImmediate(pending);
    // a loop that waited for its steps, some 20 ms each, would turn a few times a step; one that is free turns thousands
    // of times, and hundreds where other processes have most of the machine
    expect(turns).toBeGreaterThan(20 * 50);
    await session.dispose();
    await backend.dispose();
  });

  it('checks options, steps and the instruction set', async () => {
    await expect(createNativeBackend({ threads: 0 })).rejects.toMatchObject({ code: 'option' });
    await expect(createNativeBackend({ thread: 1 } as object)).rejects.toThrowError(
      /option "thread": unknown. Expected one of threads, everyThread/,
    );
    process.env.RELUFY_NATIVE_ISA = 'mmx';
    await expect(createNativeBackend()).rejects.toThrowError(/RELUFY_NATIVE_ISA: expected .*scalar.*, got "mmx"/);
    delete process.env.RELUFY_NATIVE_ISA;
    const backend = await createNativeBackend({ threads: 1 });
    const session = await backend.createSession(buffers, limits);
    const loaded = session.load(chain(2));
    await expect(loaded.run({ rows: 3, outputs: 0 })).rejects.toMatchObject({ code: 'input' });
    await expect(loaded.run({ rows: 1, outputs: 0 }, 1, 3)).rejects.toMatchObject({ code: 'input' });
    expect(await loaded.profile({ rows: 1, outputs: 0 })).toHaveLength(2);
    await session.dispose();
    await backend.dispose();
  });

  it('gives one line for a binary that is missing, foreign, truncated or of another version', async () => {
    const other = path.join(folder, 'other.node');
    const expectReason = async (file: string, text: RegExp) => {
      process.env.RELUFY_NATIVE_BINARY = file;
      try {
        const { available, reason: line } = nativeAvailability();
        expect(available).toBe(false);
        expect(line).toMatch(text);
        expect(line).not.toContain('\n');
        const error = await createNativeBackend().catch((thrown) => thrown);
        expect(RelufyError.is(error) && error.code).toBe('backend');
      } finally {
        process.env.RELUFY_NATIVE_BINARY = binary;
      }
    };
    await expectReason(path.join(folder, 'nowhere.node'), /^no file .*nowhere\.node/);
    writeFileSync(other, 'no binary at all');
    await expectReason(other, /cannot be loaded: /);
    const bytes = readFileSync(binary);
    writeFileSync(path.join(folder, 'short.node'), bytes.subarray(0, bytes.length >> 1));
    await expectReason(path.join(folder, 'short.node'), /cannot be loaded: /);
    writeFileSync(path.join(folder, 'foreign.node'), withMachine(bytes));
    await expectReason(path.join(folder, 'foreign.node'), /cannot be loaded: /);
    const abi = abiOf(bytes);
    const old = Buffer.from(bytes);
    for (let at = old.indexOf(abi); at >= 0; at = old.indexOf(abi)) old.write('0-00000000', at);
    writeFileSync(path.join(folder, 'old.node'), old);
    await expectReason(path.join(folder, 'old.node'), /another version: expected interface \d+-.*, got 0-00000000/);
  });

  it('ends the process by itself, in the middle of a step or idle, in a worker too', async () => {
    const dist = new URL('../dist/index.js', import.meta.url).href;
    const program = `
      import { createNativeBackend } from '${dist}';
      import { isMainThread, Worker } from 'node:worker_threads';
      const backend = await createNativeBackend({ threads: 2 });
      const buffers = [{ name: 'w', kind: 'state', dtype: 'f32', shape: [1024, 1024] }, { name: 'x', kind: 'state', dtype: 'f32', shape: ['rows', 1024] }, { name: 'out', kind: 'state', dtype: 'f32', shape: ['rows', 1024] }];
      const limits = { maxRows: 64, maxOutputs: 1 };
      const session = await backend.createSession(buffers, limits);
      const op = { kind: 'linear', operands: { x: 'x', w: 'w', out: 'out' }, attributes: {} };
      const loaded = session.load({ name: 'long', ...limits, buffers: new Map(buffers.map((b) => [b.name, b])), ops: Array(500).fill(op), kept: new Set() });
      await loaded.run({ rows: 1, outputs: 0 });
      if (!isMainThread) { loaded.run({ rows: 64, outputs: 0 }); setTimeout(() => process.exit(), 5); }
      else if (process.argv[2] === 'worker') {
        const worker = new Worker(new URL(import.meta.url));
        worker.on('exit', () => console.log('worker ended'));
      } else if (process.argv[2] === 'exit') { loaded.run({ rows: 64, outputs: 0 }); setTimeout(() => process.exit(), 20); }
      console.log('done');`;
    const file = path.join(folder, 'ends.mjs');
    writeFileSync(file, program);
    const execute = promisify(execFile);
    for (const mode of ['idle', 'exit', 'worker']) {
      const { stdout } = await execute(process.execPath, [file, mode], { timeout: 50_000 });
      expect(stdout).toContain(mode === 'worker' ? 'worker ended' : 'done');
    }
  });

  it('is found beside dist when no variable names it', () => {
    const prebuilt = new URL(`../prebuilds/${process.platform}-${process.arch}/relufy.node`, import.meta.url);
    delete process.env.RELUFY_NATIVE_BINARY;
    const { available, reason: line } = nativeAvailability();
    process.env.RELUFY_NATIVE_BINARY = binary;
    expect(available || /no binary for|another version/.test(line) || line.includes(prebuilt.pathname)).toBe(true);
  });
});

describe('coresPerProcessor', () => {
  it('counts hardware threads of one core once', () => {
    const block = (processor: number, core: number) =>
      `processor\t: ${processor}\nphysical id\t: 0\ncore id\t: ${core}`;
    expect(coresPerProcessor([block(0, 0), block(1, 0), block(2, 1), block(3, 1)].join('\n\n'))).toBe(0.5);
    expect(coresPerProcessor('')).toBe(1);
  });
});

/** The same ELF file for another processor. */
function withMachine(bytes: Buffer): Buffer {
  const foreign = Buffer.from(bytes);
  foreign.writeUInt16LE(0xf3, 18);
  return foreign;
}

/** The interface's name, as the binary holds it. */
function abiOf(bytes: Buffer): string {
  return /\d+-[0-9a-f]{8}(?=\0)/.exec(bytes.toString('latin1'))?.[0] as string;
}
