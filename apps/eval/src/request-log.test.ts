import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { RequestLog } from './request-log.js';

const disk = vi.hoisted(() => ({ full: false }));
vi.mock('node:fs', async (original) => {
  const real = await original<typeof fs>();
  const writeSync = (file: number, bytes: Buffer, offset: number): number => {
    if (!disk.full) return real.writeSync(file, bytes, offset);
    // the last bytes that fit, then none
    if (offset === 0) return real.writeSync(file, bytes, 0, 5);
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
  };
  return { ...real, writeSync };
});

let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'relufy-log-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

const header = { format: 1, model: 'm', limit: null };

test('a full disk is one clear error, and loses nothing that was written', async () => {
  const path = join(folder, 'full.jsonl');
  const log = await RequestLog.open(path, header, false);
  log.append({ d: 0 });
  disk.full = true;
  expect(() => log.append({ d: 1 })).toThrow(/full.jsonl: expected room for one more line, got ENOSPC.*--resume/);
  disk.full = false;
  log.close();
  const again = await RequestLog.open(path, header, true);
  expect(again.entries).toEqual([{ d: 0 }]);
  again.append({ d: 1 });
  again.close();
  expect(fs.readFileSync(path, 'utf8').split('\n')).toEqual([JSON.stringify(header), '{"d":0}', '{"d":1}', '']);
});

test('a torn header is no run; a line that is no JSON is named', async () => {
  const path = join(folder, 'torn.jsonl');
  fs.writeFileSync(path, '{"format":1,"mod');
  (await RequestLog.open(path, header, false)).close();
  expect(fs.readFileSync(path, 'utf8')).toBe(`${JSON.stringify(header)}\n`);
  fs.appendFileSync(path, '{"d":0}\ngarbage\n');
  await expect(RequestLog.open(path, header, true)).rejects.toThrow('torn.jsonl line 3: expected JSON, got "garbage"');
});

test('another run is not continued, and the difference is named', async () => {
  const path = join(folder, 'other.jsonl');
  const log = await RequestLog.open(path, header, false);
  log.append({ d: 0 });
  log.close();
  await expect(RequestLog.open(path, { ...header, model: 'n' }, true)).rejects.toThrow(
    'expected a run with model "n", got one with "m"',
  );
});

test("a run that ended before it scored anything is in nobody's way", async () => {
  const path = join(folder, 'nothing.jsonl');
  (await RequestLog.open(path, header, false)).close();
  const other = { ...header, limit: 5 };
  (await RequestLog.open(path, other, false)).close();
  expect(fs.readFileSync(path, 'utf8')).toBe(`${JSON.stringify(other)}\n`);
});
