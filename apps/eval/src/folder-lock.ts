// One process at a time works in a run's folder. A lock names its process; that of a dead one is taken over.
import { closeSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { RelufyError } from '@relufy/tensor';

const lockFile = 'lock';

/** The process that works in a folder, when there is one. */
export function holderOf(folder: string): number | undefined {
  let pid: number;
  try {
    pid = Number(readFileSync(join(folder, lockFile), 'utf8'));
  } catch {
    return undefined;
  }
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return undefined;
  try {
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    // it lives, and belongs to somebody else
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? pid : undefined;
  }
}

/**
 * Locks a folder that exists; gives what unlocks it.
 * @throws RelufyError `state` while another process works there.
 */
export function lockFolder(folder: string): () => void {
  const path = join(folder, lockFile);
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const file = openSync(path, 'wx');
      writeSync(file, String(process.pid));
      closeSync(file);
      return () => unlinkSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (holderOf(folder) !== undefined) break;
      try {
        unlinkSync(path); // of a process that was killed
      } catch {} // somebody else was faster
    }
  }
  throw new RelufyError(
    'state',
    `${folder}: expected no other process to work there, got process ${holderOf(folder) ?? 'another'}. Wait for it, or name another folder.`,
  );
}
