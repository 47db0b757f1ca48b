// Thousands of templates against what Python's jinja2 3.1.6 made of them (fixtures/make-jinja.py): the same text, or an
// error where Python has one.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { chatSurroundings, compileTemplate, taskSurroundings } from './template.js';

type Case = readonly [kind: 'chat' | 'task', template: string, text: string | null, error: string | null];

const { variables, cases } = JSON.parse(
  readFileSync(new URL('../../fixtures/jinja-cases.json', import.meta.url), 'utf8'),
) as { variables: Record<string, unknown>; cases: readonly Case[] };

const surroundings = { chat: chatSurroundings, task: taskSurroundings };

function ours([kind, template]: Case): string | null {
  try {
    return compileTemplate(template, surroundings[kind])(variables);
  } catch (error) {
    if (error instanceof TypeError || error instanceof ReferenceError) throw error; // of our own making
    return null;
  }
}

it('templates print what Python prints', () => {
  expect(cases.length).toBeGreaterThan(4000);
  const wrong = cases.flatMap((each) => {
    const text = ours(each);
    return text === each[2] ? [] : [{ template: each[1], kind: each[0], python: each[2] ?? each[3], ours: text }];
  });
  expect(wrong).toEqual([]);
});
