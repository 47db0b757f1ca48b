import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { historyFile, openHistory } from './history.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-history-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('history', () => {
  test('lies where XDG says', () => {
    expect(historyFile({ XDG_STATE_HOME: '/state' })).toBe(join('/state', 'relufy', 'chat-history'));
    const usual = join(homedir(), '.local', 'state', 'relufy', 'chat-history');
    expect(historyFile({})).toBe(usual);
    expect(historyFile({ XDG_STATE_HOME: 'relative' })).toBe(usual);
  });

  test('keeps lines of several lines, for the user alone, and no secrets behind a space', async () => {
    const file = join(folder, 'a', 'b', 'history');
    const history = openHistory(file);
    for (const text of ['one', 'one', 'two\nlines', ' secret', '  ', 'x'.repeat(9000)]) history.add(text);
    expect(history.entries).toEqual(['one', 'two\nlines']);
    expect(openHistory(file).entries).toEqual(['one', 'two\nlines']);
    expect(await readFile(file, 'utf8')).toBe('"one"\n"two\\nlines"\n');
    if (process.platform !== 'win32') {
      expect((await stat(file)).mode & 0o777).toBe(0o600);
      expect((await stat(join(folder, 'a', 'b'))).mode & 0o777).toBe(0o700);
      await chmod(file, 0o644);
      openHistory(file);
      expect((await stat(file)).mode & 0o777).toBe(0o600);
    }
  });

  test('survives lines that are none, and stays small', async () => {
    const file = join(folder, 'broken');
    await writeFile(file, '"fine"\nnot json\n{"a": 1}\n"cut o');
    expect(openHistory(file).entries).toEqual(['fine']);
    await writeFile(file, `${JSON.stringify('y'.repeat(999))}\n`.repeat(3000));
    expect(openHistory(file).entries).toHaveLength(1000);
    expect((await stat(file)).size).toBeLessThan(1 << 20);
  });

  test('a place that cannot be written is no reason to end a chat', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    const history = openHistory(join(file, 'below'));
    history.add('x');
    expect(history.entries).toEqual(['x']);
  });
});
