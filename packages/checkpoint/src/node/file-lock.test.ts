// The lock of a file or folder: one holder, a dead one's taken over at once, a lost one told, and no trace in the process.
import { type ChildProcess, spawn } from 'node:child_process';
import { lutimes, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { folderHolder, lockFile, lockFolder, lockHolder, whileLocked } from './file-lock.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-lock-'));
});
afterAll(() => rm(folder, { recursive: true }));

const unexpected = { staleMs: 10_000, onLost: (error: Error) => expect.unreachable(error.message) };
const longAgo = new Date(Date.now() - 600_000);

/** A process that has taken a lock. */
async function holder(path: string): Promise<ChildProcess> {
  const module = JSON.stringify(new URL('../../dist/node.js', import.meta.url).href);
  const code = `
    import { whileLocked } from ${module};
    await whileLocked(${JSON.stringify(path)}, {}, async () => { console.log('held'); await new Promise((r) => setTimeout(r, 60_000)); });
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

describe('lockFile', () => {
  it('has one holder, until it is released', async () => {
    const path = join(folder, 'one');
    const taken = await Promise.all(Array.from({ length: 8 }, () => lockFile(path, unexpected)));
    const holders = taken.filter((release) => release !== undefined);
    expect(holders).toHaveLength(1);
    expect(await lockFile(path, unexpected)).toBeUndefined();
    expect(await lockHolder(path)).toEqual({ pid: process.pid });
    await holders[0]?.();
    const release = await lockFile(path, unexpected);
    await release?.();
    await expect(stat(path)).rejects.toThrowError(/ENOENT/);
    await release?.();
  });

  it('is that of a living process, however long it says nothing, and of a dead one for no moment', async () => {
    const path = join(folder, 'killed');
    const child = await holder(path);
    await lutimes(path, longAgo, longAgo);
    expect(await lockFile(path, { ...unexpected, staleMs: 1 })).toBeUndefined();
    expect(await lockHolder(path, 1)).toEqual({ pid: child.pid });
    await kill(child);
    expect(await lockHolder(path)).toBeUndefined();
    const taken = await Promise.all(Array.from({ length: 8 }, () => lockFile(path, unexpected)));
    expect(taken.filter((release) => release !== undefined)).toHaveLength(1);
    for (const release of taken) await release?.();
    expect((await readdir(folder)).filter((name) => name.includes('killed'))).toEqual([]);
  });

  it('of a dead process goes to one of many that want it, whenever each of them looked', async () => {
    const path = join(folder, 'wanted');
    const dead = '{"pid": 1, "host": "elsewhere", "id": "1"}';
    for (let round = 0; round < 150; round++) {
      await writeFile(path, dead);
      await lutimes(path, longAgo, longAgo);
      // a lock whose maker died in taking over is in the way as well
      if (round % 3 === 0) {
        await writeFile(`${path}.takeover`, dead);
        await lutimes(`${path}.takeover`, longAgo, longAgo);
      }
      const taken = await Promise.all(
        Array.from({ length: 12 }, async (_, place) => {
          for (let wait = 0; wait < place % 4; wait++) await stat(folder);
          return lockFile(path, unexpected);
        }),
      );
      const holders = taken.filter((release) => release !== undefined);
      expect(holders.length, `holders in round ${round}`).toBe(1);
      await holders[0]?.();
    }
    expect((await readdir(folder)).filter((name) => name.includes('wanted'))).toEqual([]);
  });

  it.skipIf(process.platform !== 'linux')('is not that of another process with the same number', async () => {
    const path = join(folder, 'again');
    const release = await lockFile(path, unexpected);
    const maker = JSON.parse(await readFile(path, 'utf8'));
    await release?.();
    for (const pid of [process.pid, process.ppid]) {
      await writeFile(path, JSON.stringify({ ...maker, pid, started: `${maker.started}0` }));
      const taken = await lockFile(path, unexpected);
      expect(taken).toBeDefined();
      await taken?.();
    }
  });

  it.each<[string, (path: string) => Promise<unknown>]>([
    ['nothing in it yet', (path) => writeFile(path, '')],
    ['something else in it', (path) => writeFile(path, 'PID 3')],
    ['null in it', (path) => writeFile(path, 'null')],
    ['no number of a process', (path) => writeFile(path, '{"pid": -1, "host": "x"}')],
    ['a long text in it', (path) => writeFile(path, 'x'.repeat(5000))],
    ['the name of another machine', (path) => writeFile(path, '{"pid": 1, "host": "elsewhere", "id": "1"}')],
    ['a folder in its place, as earlier versions made', (path) => mkdir(path)],
    ['a link in its place', (path) => symlink('/dev/zero', path)],
  ])('with %s is held while it is renewed', async (name, make) => {
    const path = join(folder, name.replaceAll(' ', '-'));
    await make(path);
    expect(await lockFile(path, unexpected)).toBeUndefined();
    await lutimes(path, longAgo, longAgo);
    const release = await lockFile(path, unexpected);
    expect(release).toBeDefined();
    await release?.();
    await expect(stat(path)).rejects.toThrowError(/ENOENT/);
  });

  it('renews its time', async () => {
    const path = join(folder, 'renewed');
    const release = await lockFile(path, { ...unexpected, staleMs: 60 });
    await utimes(path, longAgo, longAgo);
    await expect.poll(async () => (await stat(path)).mtimeMs).toBeGreaterThan(longAgo.getTime());
    await release?.();
  });

  it.each<[string, (path: string) => Promise<unknown>]>([
    ['gone', (path) => rm(path)],
    ['of somebody else', (path) => writeFile(path, '{"pid": 1, "host": "elsewhere", "id": "1"}')],
  ])('tells when the lock is %s, and leaves what is there', async (name, take) => {
    const path = join(folder, name.replaceAll(' ', '-'));
    let release: (() => Promise<void>) | undefined;
    const lost = new Promise<Error>((resolve) => {
      void lockFile(path, { staleMs: 60, onLost: resolve }).then(async (found) => {
        release = found;
        await take(path);
      });
    });
    expect(await lost).toBeInstanceOf(Error);
    const before = await readFile(path, 'utf8').catch(() => undefined);
    await release?.();
    expect(await readFile(path, 'utf8').catch(() => undefined)).toBe(before);
  });

  it('fails where the file cannot be made', async () => {
    await expect(lockFile(join(folder, 'no', 'such'), unexpected)).rejects.toThrowError(/ENOENT/);
  });
});

describe('whileLocked', () => {
  it('lets one run after the other, and tells who waits', async () => {
    const path = join(folder, 'turns');
    let [inside, most, waits] = [0, 0, 0];
    await Promise.all(
      Array.from({ length: 4 }, () =>
        whileLocked(path, { onWait: () => waits++ }, async () => {
          most = Math.max(most, ++inside);
          await new Promise((resolve) => setTimeout(resolve, 20));
          inside--;
        }),
      ),
    );
    expect([most, waits]).toEqual([1, 3]);
  });

  it('stops waiting with the reason of its signal', async () => {
    const path = join(folder, 'waiting');
    const release = await lockFile(path, unexpected);
    const controller = new AbortController();
    const waiting = whileLocked(
      path,
      { signal: controller.signal, onWait: () => controller.abort('enough') },
      async () => expect.unreachable(),
    );
    await expect(waiting).rejects.toBe('enough');
    await release?.();
  });
});

describe('lockFolder', () => {
  it('refuses a folder in which a process works, this one too, and takes over that of a dead one', async () => {
    const at = join(folder, 'run');
    await mkdir(at);
    const release = await lockFolder(at);
    expect(await folderHolder(at)).toEqual({ pid: process.pid });
    await expect(lockFolder(at)).rejects.toThrow(
      /run: expected no other process to work there, got process this one\. Wait for it, or name another folder\./,
    );
    await release();
    const child = await holder(join(at, 'lock'));
    await expect(lockFolder(at)).rejects.toThrow(`got process ${child.pid}. Wait`);
    await kill(child);
    await (await lockFolder(at))();
    await writeFile(join(at, 'lock'), '{"pid": 3, "host": "elsewhere pid:[1]", "id": "1"}');
    await expect(lockFolder(at)).rejects.toThrow('got process 3 on elsewhere. Wait');
    // as earlier versions wrote it
    await writeFile(join(at, 'lock'), String(process.ppid));
    await expect(lockFolder(at)).rejects.toThrow(`got process ${process.ppid}. Wait`);
    await writeFile(join(at, 'lock'), '999999999');
    await (await lockFolder(at))();
    expect(await readdir(at)).toEqual([]);
  });

  it('says what is wrong with a folder that is not there', async () => {
    await expect(lockFolder(join(folder, 'nowhere'))).rejects.toThrow(/lock: expected to write a lock, got ENOENT/);
  });
});
