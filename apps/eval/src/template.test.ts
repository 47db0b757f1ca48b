import { expect, test } from 'vitest';
import { evaluateTemplate, renderTemplate } from './template.js';

const render = (source: string, fields: Record<string, unknown> = {}) => renderTemplate('task', source, fields);

test.each([
  ["{{text.split(' ')[:-1]|join(' ')}}", { text: 'one  two three' }, 'one  two'],
  ["{{' '+text.split(' ')[-1]}}", { text: 'one two' }, ' two'],
  ['{{question.strip()}}\nA. {{choices[0]}}', { question: ' q\n', choices: ['x'] }, 'q\nA. x'],
  ['{{support.lstrip()}}\n', { support: ' s' }, 's\n'],
  ['no template', {}, 'no template'],
  ['{{a}}', { a: 3 }, '3'],
])('%s', (source, fields, expected) => {
  expect(render(source, fields)).toBe(expected);
});

test('a single expression keeps its value', () => {
  const choices = { text: ['x', 'y'], label: ['A', 'B'] };
  expect(evaluateTemplate('task', '{{choices.label.index(key)}}', { choices, key: 'B' })).toBe(1);
  expect(evaluateTemplate('task', '{{[a, b]}}', { a: "it's", b: '"x"' })).toEqual(["it's", '"x"']);
  expect(evaluateTemplate('task', '{{choices.text}}', { choices })).toEqual(['x', 'y']);
});

test('what the document does not have is named', () => {
  expect(() => render('{{missing}}', { a: 1 })).toThrow('expected a field "missing"');
  expect(render('{% if b is defined %}{{b}}{% endif %}x', { a: 1 })).toBe('x');
  expect(() => render('{{ x', {})).toThrow('expected a Jinja template');
  expect(() => evaluateTemplate('task', '{{a.index(2)}}', { a: [1] })).toThrow('2 is not in the list');
});
