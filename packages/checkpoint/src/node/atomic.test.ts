// A folder comes whole or not at all.
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeAtomically, writeFolder } from './atomic.js';
import { beside, release } from './leftovers.js';

let parent: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'relufy-atomic-'));
});
afterEach(() => rm(parent, { recursive: true, force: true }));

const put = (text: string) => (staging: string) => writeFile(join(staging, 'file'), text);
const found = async () => ({
  names: await readdir(parent),
  text: await readFile(join(parent, 'out/file'), 'utf8').catch(() => undefined),
});

describe('writeFolder', () => {
  it('writes where nothing or an empty folder is', async () => {
    await writeFolder(join(parent, 'out'), put('one'));
    expect(await found()).toEqual({ names: ['out'], text: 'one' });
    await rm(join(parent, 'out'), { recursive: true });
    await mkdir(join(parent, 'out'));
    await writeFolder(join(parent, 'out'), put('two'));
    expect(await found()).toEqual({ names: ['out'], text: 'two' });
  });

  it('refuses a folder that holds files, before anything is written', async () => {
    await writeFolder(join(parent, 'out'), put('old'));
    let asked = false;
    const again = writeFolder(join(parent, 'out'), async () => {
      asked = true;
    });
    await expect(again).rejects.toThrow(/out: expected no folder, or an empty one, got 1 files\. Choose another/);
    expect(asked).toBe(false);
    expect(await found()).toEqual({ names: ['out'], text: 'old' });
  });

  it('keeps what is there until its successor is whole', async () => {
    await writeFolder(join(parent, 'out'), put('old'));
    const failing = async (staging: string) => {
      await put('half')(staging);
      throw new Error('cut off');
    };
    await expect(writeFolder(join(parent, 'out'), failing, { replace: true })).rejects.toThrow('cut off');
    expect(await found()).toEqual({ names: ['out'], text: 'old' });
    await writeFolder(join(parent, 'out'), put('new'), { replace: true });
    expect(await found()).toEqual({ names: ['out'], text: 'new' });
  });

  it('says what the file system said, in one line', async () => {
    await writeFile(join(parent, 'plain'), '');
    const inside = writeFolder(join(parent, 'plain/out'), put('one'), { what: 'the model' });
    await expect(inside).rejects.toThrow(/plain\/out: expected .*, got ENOTDIR\./);
    const missing = (staging: string) => writeFile(join(staging, 'no/file'), '');
    await expect(writeFolder(join(parent, 'out'), missing, { what: 'the model' })).rejects.toThrow(
      /out: expected to write the model, got ENOENT\. Check that the folder can be written\./,
    );
    expect((await found()).names).toEqual(['plain']);
  });
});

describe('writeAtomically', () => {
  it('takes a text, bytes or pieces', async () => {
    const path = join(parent, 'file');
    const pieces = async function* () {
      yield Buffer.from('on');
      yield Buffer.from('e');
    };
    for (const content of ['one', Buffer.from('one'), pieces()]) {
      await rm(path, { force: true });
      await writeAtomically(path, content);
      expect(await readdir(parent)).toEqual(['file']);
      expect(await readFile(path, 'utf8')).toBe('one');
    }
  });

  it('leaves the file as it was when the pieces end in an error', async () => {
    const path = join(parent, 'file');
    await writeAtomically(path, 'old');
    const failing = async function* () {
      yield Buffer.from('half');
      throw new Error('cut off');
    };
    await expect(writeAtomically(path, failing())).rejects.toThrow('cut off');
    expect(await readdir(parent)).toEqual(['file']);
    expect(await readFile(path, 'utf8')).toBe('old');
  });

  it('within a folder that comes whole names the place where it would have stood', async () => {
    const write = (staging: string) => writeAtomically(join(staging, 'no/file'), 'x');
    await expect(writeFolder(join(parent, 'out'), write)).rejects.toThrow(
      /relufy-atomic-[^/]*\/out\/no\/file: expected to write it, got ENOENT/,
    );
  });
});

describe('what a killed process left', () => {
  /** The number of a process that was killed. */
  async function deadProcess(): Promise<number> {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    const gone = new Promise((resolve) => child.on('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    return child.pid as number;
  }

  /** Leaves a folder, or a file, under a name that another process would have given it. */
  async function leave(of: string, kind: 'tmp' | 'old', pid: number | string, host?: string): Promise<string> {
    const own = beside(join(parent, of), kind);
    release(own);
    const path = own.replace(`-${process.pid}-`, `-${pid}-`).replace(
      hostname()
        .replace(/[^A-Za-z0-9]/g, '_')
        .slice(0, 32),
      (name) => host ?? name,
    );
    await mkdir(path);
    await writeFile(join(path, 'file'), 'left');
    return path.slice(parent.length + 1);
  }

  it('is removed by the next write there, of a folder or of a file', async () => {
    const dead = await deadProcess();
    for (const write of [
      () => writeFolder(join(parent, 'out'), put('new')),
      () => writeAtomically(join(parent, 'file'), (async function* () {})()),
    ]) {
      await leave('out', 'tmp', dead);
      await leave('other.gguf', 'tmp', dead);
      await leave('mine', 'tmp', process.pid); // this process has the number of the one before it, as in a container
      await write();
    }
    expect((await found()).names).toEqual(['file', 'out']);
  });

  it('is left alone where its process may live', async () => {
    const names = [
      await leave('out', 'tmp', process.ppid),
      await leave('out', 'tmp', await deadProcess(), 'elsewhere'),
    ];
    await writeFile(join(parent, '.out.tmp'), '');
    let during: string[] = [];
    await writeFolder(join(parent, 'out'), async (staging) => {
      await put('one')(staging);
      await writeFolder(join(parent, 'second'), put('two'));
      during = await readdir(parent);
    });
    expect(during.length).toBe(5); // among them the first one's own staging
    expect((await found()).names.sort()).toEqual([...names, '.out.tmp', 'out', 'second'].sort());
  });

  it('returns to its place when the successor did not come', async () => {
    const dead = await deadProcess();
    await leave('out', 'old', dead);
    await writeFolder(join(parent, 'second'), put('two'));
    expect(await found()).toEqual({ names: ['out', 'second'], text: 'left' });
    const old = await leave('second', 'old', dead);
    await writeFolder(join(parent, 'third'), put('three'));
    expect((await found()).names).not.toContain(old);
    expect(await readFile(join(parent, 'second/file'), 'utf8')).toBe('two');
  });

  it('is removed after kill -9 in the middle of a write', async () => {
    const code = `
      import { writeFolder } from ${JSON.stringify(new URL('../../dist/node.js', import.meta.url).href)};
      await writeFolder(${JSON.stringify(join(parent, 'out'))}, async () => { console.log('writing'); await new Promise((r) => setTimeout(r, 60_000)); });
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const gone = new Promise((resolve) => child.on('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    expect((await readdir(parent)).length).toBe(1);
    await writeFolder(join(parent, 'out'), put('new'));
    expect(await found()).toEqual({ names: ['out'], text: 'new' });
  });
});
