// A file of this machine whose rows are read in steps, at positions and at once. Every read and every check goes to the
// file as it was opened: who replaces it by renaming another does no harm, who writes into it is found out.
// Does not own which rows are read (@relufy/tensor) nor when.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { RelufyError, type RowFile } from '@relufy/tensor';

/** @throws RelufyError `io` when it cannot be opened. */
export function openRowFile(path: string): RowFile {
  const descriptor = attempt(path, 'a readable file', () => openSync(path, 'r'));
  const stat = () => attempt(path, 'a readable file', () => fstatSync(descriptor, { bigint: true }));
  const opened = stat();
  const size = Number(opened.size);
  return {
    path,
    size,
    descriptor,
    read(at, into) {
      for (let done = 0; done < into.length; ) {
        const count = attempt(path, 'readable bytes', () =>
          readSync(descriptor, into, done, into.length - done, at + done),
        );
        if (count === 0)
          throw new RelufyError(
            'io',
            `${path}: expected ${into.length} bytes at ${at}, got ${done}: the file shrank while the model was in use. Load it again.`,
          );
        done += count;
      }
    },
    check() {
      const now = stat();
      if (now.size !== opened.size || now.mtimeNs !== opened.mtimeNs)
        throw new RelufyError(
          'io',
          `${path}: expected the file as it was opened, got ${
            now.size === opened.size ? 'another time of change' : `${now.size} bytes where there were ${opened.size}`
          }: it was written to while the model was in use. Load the model again.`,
        );
    },
    close: () => closeSync(descriptor),
  };
}

function attempt<T>(path: string, expected: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new RelufyError('io', `${path}: expected ${expected}, got ${code ?? cause}. Check the disk.`, { cause });
  }
}
