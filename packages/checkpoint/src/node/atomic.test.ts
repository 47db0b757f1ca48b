// A folder comes whole or not at all.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeFolder } from './atomic.js';

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
