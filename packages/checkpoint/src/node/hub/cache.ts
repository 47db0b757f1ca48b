// The layout of the Hugging Face cache, as Python's huggingface_hub keeps it:
//   models--USER--NAME/refs/REVISION            the commit that a branch or tag stood for when it was last asked
//   models--USER--NAME/blobs/HASH               the bytes
//   models--USER--NAME/snapshots/COMMIT/FILE    a link to ../../blobs/HASH
// and datasets--USER--NAME likewise.
// Owns: paths, refs and links. Nothing is ever written through a link: in a cache that several people share, anybody may
// have put one there. Does not own: getting the bytes (download.ts).
import { randomUUID } from 'node:crypto';
import { constants, copyFile, lstat, mkdir, readlink, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { RelufyError } from '@relufy/tensor';
import { readSmallText } from '../named-file.js';
import type { RepositoryKind } from './id.js';

export interface HubCache {
  blob(hex: string): string;
  /** Where processes agree on who downloads a blob. */
  lock(hex: string): string;
  snapshot(commit: string): string;
  /** The commit of a revision when it was last asked. */
  commitOf(revision: string): Promise<string | undefined>;
  remember(revision: string, commit: string): Promise<void>;
  /** Makes a folder of the cache. @throws RelufyError where a link stands in its place. */
  makeFolder(path: string): Promise<void>;
  /** Makes a blob appear in a snapshot. */
  link(commit: string, file: string, hex: string): Promise<void>;
}

export const isCommit = (text: string): boolean => /^[0-9a-f]{40}$/.test(text);

export function hubCache(cacheDir: string, repository: string, kind: RepositoryKind = 'model'): HubCache {
  const name = [`${kind}s`, ...repository.split('/')].join('--');
  const root = join(cacheDir, name);
  const blob = (hex: string): string => join(root, 'blobs', hex);
  const snapshot = (commit: string): string => join(root, 'snapshots', commit);
  const makeFolder = async (path: string): Promise<void> => {
    await mkdir(cacheDir, { recursive: true });
    let at = cacheDir;
    for (const part of relative(cacheDir, path).split(sep)) {
      at = join(at, part);
      await mkdir(at).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      });
      if (!(await lstat(at)).isDirectory())
        throw new RelufyError(
          'io',
          `${at}: expected a folder of the cache, got a link or a file. Remove it, or name another cache by HF_HUB_CACHE.`,
        );
    }
  };
  return {
    makeFolder,
    blob,
    // Not Python's HASH.lock: that is a file with a lock of the kernel, this a folder.
    lock: (hex) => join(cacheDir, '.locks', name, `${hex}.relufy`),
    snapshot,
    async commitOf(revision) {
      if (isCommit(revision)) return revision;
      const text = (await readSmallText(join(root, 'refs', revision))).trim();
      return isCommit(text) ? text : undefined;
    },
    async remember(revision, commit) {
      const path = join(root, 'refs', revision);
      if (isCommit(revision) || (await readSmallText(path)) === commit) return;
      await makeFolder(dirname(path));
      await writeThenRename(path, (temporary) => writeFile(temporary, commit, { flag: 'wx' }));
    },
    async link(commit, file, hex) {
      const path = join(snapshot(commit), file);
      const target = relative(dirname(path), blob(hex));
      if ((await readlink(path).catch(() => undefined)) === target) return;
      await makeFolder(dirname(path));
      await writeThenRename(path, (temporary) =>
        // Windows gives links to few; there the snapshot gets a copy.
        symlink(target, temporary).catch(() => copyFile(blob(hex), temporary, constants.COPYFILE_EXCL)),
      );
    },
  };
}

async function writeThenRename(path: string, write: (temporary: string) => Promise<unknown>): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await write(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** The size of a file, or undefined where there is none. */
export async function sizeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.size;
}
