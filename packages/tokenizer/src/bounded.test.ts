import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BoundedPattern, isHarmless } from './bounded-regex.js';
import { withSortedMarks } from './combining-marks.js';
import { TemplateBudgetError } from './jinja/budget.js';
import { compileTemplate } from './jinja/template.js';
import { oniguruma } from './regex.js';
import { altered, caught, sentencePiece } from './testing.js';
import { createTokenizer } from './tokenizer.js';

const split = (Regex: string) =>
  altered({ normalizer: null, pre_tokenizer: { type: 'Split', pattern: { Regex }, behavior: 'Isolated' } });

const published = [
  String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
  String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
];

describe('patterns of files', () => {
  it.each(published)('%s stays with the engine', (source) => {
    expect(oniguruma(source)).toBeInstanceOf(RegExp);
  });

  it.each([
    '(a+)+$',
    '(a*)*$',
    '(a|a)*$',
    '(a|aa)+$',
    '(?:a+){2,}b',
    'a*a*a*a*a*a*b',
    '(?=(a+)+b)',
    '(?<=(a+)+b)c',
    '(.*)*x',
  ])('%s ends with an error or an answer', (source) => {
    const began = process.cpuUsage();
    for (const text of ['a'.repeat(40), 'a'.repeat(5000), `${'a'.repeat(40)}!`]) {
      const error = caught(() => split(source).encode(text));
      if (error !== undefined) expect(error).toMatchObject({ code: 'tokenizer' });
    }
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(3);
  });

  it.each([
    ...published,
    'a+b',
    '(?:ab)+c?',
    '(a|ab)(c|bcd)',
    String.raw`\bfoo\b|x{2,3}?y`,
    '(?<=a)b|(?<!a)c',
    '^a|b$',
    '[^a]*?b',
    '(?!ab)a.',
  ])('the matcher agrees with the engine on %s', (source) => {
    const translated = new RegExp(source.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "(?:'s|'t)"), 'gu');
    const ours = new BoundedPattern(translated.source, 'gu');
    for (const text of ['', 'abcd abab c ab', "it's 1234  \n\n x", 'foo xxy xxxy 😀a😀b', 'aaab cab']) {
      translated.lastIndex = 0;
      ours.lastIndex = 0;
      for (let i = 0; i < 50; i++) {
        const a = translated.exec(text);
        const b = ours.exec(text);
        expect([b?.index, b?.[0]]).toEqual([a?.index, a?.[0]]);
        if (a === null) break;
        if (a[0] === '') ours.lastIndex = ++translated.lastIndex;
      }
    }
  });

  it.each([{ String: 'ab'.repeat(50_000) }, { Regex: 'ab'.repeat(50_000) }, 'ab'.repeat(50_000)])(
    'that are larger than the engine takes are one short error',
    (pattern) => {
      const error = caught(() =>
        altered({ pre_tokenizer: { type: 'Split', pattern, behavior: 'Isolated' } }).encode('a'),
      );
      expect(error).toMatchObject({ code: 'tokenizer', message: expect.stringContaining('pattern') });
      expect((error as Error).message.length).toBeLessThan(500);
    },
  );

  it('nested quantifiers are not taken for harmless', () => {
    for (const source of ['(a+)+$', '(?:a+)+', 'a*a*b', 'a+b', '(?:a|b)*c']) expect(isHarmless(source)).toBe(false);
  });
});

it('merges that would collide under a hash that files can know', () => {
  const [first, tokens, wanted] = [0x4e00, 4000, 60_000];
  // The table's own mixing without its seeds: pairs that would lie in one run of slots, each a step after the last.
  const slotOf = (a: number, b: number): number => {
    let hash = Math.imul(a, 0x9e3779b1);
    hash = Math.imul(hash ^ (hash >>> 15) ^ b, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) & 0x1ffff;
  };
  const vocab: Record<string, number> = {};
  for (let id = 0; id < tokens; id++) vocab[String.fromCharCode(first + id)] = id;
  const merges: [string, string][] = [];
  for (let a = 0; a < tokens && merges.length < wanted; a++) {
    for (let b = 0; b < tokens && merges.length < wanted; b++) {
      if (slotOf(a, b) >= 600) continue;
      const pair: [string, string] = [String.fromCharCode(first + a), String.fromCharCode(first + b)];
      vocab[pair.join('')] = tokens + merges.length;
      merges.push(pair);
    }
  }
  expect(merges).toHaveLength(wanted);
  const tokenizerJson = JSON.stringify({ model: { type: 'BPE', vocab, merges } });
  const began = process.cpuUsage();
  createTokenizer({ name: 'collide', tokenizerJson }).encode(merges[0]!.join(''));
  expect(process.cpuUsage(began).user / 1e6).toBeLessThan(2);
});

