import { describe, expect, it } from 'vitest';
import { blobFiles } from './index.js';

describe('a folder of blobs', () => {
  const files = blobFiles('picked', {
    'config.json': new Blob(['{}']),
    'sub/bytes.bin': new Blob([Uint8Array.of(1, 2, 3, 4)]),
  });

  it('gives texts, ranges of bytes, and names', async () => {
    expect(await files.readText('config.json')).toBe('{}');
    const source = await files.open('sub/bytes.bin');
    expect([source?.size, await source?.read(1, 2)]).toEqual([4, Uint8Array.of(2, 3)]);
    expect(await files.list?.()).toEqual(['config.json', 'sub/bytes.bin']);
    expect(await files.open('toString')).toBeUndefined();
  });

  it('refuses a range outside, a name outside, and what is no blob', async () => {
    const source = await files.open('sub/bytes.bin');
    await expect(source?.read(3, 2)).rejects.toThrow('picked/sub/bytes.bin: read of 2 bytes at 3');
    await expect(files.open('../secret')).rejects.toThrow('file name, expected one inside the folder');
    expect(() => blobFiles('picked', { 'a.txt': 'text' as unknown as Blob })).toThrow(
      'contents of "a.txt": expected a Blob, got "text"',
    );
  });

  it('says which file could not be read, and what to do', async () => {
    const gone = new Blob(['abc']);
    gone.slice = () => ({ arrayBuffer: () => Promise.reject(new Error('a file that is gone')) }) as unknown as Blob;
    const source = await blobFiles('picked', { 'a.bin': gone }).open('a.bin');
    await expect(source?.read(0, 1)).rejects.toThrow(
      'picked/a.bin: expected 1 bytes at 0, got a file that is gone. The file may have changed or moved; pick it again.',
    );
  });
});
