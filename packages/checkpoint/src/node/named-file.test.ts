// Files that a person named: of any size, without an end, nobody's. What has no end is read to the limit and no further.
import { execFileSync } from 'node:child_process';
import { appendFile, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpuSeconds } from '../../../../tools/testing/cpu-time.js';
import { readNamedFile, readNamedFileIfThere, readSmallText, streamNamedFile } from './named-file.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-named-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

function pipe(name: string): string {
  const path = join(folder, name);
  execFileSync('mkfifo', [path]);
  return path;
}

const hasPipes = process.platform !== 'win32';

describe('a file', () => {
  it('is read whole, up to the limit and no further', async () => {
    const path = await file('plain', 'a'.repeat(200_000));
    expect(Buffer.from(await readNamedFile(path, { limitBytes: 200_000 })).toString()).toBe('a'.repeat(200_000));
    await expect(readNamedFile(path, { limitBytes: 199_999 })).rejects.toThrow(
      /plain: expected a readable file, got 200000 bytes, more than 199999\. Check the path\.$/,
    );
    expect(await readNamedFile(await file('empty', ''))).toHaveLength(0);
  });

  it('of a terabyte of nothing is refused before it is read', async () => {
    const path = await file('sparse', '');
    await truncate(path, 2 ** 40);
    const cost = cpuSeconds(() =>
      expect(readNamedFile(path)).rejects.toThrow(`${2 ** 40} bytes, more than ${2 ** 24}`),
    );
    expect(await cost).toBeLessThan(0.5);
  });

  it('that grows while it is read is refused at the limit', async () => {
    const path = await file('grows', 'a'.repeat(70_000));
    const stream = streamNamedFile(path);
    let length = (await stream.next()).value?.length ?? 0;
    await appendFile(path, 'b'.repeat(10));
    for await (const piece of stream) length += piece.length;
    expect(length).toBe(70_010);
  });

  it('that is missing, or a folder, is an error in the words of the caller', async () => {
    const refuse = (got: string) => new Error(`--x: ${got}`);
    await expect(readNamedFile(join(folder, 'none'), { refuse })).rejects.toThrow(/^--x: ENOENT/);
    await expect(readNamedFile(folder, { refuse })).rejects.toThrow('--x: a folder');
    await expect(readNamedFile(folder)).rejects.toMatchObject({ code: 'io' });
    expect(await readNamedFileIfThere(join(folder, 'none'))).toBeUndefined();
    expect(await readNamedFileIfThere(join(folder, 'empty', 'none'))).toBeUndefined();
    expect(await readSmallText(join(folder, 'none'))).toBe('');
  });
});

describe('gzip', () => {
  it('is unpacked', async () => {
    const text = Array.from({ length: 50_000 }, (_, i) => `line ${i}\n`).join('');
    const path = await file('text.gz', gzipSync(text));
    const heard: number[] = [];
    const parts: Uint8Array[] = [];
    for await (const part of streamNamedFile(path, { gzip: true, onRead: (bytes) => heard.push(bytes) }))
      parts.push(part);
    expect(Buffer.concat(parts).toString() === text).toBe(true);
    expect(heard.at(-1)).toBe(gzipSync(text).length);
  });

  it('that is cut off, or none, is refused', async () => {
    for (const bytes of [gzipSync('text'.repeat(1000)).subarray(0, 20), Buffer.from('no gzip')])
      await expect(readNamedFile(await file('torn.gz', bytes), { gzip: true })).rejects.toThrow(/torn\.gz: expected/);
  });

  it('of 400 KB that unpack to 400 MB is refused', async () => {
    const path = await file('bomb.gz', gzipSync(Buffer.alloc(4e8), { level: 9 }));
    const read = async () => {
      for await (const _ of streamNamedFile(path, { gzip: true }));
    };
    expect(
      await cpuSeconds(() => expect(read()).rejects.toThrow(/more than \d+ bytes out of \d+ packed/)),
    ).toBeLessThan(2);
  });
});

describe.runIf(hasPipes)('what is no file', () => {
  it('a device without an end is read to the limit', async () => {
    for (const path of ['/dev/zero', '/dev/urandom'])
      expect(
        await cpuSeconds(() => expect(readNamedFile(path)).rejects.toThrow(/more than 16777216 bytes/)),
      ).toBeLessThan(1);
    expect(await readNamedFile('/dev/null')).toHaveLength(0);
  });

  it('a pipe is read as it comes', async () => {
    const path = pipe('pipe');
    const [bytes] = await Promise.all([readNamedFile(path), writeFile(path, 'said')]);
    expect(Buffer.from(bytes).toString()).toBe('said');
  });

  it('a pipe that nobody writes into is not waited for', async () => {
    await expect(readNamedFile(pipe('silent'))).rejects.toThrow('a pipe that nobody writes into');
  });

  it('is refused at once where only files may be named', async () => {
    for (const path of ['/dev/zero', pipe('unread')])
      await expect(readNamedFile(path, { onlyFiles: true })).rejects.toThrow('got a pipe or a device');
  });
});