describe('text that multiplies', () => {
  const replace = (from: string, to: string) => ({ type: 'Replace', pattern: { String: from }, content: to });
  const chain = Array.from({ length: 60 }, () => replace('a', 'aa'));
  it.each([
    { type: 'Sequence', normalizers: chain },
    replace('a', 'a'.repeat(1_000_000)),
    { type: 'Sequence', normalizers: [replace('a', 'a'.repeat(1000)), { type: 'Sequence', normalizers: chain }] },
    {
      type: 'Sequence',
      normalizers: Array.from({ length: 9 }, () => ({ ...replace('', 'xxxxxxxxxx'), pattern: { Regex: '' } })),
    },
  ])('in a normalizer is an error', (normalizer) => {
    expect(() => altered({ normalizer }).encode('a'.repeat(100))).toThrow('multiply');
  });

  it('in a decoder is an error', () => {
    for (const first of [[], [{ type: 'Fuse' }]]) {
      const tokenizer = sentencePiece({ decoder: { type: 'Sequence', decoders: [...first, ...chain] } });
      expect(caught(() => tokenizer.decode([tokenizer.tokenToId('a')!]))).toMatchObject({ code: 'tokenizer' });
    }
  });

  it('a decoder strips in linear time', () => {
    const tokenizer = sentencePiece({
      decoder: { type: 'Sequence', decoders: [{ type: 'Fuse' }, { type: 'Strip', content: 'a', start: 0, stop: 1e9 }] },
    });
    const began = process.cpuUsage();
    expect(tokenizer.decode(Array.from({ length: 3000 }, () => tokenizer.tokenToId('a')!))).toBe('');
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(2);
  });
});

describe('parts of a file that are too many', () => {
  const many = (count: number, stage: object) => Array.from({ length: count }, () => stage);
  const nested = (list: string, stage: object) => ({
    ...{ type: 'Sequence', [list]: many(10, { type: 'Sequence', [list]: many(10, stage) }) },
  });
  const x = { SpecialToken: { id: '<s>', type_id: 0 } };
  const frame = {
    ...{ type: 'TemplateProcessing', single: [...many(2000, x), { Sequence: { id: 'A', type_id: 0 } }], pair: [] },
    special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
  };
  it.each([
    ['normalizer', nested('normalizers', { type: 'NFC' }), 'at most 64 stages'],
    ['pre_tokenizer', { type: 'Sequence', pretokenizers: many(5000, { type: 'Whitespace' }) }, 'at most 64 stages'],
    ['decoder', nested('decoders', { type: 'Fuse' }), 'at most 64 stages'],
    ['post_processor', { type: 'Sequence', processors: many(65, { type: 'ByteLevel' }) }, 'at most 64 stages'],
    ['post_processor', frame, 'at most 1024 ids'],
  ])('%s is refused', (part, value, message) => {
    const error = caught(() => altered({ [part]: value }));
    expect(error).toMatchObject({ code: 'tokenizer', message: expect.stringContaining(message) });
  });
});

it('a text of combining marks is normalised in the time that its length takes, and to what the engine makes of it', () => {
  const marks = ['\u0301', '\u0323', '\u0345', '\u0344', '\u05b0', '\u093c', '\u093e', '\u20d2'];
  for (const form of ['NFC', 'NFD', 'NFKC', 'NFKD'] as const)
    for (let seed = 1; seed < 20; seed++) {
      const text = `a${Array.from({ length: 600 }, (_, i) => marks[(i * i * seed + i * 7 + seed) % (1 + (seed % 8))]).join('')}é`;
      expect(withSortedMarks(text).normalize(form)).toBe(text.normalize(form));
    }
  const normalised = altered({ normalizer: { type: 'NFC' } });
  const began = process.cpuUsage();
  normalised.encode(`a${'\u0301\u0323'.repeat(50_000)}`);
  expect(process.cpuUsage(began).user / 1e6).toBeLessThan(5);
});

