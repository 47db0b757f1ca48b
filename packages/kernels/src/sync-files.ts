// Files of a browser's private file system (OPFS), as one thread reads them in its steps: each thread opens them for itself,
// since an access handle does not travel. Does not own which rows are read (fetch-rows.ts).
import type { SyncFile, SyncFileHandle } from '@relufy/tensor';
import type { ReadFile } from './fetch-rows.js';

export class SyncFiles {
  readonly #files = new Map<number, SyncFile>();

  /** For `fetchImports`. */
  readonly read: ReadFile = (file, into, at, bytes, from) =>
    (this.#files.get(file) as SyncFile).read(into.subarray(at, at + bytes), { at: from });

  /** Nothing where it is open. Rejects where this thread cannot open it, or another one has it for itself. */
  async open(file: number, handle: SyncFileHandle): Promise<void> {
    if (this.#files.has(file)) return;
    if (handle.createSyncAccessHandle === undefined)
      throw new Error('a thread that is no dedicated worker, which alone reads files at once');
    this.#files.set(file, await handle.createSyncAccessHandle({ mode: 'read-only' }));
  }

  close(file: number): void {
    this.#files.get(file)?.close();
    this.#files.delete(file);
  }
}
