// Files from a server into this browser's storage: resumed where an earlier download stopped, also one of another day,
// verified as they come, several at once, and in memory where there is no room. Runs in a worker.
// Does not own which files (open-choice.ts) nor where they are kept (model-store.ts).
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { chunksOf } from '@relufy/checkpoint';
import type { LoadProgress } from '../engine/engine.js';
import { fileName, incomplete, type WantedFile, wholeFile } from './model-store.js';

/** OPFS in a worker: not in TypeScript's DOM, which is a page's. */
interface AccessHandle {
  getSize(): number;
  truncate(size: number): void;
  read(into: Uint8Array, options: { at: number }): number;
  write(from: Uint8Array, options: { at: number }): number;
  flush(): void;
  close(): void;
}
type WorkerFileHandle = FileSystemFileHandle & {
  createSyncAccessHandle(): Promise<AccessHandle>;
  move(name: string): Promise<void>;
};

/** Where the bytes of one file go, one after the other. */
interface Sink {
  readonly size: number;
  /** From the first byte on, for the hash. */
  replay(hear: (chunk: Uint8Array) => void): Promise<void>;
  append(chunk: Uint8Array): void;
  clear(): void;
  /** The file, whole. */
  finish(): Promise<Blob>;
  /** Leaves what is there for the next time. */
  close(): void;
}

export interface Download {
  /** undefined: in memory. */
  readonly folder: FileSystemDirectoryHandle | undefined;
  readonly hear: (progress: LoadProgress) => void;
  readonly signal: AbortSignal;
}

export interface Downloaded {
  readonly files: Readonly<Record<string, Blob>>;
  /** Some are in memory alone. */
  readonly inMemory: boolean;
}

const atOnce = 3;
const checkpointBytes = 4 << 20;
const attempts = 5;

/** @throws Error that names the file, after several attempts. What had arrived stays for the next time. */
export async function download(wanted: readonly WantedFile[], { folder, hear, signal }: Download): Promise<Downloaded> {
  const files: Record<string, Blob> = {};
  const arrived = new Map<string, number>();
  const total = wanted.reduce((sum, { size }) => sum + size, 0);
  let inMemory = folder === undefined;
  let heard = 0;
  const tell = (stage: LoadProgress['stage'], always = false): void => {
    if (!always && performance.now() - heard < 50) return;
    heard = performance.now();
    hear({ stage, loaded: [...arrived.values()].reduce((sum, size) => sum + size, 0), total });
  };
  const stop = new AbortController();
  const all = AbortSignal.any([signal, stop.signal]);
  const waiting = [...wanted];
  const work = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const own = file;
      const has = (stage: LoadProgress['stage'], bytes: number) => {
        arrived.set(own.name, bytes);
        tell(stage);
      };
      const kept = folder && (await wholeFile(folder, own));
      const result = kept ? { blob: kept, inMemory: false } : await downloadOne(own, folder, has, all);
      files[own.name] = result.blob;
      inMemory ||= result.inMemory;
      has('downloading', own.size);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(atOnce, waiting.length) }, work));
  } catch (error) {
    stop.abort(error);
    throw error;
  }
  tell('downloading', true);
  return { files, inMemory };
}

type Has = (stage: LoadProgress['stage'], bytes: number) => void;

async function downloadOne(
  file: WantedFile,
  folder: FileSystemDirectoryHandle | undefined,
  has: Has,
  signal: AbortSignal,
): Promise<{ blob: Blob; inMemory: boolean }> {
  let sink = folder ? await openKept(folder, file.name).catch(() => new MemorySink()) : new MemorySink();
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        await fill(sink, file, has, signal);
        return { blob: await sink.finish(), inMemory: sink instanceof MemorySink };
      } catch (error) {
        signal.throwIfAborted();
        if (isQuota(error) && !(sink instanceof MemorySink)) {
          const memory = new MemorySink();
          await sink.replay((chunk) => memory.append(chunk));
          sink.clear();
          sink.close();
          sink = memory;
          continue;
        }
        if (attempt >= (error instanceof Damaged ? 2 : attempts) || error instanceof Refused) throw error;
        await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** attempt));
      }
    }
  } finally {
    sink.close();
  }
}

const isQuota = (error: unknown): boolean => error instanceof DOMException && error.name === 'QuotaExceededError';

/** Asking again will not help. */
class Refused extends Error {}

/** Asking once more may help. */
class Damaged extends Error {}

