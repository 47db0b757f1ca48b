import { expect, test } from 'vitest';
import { literalValue, renderTemplate } from './template.js';

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

const document = { t: true, n: null, l: ['a', 1], e: 1e-7, half: 0.5, words: ['b', 'a'], s: "it's" };

test.each([
  ['{{t}} {{n}} {{2.0}} {{l}} {{e}} {{half}}', "True None 2.0 ['a', 1] 1e-07 0.5"],
  ['{{l[0]}}{{ [s, n] }}', 'a["it\'s", None]'],
  ['{% for i in range(2) %}{{i}}{% endfor %}', '01'],
  ['{% raw %}{{x}}{% endraw %}{{s}}', "{{x}}it's"],
  ['{{words|map("upper")|join(" ")}}', 'B A'],
  ['{{[1, 2, 3]|select("odd")|list}}', '[1, 3]'],
  ['{{[1, 2]|sum}} {{2.6|round}} {{"%s-%d"|format("a", 3)}} {{"<"|e}} {{"a b"|wordcount}}', '3 3.0 a-3 &lt; 2'],
  ["{{s|regex_replace('[aeiou]', '*')}} {{s|regex_replace('(.)t', '<\\\\1>', 1)}}", "*t's <i>'s"],
  ['{{words.index("a")}}\n', '1\n'],
])('%s prints as Python prints it', (source, text) => {
  expect(render(source, document)).toBe(text);
});

test('a literal of Python is read back', () => {
  expect(literalValue(render('{{[a, b]}}', { a: "it's", b: '"x"\n' }))).toEqual(["it's", '"x"\n']);
  expect(literalValue("{'a': (1, -2.5), 'b': [None, True]}")).toEqual({ a: [1, -2.5], b: [null, true] });
  for (const text of ['a', '1 + 1', 'x()', "['a'", 'range(3)', '']) expect(literalValue(text)).toBeUndefined();
});

test('what the document does not have is named', () => {
  expect(() => render('{{missing}}', { a: 1 })).toThrow("'missing' is undefined");
  expect(() => render('{{a.zz}}', { a: {} })).toThrow("'dict object' has no attribute 'zz'");
  expect(render('{% if b is defined %}{{b}}{% endif %}x', { a: 1 })).toBe('x');
  expect(() => render('{{ x', {})).toThrow('expected a Jinja template');
  expect(() => render('{{a.index(2)}}', { a: [1] })).toThrow('2 is not in the list');
});
