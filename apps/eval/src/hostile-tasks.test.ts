// Task files of a stranger: what stands for itself, is nested without end or names what never ends is one error.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TaskRegistry } from './task-registry.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-tasks-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const file = (name: string, text: string): string => {
  const path = join(folder, `${name}.yaml`);
  writeFileSync(path, text);
  return path;
};

const keys = Array.from({ length: 30_000 }, (_, i) => `k${i}: 1`);
const aliases = ['a0: &a0 [x, x]', ...Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`)];

test.each([
  ['a group in itself', 'group: g\ntask: [g]\n', /group "g".*one that is in itself/],
  ['lists in lists', `task: ${'['.repeat(50_000)}`, /expected/],
  ['lists in lists that end', `task: ${'['.repeat(5000)}${']'.repeat(5000)}`, /expected/],
  ['names that stand for more and more of each other', aliases.join('\n'), /expected/],
  ['thirty thousand keys', keys.join('\n'), /expected YAML, got text that is none: more than 60000 tokens/],
  ['a key that is there twice', 'task: t\ntask: u\n', /Map keys must be unique/],
  ['keys of every object', 'task: t\n__proto__: {}\nconstructor: 1\n', /Correct the task file/],
])('%s', async (name, text, message) => {
  const registry = await TaskRegistry.open();
  const began = process.cpuUsage();
  const error = await registry.select([file(name.replaceAll(' ', '-'), text)]).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toMatchObject({
    code: expect.stringMatching(/^(option|input|io)$/),
    message: expect.stringMatching(message),
  });
  expect((error as Error).message.length).toBeLessThan(600);
  expect(process.cpuUsage(began).user / 1e6).toBeLessThan(4);
});

test('groups that are in each other', async () => {
  const registry = await TaskRegistry.open();
  const files = [file('one', 'group: one\ntask: [two]\n'), file('two', 'group: two\ntask: [one]\n')];
  await expect(registry.select(files.slice(0, 1))).rejects.toThrow(/expected a name, got "two"/);
  await expect(registry.select(files.slice(1))).rejects.toThrow(/one that is in itself/);
});
