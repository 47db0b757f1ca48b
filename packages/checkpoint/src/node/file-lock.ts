// One process at a time: a file that only one can make, which names its maker. A lock of a process that has ended is taken
// over at once where that can be told, on the same machine; its holder also renews the file's time, so that one left on
// another machine is taken over when it is not renewed. No handler for exit or signals: what is left behind is told by its
// name. Does not own what is locked (hub/download.ts; the folders of runs and evaluations).
import { randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { lstat, lutimes, open, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { RelufyError } from '@relufy/tensor';
import { toWriteError } from './atomic.js';
import { isAlive } from './leftovers.js';

export interface FileLockOptions {
  /** Not renewed for so long, a lock whose process cannot be seen is that of a dead one. Default: 60 s. */
  readonly staleMs?: number;
  /** Another process took the lock over, or it cannot be renewed. */
  readonly onLost?: (error: Error) => void;
}

/** Lets go of a lock; a second call does nothing. */
export type Release = () => Promise<void>;

/** What a lock says of its maker. */
interface Maker {
  readonly pid: number;
  /** The machine, and what of it shares process numbers. */
  readonly host: string;
  /** When the process began: a number is given again. undefined where the system does not say. */
  readonly started?: string;
  readonly id: string;
}

const usualStaleMs = 60_000;
/** More is nobody's lock. */
const mostBytes = 1024;
/** Locks that this process holds. */
const own = new Set<string>();

const host = `${hostname()} ${readIfLinux(() => readlinkSync('/proc/self/ns/pid'))}`.trim();

/** Takes the lock; gives what releases it, or undefined while another holds it. */
export async function lockFile(path: string, options: FileLockOptions = {}): Promise<Release | undefined> {
  const { staleMs = usualStaleMs, onLost = () => {} } = options;
  const id = randomUUID();
  own.add(id);
  let taken = false;
  try {
    taken = await take(path, id, staleMs);
  } finally {
    if (!taken) own.delete(id);
  }
  if (!taken) return undefined;
  const isMine = async (): Promise<boolean> => (await readLock(path))?.maker?.id === id;
  let lastRenewed = Date.now();
  let timer: NodeJS.Timeout | undefined;
  const renew = async (): Promise<void> => {
    let lost: Error | undefined;
    try {
      if (await isMine()) await lutimes(path, new Date(), new Date());
      else lost = new Error('the lock of another process');
      lastRenewed = Date.now();
    } catch (error) {
      if (Date.now() - lastRenewed > staleMs) lost = error as Error;
    }
    if (timer === undefined) return;
    if (lost === undefined) schedule();
    else onLost(lost);
  };
  const schedule = (): void => {
    timer = setTimeout(() => void renew(), staleMs / 3);
    timer.unref();
  };
  schedule();
  return async () => {
    clearTimeout(timer);
    timer = undefined;
    if (!own.has(id)) return;
    if (await isMine().catch(() => false)) await rm(path, { force: true });
    own.delete(id);
  };
}

export interface LockHolder {
  readonly pid: number;
  /** undefined: this machine. */
  readonly host?: string;
}

/** The process that holds a lock, when there is one that lives and says who it is. */
export async function lockHolder(path: string, staleMs = usualStaleMs): Promise<LockHolder | undefined> {
  const lock = await readLock(path);
  if (lock?.maker === undefined || isDead(lock, staleMs)) return undefined;
  const { pid, host: where } = lock.maker;
  return { pid, ...(where !== host && { host: where.split(' ')[0] as string }) };
}

export interface LockWaitOptions extends FileLockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once, when another process holds the lock. */
  readonly onWait?: () => void;
}

/** Runs while this process holds the lock; waits for others. The signal that `run` gets aborts when the lock is lost too. */
export async function whileLocked<T>(
  path: string,
  { signal, onWait, ...options }: LockWaitOptions,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const lost = new AbortController();
  const onLost = (error: Error) =>
    lost.abort(new RelufyError('io', `${path}: expected to hold the lock, got ${error.message}. Try again.`));
  let release: Release | undefined;
  for (let waited = false; !release; waited = true) {
    // an abort ends the pause
    if (waited) await pause(100 + Math.random() * 100, undefined, { signal }).catch(() => {});
    signal?.throwIfAborted();
    release = await lockFile(path, { onLost, ...options }).catch(toWriteError(path, 'a lock'));
    if (!release && !waited) onWait?.();
  }
  try {
    return await run(signal ? AbortSignal.any([signal, lost.signal]) : lost.signal);
  } finally {
    await release().catch(() => undefined);
  }
}

const folderLock = (folder: string): string => join(folder, 'lock');

/** The process that works in a folder, when there is one. */
export const folderHolder = (folder: string): Promise<LockHolder | undefined> => lockHolder(folderLock(folder));

/**
 * Locks a folder that exists, for one process and once within it; gives what unlocks it.
 * @throws RelufyError `state` while it is locked, `io` when it cannot be written.
 */
export async function lockFolder(folder: string, options: FileLockOptions = {}): Promise<Release> {
  const path = folderLock(folder);
  const release = await lockFile(path, options).catch(toWriteError(path, 'a lock'));
  if (release) return release;
  const holder = await folderHolder(folder);
  const where = holder?.host === undefined ? '' : ` on ${holder.host}`;
  const who = holder === undefined ? 'another' : holder.pid === process.pid && !where ? 'this one' : `${holder.pid}`;
  throw new RelufyError(
    'state',
    `${folder}: expected no other process to work there, got process ${who}${where}. Wait for it, or name another folder.`,
  );
}

/** Runs while a folder that exists is locked; the signal that `run` gets aborts when the lock is lost too. */
export async function inLockedFolder<T>(
  folder: string,
  signal: AbortSignal | undefined,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const lost = new AbortController();
  const onLost = (error: Error) =>
    lost.abort(
      new RelufyError(
        'state',
        `${folder}: expected to work there alone, got ${error.message}. Nothing more is written; start again when the other has ended.`,
      ),
    );
  const release = await lockFolder(folder, { onLost });
  try {
    return await run(signal ? AbortSignal.any([signal, lost.signal]) : lost.signal);
  } finally {
    await release().catch(() => undefined);
  }
}

/** At most one dead lock is in the way; whoever meets another was slower than somebody. */
const take = async (path: string, id: string, staleMs: number): Promise<boolean> =>
  (await make(path, id)) || ((await removeDead(path, staleMs)) && (await make(path, id)));

async function make(path: string, id: string): Promise<boolean> {
  const started = startOf(process.pid);
  const maker: Maker = { pid: process.pid, host, ...(started !== undefined && { started }), id };
  try {
    const file = await open(path, 'wx');
    await file
      .writeFile(`${JSON.stringify(maker)}\n`)
      .catch(async (error: unknown) => {
        await rm(path, { force: true });
        throw error;
      })
      .finally(() => file.close());
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

interface Lock {
  /** undefined: it does not say, or not yet. */
  readonly maker: Maker | undefined;
  readonly mtimeMs: number;
}

async function readLock(path: string): Promise<Lock | undefined> {
  try {
    const found = await lstat(path);
    const { mtimeMs } = found;
    // a folder: a lock of earlier versions; a link: not ours to follow
    if (!found.isFile() || found.size > mostBytes) return { maker: undefined, mtimeMs };
    const file = await open(path, 'r');
    const text = await file.readFile('utf8').finally(() => file.close());
    return { maker: makerIn(text), mtimeMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function makerIn(text: string): Maker | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  // earlier versions wrote the number alone
  const maker = typeof value === 'number' ? { pid: value, host } : value;
  const { pid, host: where, started, id = '' } = (maker ?? {}) as Maker;
  if (!Number.isSafeInteger(pid) || pid <= 0 || typeof where !== 'string') return undefined;
  return { pid, host: where, ...(typeof started === 'string' && { started }), id };
}

function isDead({ maker, mtimeMs }: Lock, staleMs: number): boolean {
  if (maker === undefined || maker.host !== host) return mtimeMs < Date.now() - staleMs;
  const { pid, started, id } = maker;
  const now = startOf(pid);
  if (started !== undefined && now !== undefined) return started !== now;
  return pid === process.pid ? !own.has(id) : !isAlive(pid);
}

/**
 * Takes a lock of a dead process away; true when none is in the way. Only who holds the lock on doing so may: one that
 * saw the dead lock earlier would remove the lock of whoever came after it. Who dies with that lock leaves a dead one.
 */
async function removeDead(path: string, staleMs: number): Promise<boolean> {
  const found = await readLock(path);
  if (found === undefined) return true;
  if (!isDead(found, staleMs)) return false;
  return (
    (await holding(`${path}.takeover`, staleMs, async () => {
      const lock = await readLock(path);
      if (lock !== undefined && !isDead(lock, staleMs)) return false;
      await rm(path, { recursive: true, force: true });
      return true;
    })) ?? false
  );
}

/** Runs while this process holds a lock for a moment; undefined while another does. */
async function holding<T>(path: string, staleMs: number, run: () => Promise<T>): Promise<T | undefined> {
  const id = randomUUID();
  own.add(id);
  try {
    if (!(await take(path, id, staleMs))) return undefined;
    return await run().finally(() => rm(path, { force: true }));
  } finally {
    own.delete(id);
  }
}

/** When a process began, in words of the system; undefined where it is gone, or nobody says. */
function startOf(pid: number): string | undefined {
  // "PID (NAME) STATE ...": the name may hold anything, the 22nd word of all is the time
  const text = readIfLinux(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  const words = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const time = words[19];
  if (words[0] === 'Z') return 'ended'; // and nobody has asked how
  return time && `${readIfLinux(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim())} ${time}`;
}

function readIfLinux(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}