describe('templates that cost without bound', () => {
  const loop = (body: string): string => `{% for i in range(99999) %}{% set x = ${body} %}{% endfor %}`;
  const doubling = (first: string, again: string): string =>
    `{% set ns = namespace(s=${first}) %}{% for i in range(60) %}{% set ns.s = ${again} %}{% endfor %}`;
  const variables = { s: 'x'.repeat(20_000), l: Array.from({ length: 5000 }, (_, i) => i) };

  it.each([
    '{{ "a" * 1000000000 }}',
    '{{ [1] * 1000000000 }}',
    '{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}',
    '{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}',
    '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}',
    '{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}',
    doubling('"ab"', 'ns.s ~ ns.s'),
    doubling('"ab"', 'ns.s | replace("a", "aaaaaaaaaa")'),
    `${doubling('[1]', '[ns.s, ns.s]')}{{ ns.s }}`,
    `${doubling('[1]', '[ns.s, ns.s]')}{{ ns.s | tojson }}`,
    `${doubling('(1,)', '(ns.s, ns.s)')}{{ {ns.s: 1} }}`,
    '{% set ns = namespace(g=[1]) %}{% for i in range(9999) %}{% set ns.g = ns.g | map("string") %}{% endfor %}{{ ns.g | list }}',
    '{{ 2 ** 100000000 }}',
    loop('(3 ** 80000) % 7'),
    ...['"x" | center(1000000000)', '"%1000000000d" % 5', '"%.1000000000f" % 5', '"{:1000000000}".format(5)'].map(loop),
    ...['"{:01000000000,d}".format(5)', '"5".zfill(1000000000)', '"x" | indent(1000000000, true)'].map(loop),
    ...['[1] | batch(1000000000, 1) | list', '[1] | slice(1000000000) | list', '[1] | tojson(indent=1000000000)'].map(
      loop,
    ),
    ...['"b" in s', 's.find("b")', 's | length', 's < s ~ "y"', 's.isalpha()', 's.istitle()', 's.count("x")'].map(loop),
    `{% set c = cycler(*range(99999)) %}${loop('c.items')}`,
    `{% macro f() %}{{ varargs[0] }}{% endmacro %}${loop('f(*range(9999))')}`,
    loop('dict(**{"a": i, "b": i})'),
    '{% for i in range(9999) %}{{ loop.cycle(*range(99999)) }}{% endfor %}',
    '{{ [1, 2] | batch(15000000, 0) | list | length }}',
    '{% set x = "😀" * 7000000 %}{{ x[:1] }}',
    '{% set x = "😀" * 7000000 %}{{ x[0] }}',
    ...['s | wordwrap(5) | length', 's | wordcount', '5000 in l', 'l == l + []', 'l[::-1]', 'l | string | length'].map(
      loop,
    ),
  ])('%s', (source) => {
    const began = process.cpuUsage();
    expect(() => compileTemplate(source)(variables)).toThrow(TemplateBudgetError);
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(2);
  });

  it.each(['(', '[', '{{ not ', '-', '{% if 1 %}', '{% for x in y %}', '{{ {1:', '{#', '{{', '{', '{% raw %}'])(
    '%s nested without end',
    (opening) => {
      const began = process.cpuUsage();
      const source = opening.startsWith('{') ? opening.repeat(50_000) : `{{ ${opening.repeat(50_000)}`;
      const error = caught(() => compileTemplate(source)({}));
      if (opening !== '{') expect(error).toBeInstanceOf(SyntaxError);
      expect(process.cpuUsage(began).user / 1e6).toBeLessThan(2);
    },
  );

  it.each([' + 1', ' ** 1', ' and 1', ' | abs', '.a', '[0]', '()', ' ~ 1', ' < 2', ' is odd'])(
    'a long row of "%s" is an answer or one error',
    (more) => {
      const template = `{{ 1${more.repeat(100_000)} }}`;
      const error = caught(() => altered({}).applyChatTemplate([{ role: 'user', content: 'hi' }], { template }));
      if (error !== undefined) expect(error).toMatchObject({ code: expect.stringMatching(/^(input|tokenizer)$/) });
    },
  );

  it('a range is bounded as in the sandbox', () => {
    expect(() => compileTemplate('{{ range(1000000000) | list }}')({})).toThrow('Range too big');
  });

  it('a long conversation costs less than its budget', () => {
    const messages = Array.from({ length: 3000 }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: 'Hi' }));
    const template = readFileSync(new URL('../fixtures/chat-templates/qwen2_5.jinja', import.meta.url), 'utf8');
    const text = compileTemplate(template)({ messages, tools: null, add_generation_prompt: true });
    expect(text.split('<|im_start|>')).toHaveLength(3003);
  });
});
