// What is said when a file of a run cannot be written. Serves everything here that writes (run-folder.ts, output.ts,
// teacher-answers.ts). Does not own writing.
import { RelufyError } from '@relufy/tensor';

/** For `catch`: an error of the file system becomes one that names the file and what to do. */
export const toWriteError =
  (path: string, what = 'it') =>
  (cause: NodeJS.ErrnoException): never => {
    const remedy =
      cause.code === 'ENOSPC' ? 'The disk is full; free some space.' : 'Check that the folder can be written.';
    throw new RelufyError('io', `${path}: expected to write ${what}, got ${cause.code ?? cause.message}. ${remedy}`, {
      cause,
    });
  };
