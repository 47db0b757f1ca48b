// One process at a time, by a folder that only one can make; its holder renews its time, so that one left by a dead
// process is taken over. The way of the package proper-lockfile, whose locks it keeps out and is kept out by, without the
// handlers for exit and signals that the package puts into every process that imports it.
import { mkdir, rmdir, stat, utimes } from 'node:fs/promises';

export interface FileLockOptions {
  /** Not renewed for so long, a lock is that of a dead process. */
  readonly staleMs: number;
  /** Another process took the lock over, or it cannot be renewed. */
  readonly onLost: (error: Error) => void;
}

/** Takes the lock; gives what releases it, or undefined while another process holds it. */
export async function lockFile(path: string, options: FileLockOptions): Promise<(() => Promise<void>) | undefined> {
  const { staleMs, onLost } = options;
  if (!(await make(path))) {
    const held = await stat(path).catch(() => undefined);
    if (held !== undefined && held.mtimeMs > Date.now() - staleMs) return undefined;
    await rmdir(path).catch(ignoreMissing);
    if (!(await make(path))) return undefined; // somebody else was faster
  }
  let known = (await stat(path)).mtimeMs;
  let lastRenewed = Date.now();
  let timer: NodeJS.Timeout | undefined;
  const renew = async (): Promise<void> => {
    try {
      if ((await stat(path)).mtimeMs !== known) throw new Error('the time of another process');
      const now = new Date();
      await utimes(path, now, now);
      known = (await stat(path)).mtimeMs;
      lastRenewed = Date.now();
    } catch (error) {
      const gone = (error as NodeJS.ErrnoException).code === 'ENOENT' || !('code' in (error as Error));
      if (gone || Date.now() - lastRenewed > staleMs) {
        if (timer !== undefined) onLost(error as Error);
        return;
      }
    }
    if (timer !== undefined) schedule();
  };
  const schedule = (): void => {
    timer = setTimeout(() => void renew(), staleMs / 2);
    timer.unref();
  };
  schedule();
  return async () => {
    clearTimeout(timer);
    timer = undefined;
    const held = await stat(path).catch(() => undefined);
    if (held?.mtimeMs === known) await rmdir(path).catch(ignoreMissing);
  };
}

async function make(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
