// Names for what is written beside its place until it is whole, and the removal of what a process left there that was
// killed before it could. A name says which process on which machine writes it, so that nobody else's is touched.
// Does not own: the writing (atomic.ts).
import { randomUUID } from 'node:crypto';
import { lstat, readdir, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** `tmp`: not whole yet. `old`: what stood in the place, until its successor does. */
export type LeftoverKind = 'tmp' | 'old';

const host =
  hostname()
    .replace(/[^A-Za-z0-9]/g, '_')
    .slice(0, 32) || 'host';
/** Of this process: a container may give its number to the next one. */
const inUse = new Set<string>();

/** A path beside `target` that is nobody else's. Call `release` when nothing is there any more. */
export function beside(target: string, kind: LeftoverKind): string {
  const path = join(dirname(target), `.${basename(target)}.${host}-${process.pid}-${randomUUID()}.${kind}`);
  inUse.add(path);
  return path;
}

export function release(...paths: readonly string[]): void {
  for (const path of paths) inUse.delete(path);
}

const pattern = /^\.(.+)\.([A-Za-z0-9_]+)-(\d+)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(tmp|old)$/;

/** Removes from a folder what dead processes of this machine left; what stood in a place and lost it returns there. */
export async function clearLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const [, target, where, pid, kind] = pattern.exec(name) ?? [];
    const path = join(folder, name);
    if (target === undefined || where !== host || inUse.has(path) || isAlive(Number(pid))) continue;
    const place = join(folder, target);
    if (kind === 'old' && !(await exists(place))) await rename(path, place).catch(() => undefined);
    else await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

export function isAlive(pid: number): boolean {
  if (pid === process.pid) return false; // not in use: of a process that had this number before
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );
