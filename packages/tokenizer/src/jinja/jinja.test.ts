// Templates and what Python's jinja2 3.1.6 makes of them, set up as transformers does.
import { describe, expect, it } from 'vitest';
import { strftime } from './strftime.js';
import { compileTemplate } from './template.js';

const variables = {
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: ' What?\n' },
  ],
  n: null,
  t: true,
  f: false,
  num: 3,
  half: 1.5,
  list: [1, 'a', null, true],
  map: { b: 1, a: [1, 2], c: null, d: "x'y" },
  s: 'Hello World',
  padded: '  pad \n',
  empty: '',
};
const render = (template: string): string => compileTemplate(template)(variables);

describe('whitespace', () => {
  it.each([
    [
      '{% for m in messages %}\n  {% if t %}\n    U:{{ m.role }}\n  {% endif %}\n{% endfor %}\nend\n',
      '    U:system\n    U:user\nend',
    ],
    ['  {%- if t -%}  x  {%- endif -%}  y', 'xy'],
    ['{# comment #}\nx\n  {# c #}\ny {# z #}\n', 'x\ny '],
    ['x\n\n{% if t %}\n\ny\n\n{% endif %}\n\nz\n\n', 'x\n\n\ny\n\n\nz\n'],
    ['    {{ s }}\n    {% if t %}a{% endif %}\n  b', '    Hello World\na  b'],
    ['a\t{% if t %}b{% endif %}', 'a\tb'],
    ['  {%+ if t %}x{% endif +%}\ny', '  x\ny'],
    ['line1\r\n{% if t %}\r\nline2\r\n{% endif %}\r\nline3\r\n', 'line1\nline2\nline3'],
    ['{% raw %}\n{{ x }} {% y %}\n{% endraw %}\nz', '\n{{ x }} {% y %}\nz'],
    ['a\n{% generation %}\nabc\n{% endgeneration %}\nb', 'a\nabc\nb'],
    ['{%- generation -%}\n abc \n{%- endgeneration -%} x', 'abcx'],
    ['{{ "x%}\ny" }}{{ "{%" }}{{ \'}}\' }}', 'x%}\ny{%}}'],
    ['{{ s }}\u2028  {% if t %}x{% endif %}', 'Hello World\u2028  x'],
    ['{key:{ {%- if t -%} 1 {%- endif -%} }}', '{key:{1}}'],
    ["{{ {'a': {'b': 1}} }}", "{'a': {'b': 1}}"],
    ['\n{{ s }}\n', '\nHello World'],
  ])('%j', (template, text) => {
    expect(render(template)).toBe(text);
  });
});