/** Brings a sink up to the whole file, and verifies it. */
async function fill(sink: Sink, file: WantedFile, has: Has, signal: AbortSignal): Promise<void> {
  if (sink.size > file.size) sink.clear();
  let hash = hashOf(file);
  let replayed = 0;
  await sink.replay((chunk) => {
    hash.update(chunk);
    replayed += chunk.byteLength;
    has('verifying', replayed);
  });
  if (sink.size < file.size) {
    const from = sink.size;
    const response = await fetch(file.url, { signal, ...(from > 0 && { headers: { range: `bytes=${from}-` } }) });
    if (response.status === 401 || response.status === 403)
      throw new Refused(
        `${file.name}: the server answers ${response.status}: the model may be gated. Get it by hand, and open its folder here.`,
      );
    if (response.status === 404) throw new Refused(`${file.name}: the server has no such file any more (404).`);
    if (!response.ok || response.body === null) throw new Error(`${file.name}: the server answers ${response.status}.`);
    const resumes = response.status === 206 && response.headers.get('content-range')?.startsWith(`bytes ${from}-`);
    if (from > 0 && !resumes) {
      sink.clear();
      hash = hashOf(file);
    }
    for await (const chunk of chunksOf(response.body)) {
      if (sink.size + chunk.byteLength > file.size)
        throw new Refused(`${file.name}: expected ${file.size} bytes, got more.`);
      sink.append(chunk);
      hash.update(chunk);
      has('downloading', sink.size);
    }
    if (sink.size < file.size)
      throw new Error(`${file.name}: the connection ended at ${sink.size} of ${file.size} bytes.`);
  }
  const got = bytesToHex(hash.digest());
  const wanted = file.sha256 ?? file.gitSha1;
  if (wanted !== undefined && got !== wanted) {
    sink.clear();
    throw new Damaged(
      `${file.name}: expected the ${file.sha256 === undefined ? 'Git hash' : 'SHA-256'} ${wanted}, got ${got}: the file was damaged on its way. Try again.`,
    );
  }
}

/** Git hashes a file behind its length. */
const hashOf = ({ sha256: wanted, gitSha1, size }: WantedFile) =>
  wanted !== undefined || gitSha1 === undefined
    ? sha256.create()
    : sha1.create().update(new TextEncoder().encode(`blob ${size}\0`));

async function openKept(folder: FileSystemDirectoryHandle, name: string): Promise<Sink> {
  const handle = (await folder.getFileHandle(fileName(name) + incomplete, { create: true })) as WorkerFileHandle;
  return new KeptSink(handle, await handle.createSyncAccessHandle(), fileName(name));
}

class KeptSink implements Sink {
  readonly #handle: WorkerFileHandle;
  readonly #access: AccessHandle;
  readonly #name: string;
  #flushed: number;
  #open = true;
  size: number;

  constructor(handle: WorkerFileHandle, access: AccessHandle, name: string) {
    this.#handle = handle;
    this.#access = access;
    this.#name = name;
    this.size = access.getSize();
    this.#flushed = this.size;
  }

  async replay(hear: (chunk: Uint8Array) => void): Promise<void> {
    const chunk = new Uint8Array(checkpointBytes);
    for (let at = 0; at < this.size; ) {
      const got = this.#access.read(chunk.subarray(0, Math.min(chunk.byteLength, this.size - at)), { at });
      if (got === 0) throw new Error('internal: a file in storage ended early');
      hear(chunk.slice(0, got));
      at += got;
    }
  }

  append(chunk: Uint8Array): void {
    const written = this.#access.write(chunk, { at: this.size });
    this.size += written;
    if (written < chunk.byteLength) throw new DOMException('The storage is full.', 'QuotaExceededError');
    if (this.size - this.#flushed < checkpointBytes) return;
    this.#access.flush();
    this.#flushed = this.size;
  }

  clear(): void {
    this.#access.truncate(0);
    this.#flushed = 0;
    this.size = 0;
  }

  async finish(): Promise<Blob> {
    this.close();
    await this.#handle.move(this.#name);
    return this.#handle.getFile();
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#access.flush();
    this.#access.close();
  }
}

class MemorySink implements Sink {
  readonly #chunks: Uint8Array[] = [];
  size = 0;

  async replay(hear: (chunk: Uint8Array) => void): Promise<void> {
    for (const chunk of this.#chunks) hear(chunk);
  }

  append(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.size += chunk.byteLength;
  }

  clear(): void {
    this.#chunks.length = 0;
    this.size = 0;
  }

  async finish(): Promise<Blob> {
    return new Blob(this.#chunks as Uint8Array<ArrayBuffer>[]);
  }

  close(): void {}
}
