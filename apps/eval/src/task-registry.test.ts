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

const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

test('the built-in tasks are all there, MMLU with 57 subjects and BLiMP with 67 phenomena', async () => {
  const registry = await TaskRegistry.open();
  const count = (start: string) => registry.taskNames.filter((name) => name.startsWith(start)).length;
  expect([count('mmlu_'), count('blimp_')]).toEqual([57, 67]);
  expect(registry.taskNames.filter((name) => !/^(mmlu|blimp)_/.test(name))).toEqual([
    'arc_challenge',
    'arc_easy',
    'boolq',
    'copa',
    'hellaswag',
    'lambada_openai',
    'nq_open',
    'openbookqa',
    'piqa',
    'sciq',
    'wikitext',
    'winogrande',
  ]);
});

test('groups hold groups', async () => {
  const registry = await TaskRegistry.open();
  const { tasks, groups } = await registry.select(['mmlu']);
  expect(groups.map(({ group }) => group)).toEqual([
    'mmlu',
    'mmlu_stem',
    'mmlu_other',
    'mmlu_social_sciences',
    'mmlu_humanities',
  ]);
  expect(tasks).toHaveLength(57);
  const anatomy = tasks.find(({ task }) => task === 'mmlu_anatomy');
  expect(anatomy?.description).toBe('The following are multiple choice questions (with answers) about anatomy.\n\n');
  expect((await registry.select(['arc_*'])).tasks.map(({ task }) => task)).toEqual(['arc_challenge', 'arc_easy']);
});

test("a user's task includes a template, and is selected by name, path and tag", async () => {
  write('_template.yaml', 'output_type: multiple_choice\ntest_split: test\ndoc_to_text: "{{q}}"\ntag: mine\n');
  const path = write(
    'own.yaml',
    'include: _template.yaml\ntask: own\ndoc_to_target: a\ndoc_to_choice: ["x", "y"]\nmetadata:\n  - version: 3.0\n',
  );
  const registry = await TaskRegistry.open([folder]);
  for (const name of ['own', 'mine', path]) {
    const { tasks } = await registry.select([name]);
    expect(tasks.map(({ task, version }) => [task, version])).toEqual([['own', 3]]);
  }
});

test.each([
  [
    'unknown key',
    'task: t\noutput_type: loglikelihood\ndoc_to_text: a\ndoc_to_target: b\nfoo: 1\n',
    /Unrecognized key.*foo/,
  ],
  ['bad type', 'task: t\noutput_type: guess\ndoc_to_text: a\ndoc_to_target: b\n', /"output_type"/],
  ['no choices', 'task: t\noutput_type: multiple_choice\ndoc_to_text: a\ndoc_to_target: b\n', /"doc_to_choice"/],
  ['not YAML', 'task: [t\n', /expected YAML/],
  ['not a mapping', '- a\n', /expected a task/],
])('%s is refused with the file and the key', async (_, text, message) => {
  const path = write('bad.yaml', text);
  await expect((await TaskRegistry.open()).select([path])).rejects.toThrow(message);
  rmSync(path);
});

test('unknown names get suggestions', async () => {
  const registry = await TaskRegistry.open();
  await expect(registry.select(['arc_eas'])).rejects.toThrow('Did you mean arc_challenge, arc_easy?');
  await expect(registry.select(['zzz'])).rejects.toThrow('lambada_openai');
  await expect(registry.select(['nowhere.yaml'])).rejects.toThrow('expected a task file');
  await expect(TaskRegistry.open(['/nowhere'])).rejects.toThrow('expected a YAML file or a folder');
});
