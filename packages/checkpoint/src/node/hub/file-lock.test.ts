// The lock around a download: one holder, stale ones taken over, a lost one told, and no trace in the process.
import { mkdir, mkdtemp, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lockFile } from './file-lock.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-lock-'));
});
afterAll(() => rm(folder, { recursive: true }));

const unexpected = { staleMs: 10_000, onLost: (error: Error) => expect.unreachable(error.message) };

describe('lockFile', () => {
  it('has one holder, until it is released', async () => {
    const path = join(folder, 'one');
    const taken = await Promise.all(Array.from({ length: 8 }, () => lockFile(path, unexpected)));
    const holders = taken.filter((release) => release !== undefined);
    expect(holders).toHaveLength(1);
    expect(await lockFile(path, unexpected)).toBeUndefined();
    await holders[0]?.();
    const release = await lockFile(path, unexpected);
    await release?.();
    await expect(stat(path)).rejects.toThrowError(/ENOENT/);
    await release?.();
  });

  it('takes over what a dead process left, and nothing that is renewed', async () => {
    const path = join(folder, 'stale');
    await mkdir(path);
    await utimes(path, new Date(Date.now() - 60_000), new Date(Date.now() - 60_000));
    const release = await lockFile(path, { ...unexpected, staleMs: 200 });
    expect(release).toBeDefined();
    for (let i = 0; i < 6; i++) {
      await new Promise((resolve) => setTimeout(resolve, 80));
      expect(await lockFile(path, { ...unexpected, staleMs: 300 })).toBeUndefined();
    }
    await release?.();
  });

  it('tells when the lock is gone or of somebody else', async () => {
    for (const [name, take] of [
      ['gone', (path: string) => rm(path, { recursive: true })],
      ['other', (path: string) => utimes(path, new Date(), new Date(Date.now() + 5000))],
    ] as const) {
      const path = join(folder, name);
      const lost = await new Promise<Error>((resolve) => {
        void lockFile(path, { staleMs: 60, onLost: resolve }).then(() => take(path));
      });
      expect(lost).toBeInstanceOf(Error);
    }
  });

  it('fails where the folder cannot be made', async () => {
    await expect(lockFile(join(folder, 'no', 'such'), unexpected)).rejects.toThrowError(/ENOENT/);
  });
});