describe('expressions', () => {
  it.each([
    ['n', 'None'],
    ['t ~ f', 'TrueFalse'],
    ['missing', ''],
    ['half', '1.5'],
    ['list', "[1, 'a', None, True]"],
    ['map', "{'b': 1, 'a': [1, 2], 'c': None, 'd': \"x'y\"}"],
    ['(t, f)', '(True, False)'],
    ['["a\\nb", "é"]', "['a\\nb', 'é']"],
    ['s ~ n', 'Hello WorldNone'],
    ["list | join('-')", '1-a-None-True'],
    ['map | tojson', '{"b": 1, "a": [1, 2], "c": null, "d": "x\'y"}'],
    ['map.a | tojson(indent=2)', '[\n  1,\n  2\n]'],
    ["'xyaxy'.strip('xy')", 'a'],
    ["'\\n a'.lstrip('\\n')", ' a'],
    ['padded | trim', 'pad'],
    ["'hELLO wORLD'.title()", 'Hello World'],
    ["'hELLO' | capitalize", 'Hello'],
    ["s.find('W')", '6'],
    ["s.split('o')[-1]", 'rld'],
    ["', '.join(['x', 'y'])", 'x, y'],
    ["'3'.isdigit()", 'True'],
    ["'a\\nb'.splitlines()", "['a', 'b']"],
    ["s.startswith(('a', 'H'))", 'True'],
    ['s | first', 'H'],
    ['[] | first', ''],
    ['missing | length', '0'],
    ['missing | upper', ''],
    ["'ab' * 3", 'ababab'],
    ['-7 % 3', '2'],
    ['-7 // 2', '-4'],
    ['6 / 2', '3.0'],
    ['2 ** 3', '8'],
    ["'a' < 'b'", 'True'],
    ['empty == false', 'False'],
    ['0 == false', 'True'],
    ['[1, [2]] == [1, [2]]', 'True'],
    ['none in list', 'True'],
    ["'zz' in missing", 'False'],
    ['n.foo is defined', 'False'],
    ["messages | map(attribute='content') | map('trim') | list", "['Be brief.', 'What?']"],
    ["messages | selectattr('role', 'in', ['user']) | list | length", '1'],
    ["messages | rejectattr('role', 'equalto', 'user') | map(attribute='role') | list", "['system']"],
    ['messages[::-1][0].role', 'user'],
    ['dict(a=1).a', '1'],
    ['range(1, 4) | list', '[1, 2, 3]'],
    ["'a' if f", ''],
  ])('%s', (expression, text) => {
    expect(render(`{{ ${expression} }}`)).toBe(text);
  });

  it.each([
    's + 5',
    '5 + s',
    "'a' + n",
    "'a' + missing",
    'missing.foo',
    'n.foo.bar',
    "list + 'a'",
    '1 / 0',
    'n()',
    'list | foo',
  ])('fails on %s', (expression) => {
    expect(() => render(`{{ ${expression} }}`)).toThrow();
  });
});

describe('statements', () => {
  it.each([
    ['{% set x = 5 %}{% for i in range(3) %}{% set x = i %}{% endfor %}{{ x }}', '5'],
    ['{% for i in [1, 2] %}{{ x }}{% set x = i %}{% endfor %}', ''],
    [
      '{% set ns = namespace(i=0) %}{% for m in messages %}{% set ns.i = ns.i + loop.index %}{% endfor %}{{ ns.i }}',
      '3',
    ],
    ['{% for k, v in map.items() %}{{ k }}={{ v }};{% endfor %}', "b=1;a=[1, 2];c=None;d=x'y;"],
    [
      '{% for i in [1, 2, 3] if i != 2 %}{{ loop.index }}/{{ loop.length }}:{{ i }} {% else %}none{% endfor %}',
      '1/2:1 2/2:3 ',
    ],
    ['{% for i in missing %}x{% else %}none{% endfor %}', 'none'],
    ["{% for c in 'abc' %}{{ c }},{% endfor %}", 'a,b,c,'],
    [
      '{% for i in range(9) %}<{% if i == 1 %}c{% continue %}{% endif %}{% if i == 3 %}b{% break %}{% endif %}{{ i }}>{% endfor %}',
      '<0><c<2><b',
    ],
    [
      "{% for m in messages %}{{ loop.cycle('a', 'b') }}{{ loop.previtem.role if not loop.first }}{% endfor %}",
      'absystem',
    ],
    [
      "{% macro hi(name, greeting='Hi') %}{{ greeting }} {{ name }}!{% endmacro %}{{ hi('A') }}{{ hi('B', greeting='Yo') }}",
      'Hi A!Yo B!',
    ],
    ['{% macro box() %}[{{ caller() }}]{% endmacro %}{% call box() %}{{ n }}{% endcall %}', '[None]'],
    ['{% set block %}{{ t }} {{ s }}{% endset %}[{{ block }}]', '[True Hello World]'],
    ['{% filter upper %}abc {{ s }}{% endfilter %}', 'ABC HELLO WORLD'],
  ])('%s', (template, text) => {
    expect(render(template)).toBe(text);
  });
});

describe('strftime', () => {
  it('writes dates as Python in the C locale', () => {
    const date = new Date(2024, 1, 5, 15, 4, 9);
    expect(strftime(date, '%d %b %Y|%A %-d %B %y|%H:%M:%S|%I %p|%j|%F|%%|%Q')).toBe(
      '05 Feb 2024|Monday 5 February 24|15:04:09|03 PM|036|2024-02-05|%|%Q',
    );
  });
});
