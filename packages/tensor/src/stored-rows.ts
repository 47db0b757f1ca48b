// Weights whose rows stay in files: what a session needs of such a file, and what it looks at after each step that fetched.
// Does not own which rows lie in memory (fetch-rows.ts), reading them in a step (each backend) nor opening files.
import { type BufferDecl, rowBytes } from './buffer.js';
import { RelufyError, show } from './errors.js';
import { fetchCounter } from './fetch-rows.js';
import type { Program } from './program.js';

/** A file of a browser's private file system, as far as steps need it: a `FileSystemFileHandle`, which workers can be sent. */
export interface SyncFileHandle {
  /** Of dedicated workers alone. */
  createSyncAccessHandle?(options: { readonly mode: 'read-only' }): Promise<SyncFile>;
}

/** One that a thread has opened for itself: a `FileSystemSyncAccessHandle`. */
export interface SyncFile {
  read(into: Uint8Array, options: { readonly at: number }): number;
  close(): void;
}

/** An open file of this machine, read at positions and at once. */
export interface RowFile {
  readonly path: string;
  readonly size: number;
  /** What the system calls the open file, where it has a number for it. */
  readonly descriptor?: number;
  /** In a browser: what each thread that reads opens for itself. */
  readonly handle?: SyncFileHandle;
  /** @throws RelufyError `io` when the file ends before, or cannot be read. */
  read(at: number, into: Uint8Array): void;
  /** @throws RelufyError `io` when the file is another than when it was opened: its size or the time of its last change. */
  check(): void;
  close(): void;
}

/** Where the rows of a buffer lie. */
export interface StoredPlace {
  readonly file: RowFile;
  readonly firstByte: number;
  /** Bytes from the beginning of a row to that of the next. Default: those of a row. */
  readonly stride?: number;
}

/** Bytes of a row of a stored buffer. */
export const storedRowBytes = ({ dtype, shape }: BufferDecl): number => rowBytes(dtype, shape[1] as number);

/** The files behind the stored buffers of one session, which closes them. */
export class StoredRows {
  readonly #places = new Map<string, StoredPlace>();

  get files(): ReadonlySet<RowFile> {
    return new Set([...this.#places.values()].map(({ file }) => file));
  }

  /** @throws RelufyError `checkpoint` when the rows do not lie within the file. */
  attach(decl: BufferDecl, place: StoredPlace): void {
    const { file, firstByte } = place;
    const rows = decl.shape[0] as number;
    const bytes = (rows - 1) * (place.stride ?? storedRowBytes(decl)) + storedRowBytes(decl);
    if (decl.kind !== 'stored') throw new Error(`internal: buffer ${show(decl.name)} lies in memory`);
    this.#places.set(decl.name, place);
    if (!(firstByte >= 0 && firstByte + bytes <= file.size))
      throw new RelufyError(
        'checkpoint',
        `${file.path} buffer ${show(decl.name)}: expected ${bytes} bytes from byte ${firstByte} on, got a file of ${file.size} bytes. The file is truncated; convert the model again.`,
      );
  }

  placeOf(buffer: string): StoredPlace {
    const place = this.#places.get(buffer);
    if (place === undefined) throw new Error(`internal: nobody said where ${show(buffer)} is stored`);
    return place;
  }

  /**
   * After a step: what it read was whole, and of the same file as before. Otherwise no fetched row is taken for right from
   * now on.
   * @throws RelufyError `io`.
   */
  afterStep(program: Program, view: (buffer: string) => ArrayLike<number> & { fill(value: number): unknown }): void {
    const fetch = program.ops.find(({ kind }) => kind === 'fetchRows')?.operands as
      | Readonly<Record<'slots' | 'counters' | 'a', string>>
      | undefined;
    if (fetch === undefined) return;
    try {
      const failure = view(fetch.counters)[fetchCounter.failure] as number;
      if (failure !== 0) throw readFailure(this.placeOf(fetch.a).file.path, failure);
      for (const file of this.files) file.check();
    } catch (error) {
      view(fetch.slots).fill(0);
      view(fetch.counters).fill(0);
      throw error;
    }
  }

  close(): void {
    for (const file of this.files) file.close();
    this.#places.clear();
  }
}

/** `failure` as in the counters. */
function readFailure(path: string, failure: number): RelufyError {
  if (failure === -2)
    return new RelufyError(
      'checkpoint',
      `${path}: expected finite numbers in the rows of weights that a step needs, got NaN or infinity. Convert the model again.`,
    );
  const got =
    failure < 0 ? 'the end of the file: it shrank while the model was in use' : `error ${failure} of the system`;
  return new RelufyError(
    'io',
    `${path}: expected the rows of weights that a step needs, got ${got}. Check the disk, and load the model again.`,
  );
}

/** Refuses what only buffers in memory can do. */
export function checkInMemory({ name, kind }: BufferDecl): void {
  if (kind === 'stored')
    throw new RelufyError(
      'state',
      `buffer ${show(name)}: expected weights in memory, got rows that stay in a file. Load the model without memoryBudget.`,
    );
}
