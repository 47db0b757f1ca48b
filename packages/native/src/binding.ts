// The binary: where it is looked for, how it is checked, and the types of its calls (cpp/binding.cpp).
// Owns loading and refusing; a refusal is one line that says what to do. Nothing here throws.
//
// Looked for: the path in RELUFY_NATIVE_BINARY, and nowhere else if that is set; prebuilds/PLATFORM/relufy.node beside
// dist/, which build:native makes; the package of this platform, @relufy/native-PLATFORM. Names: platform.ts.
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { abiName } from './abi.js';
import { platformName } from './platform.js';

declare const brand: unique symbol;
interface Handle<Name> {
  readonly [brand]: Name;
}
export type NativeMemory = Handle<'memory'>;
export type NativeTeam = Handle<'team'>;
export type NativeProgram = Handle<'program'>;

/** What the binary exports. Its calls check nothing: session.ts and backend.ts do. */
export interface Binding {
  readonly abi: string;
  /** Instruction sets that it holds and this processor runs, the fastest first. */
  readonly isas: readonly string[];
  /** Codes of the ops that it has kernels for. */
  readonly ops: readonly number[];
  reserve(bytes: number): NativeMemory | undefined;
  commit(memory: NativeMemory, bytes: number): boolean;
  /** Where the file begins, in bytes; or, negative, the system's error number. */
  map(memory: NativeMemory, path: string): number;
  /** Moves mapped files into large pages, in the background; they are not written from now on. */
  settle(memory: NativeMemory): void;
  /** Whether steps can read rows of files here; prepares this one for it. */
  openForRows(file: number): boolean;
  /** Gives up what the system keeps of a file in its own cache. */
  forgetPages(file: number): void;
  view(memory: NativeMemory, offset: number, bytes: number): ArrayBuffer | undefined;
  detach(view: ArrayBuffer): void;
  close(memory: NativeMemory): void;
  join(threads: number): NativeTeam | undefined;
  leave(team: NativeTeam): void;
  program(
    memory: NativeMemory,
    team: NativeTeam,
    words: Uint32Array,
    isa: string,
    maxRows: number,
    threads: number,
    everyThread: boolean,
  ): NativeProgram;
  run(
    program: NativeProgram,
    from: number,
    to: number,
    rows: number,
    outputs: number,
    measured: boolean,
  ): Promise<Float64Array | undefined>;
}

export type Found =
  | { readonly binding: Binding; readonly path: string; readonly reason: string }
  | { readonly binding?: undefined; readonly path?: string; readonly reason: string };

// in a bundle that is CommonJS, only the second is there
const here = import.meta.url ?? pathToFileURL(__filename).href;
const require = createRequire(here);
const build = 'run `pnpm --filter @relufy/native build:native`';

/** The binary of this platform, or why there is none. */
export function findBinding(): Found {
  const named = process.env.RELUFY_NATIVE_BINARY;
  if (named !== undefined && named !== '') {
    if (!existsSync(named)) return { path: named, reason: `no file ${named}, which RELUFY_NATIVE_BINARY names` };
    return open(named);
  }
  const candidates = [fileURLToPath(new URL(`../prebuilds/${platformName}/relufy.node`, here)), packaged()];
  const path = candidates.find((candidate) => candidate !== undefined && existsSync(candidate));
  return path === undefined
    ? {
        reason: `no binary for ${platformName}; install @relufy/native-${platformName}, or ${build} where a C++ compiler is`,
      }
    : open(path);
}

function packaged(): string | undefined {
  try {
    return require.resolve(`@relufy/native-${platformName}/relufy.node`);
  } catch {
    return undefined;
  }
}

function open(path: string): Found {
  try {
    const damage = damageOf(path);
    if (damage !== undefined) return { path, reason: `${path} cannot be loaded: ${damage}` };
    const binding = require(path) as Partial<Binding> | undefined;
    const expected = abiName();
    if (binding?.abi !== expected) {
      const got = typeof binding?.abi === 'string' ? binding.abi : 'none';
      return {
        path,
        reason: `${path} is of another version: expected interface ${expected}, got ${got}; ${build} again`,
      };
    }
    return { binding: binding as Binding, path, reason: `loaded ${path}` };
  } catch (error) {
    const [line] = (error instanceof Error ? error.message : String(error)).split('\n');
    return { path, reason: `${path} cannot be loaded: ${line}` };
  }
}

/** What is wrong with an ELF file that the system's loader would die of (it maps what a truncated file no longer has). */
function damageOf(path: string): string | undefined {
  const file = openSync(path, 'r');
  try {
    const header = Buffer.alloc(64);
    const { size } = fstatSync(file);
    const isElf = readSync(file, header, 0, 64, 0) === 64 && header.readUInt32BE(0) === 0x7f454c46;
    if (process.platform !== 'linux' || !isElf) return undefined; // the loader says what it is instead
    const sections = Number(header.readBigUInt64LE(40)) + header.readUInt16LE(58) * header.readUInt16LE(60);
    return size < sections ? `it is truncated (expected ${sections} bytes, got ${size})` : undefined;
  } finally {
    closeSync(file);
  }
}
