import type { Piece } from '@relufy/models';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AnswerPart } from './answer-parser.js';
import { formatNamed } from './known-formats.js';
import { RegionParser } from './region-parser.js';
import { type ResponseTemplate, readResponseTemplate } from './response-template.js';

const weather = new Map<string, unknown>([
  ['get_weather', { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } } }],
  ['get_time', undefined],
]);
const piece = (text: string): Piece => ({ tokenId: 0, text });

interface Parsed {
  text: string;
  reasoning: string;
  calls: { name: string; arguments: unknown }[];
}

/** `cuts`: where the text is cut into pieces. */
function parsed(template: ResponseTemplate, text: string, cuts: readonly number[] = [], more = {}): Parsed {
  const parser = new RegionParser(template, { prefix: '', marks: new Map(), tools: weather, ...more });
  const places = [0, ...[...cuts].sort((a, b) => a - b), text.length];
  const parts: AnswerPart[] = places.slice(1).flatMap((end, i) => parser.push(piece(text.slice(places[i], end))));
  parts.push(...parser.end());
  const out: Parsed = { text: '', reasoning: '', calls: [] };
  const open: { name: string; text: string }[] = [];
  for (const part of parts)
    if (part.kind === 'text') out.text += part.text;
    else if (part.kind === 'reasoning') out.reasoning += part.text;
    else if (part.kind === 'call') open[part.call] = { name: part.name, text: '' };
    else (open[part.call] as { text: string }).text += part.text;
  out.calls = open.map(({ name, text: json }) => ({ name, arguments: JSON.parse(json) as unknown }));
  expect(parser.hasCalls).toBe(out.calls.length > 0);
  return out;
}

const paris = { name: 'get_weather', arguments: { city: 'Paris' } };
const hermes = `<tool_call>\n${JSON.stringify(paris)}\n</tool_call>`;
/** Qwen3's, as its tokenizer config could have it. */
const qwen = {
  version: 1,
  defaults: { role: 'assistant' },
  start_anchor: '<|im_start|>assistant\n',
  fields: {
    reasoning_content: { open: '<think>', close: '</think>' },
    content: { close: '<|im_end|>' },
    tool_calls: {
      open: '<tool_call>',
      close: '</tool_call>',
      repeats: true,
      content: 'json',
      transform: { type: 'function', function: { name: '{content.name}', arguments: '{content.arguments}' } },
    },
  },
};
/** Qwen3-Coder's tags: the name is in the opening mark. */
const coder = {
  start_anchor: '<|im_start|>assistant\n',
  fields: {
    content: {},
    tool_calls: {
      open_pattern: '<tool_call>\\s*<function=(?P<name>[\\w.-]+)>',
      close_pattern: '</function>\\s*</tool_call>',
      repeats: true,
      content: 'xml-inline',
      content_args: { tag_pattern: '<parameter=(?P<key>\\w+)>\\n?(?P<value>.*?)\\n?</parameter>' },
      transform: { type: 'function', function: { name: '{name}', arguments: '{content}' } },
    },
  },
};

describe('answers are taken apart', () => {
  const both = { name: 'get_time', arguments: {} };
  test.each([
    ['Hermes', formatNamed('hermes'), `Let me see.\n${hermes}`, { text: 'Let me see.', reasoning: '', calls: [paris] }],
    [
      'Hermes, two',
      formatNamed('hermes'),
      `${hermes}\n<tool_call>{"name":"get_time","arguments":{}}</tool_call>`,
      { text: '', reasoning: '', calls: [paris, both] },
    ],
    [
      'Hermes, thinking',
      formatNamed('hermes'),
      `<think>\nHm < 3.\n</think>\n\n${hermes}`,
      { text: '', reasoning: 'Hm < 3.', calls: [paris] },
    ],
    [
      'Llama',
      formatNamed('llama'),
      '{"name": "get_weather", "parameters": {"city": "Paris"}}',
      { text: '', reasoning: '', calls: [paris] },
    ],
    [
      'Llama, two',
      formatNamed('llama'),
      '{"name": "get_weather", "parameters": {"city": "Paris"}}; {"name": "get_time", "parameters": {}}',
      { text: '', reasoning: '', calls: [paris, both] },
    ],
    [
      'Llama, tagged',
      formatNamed('llama'),
      '<|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris"}}',
      { text: '', reasoning: '', calls: [paris] },
    ],
    [
      'Llama, text with braces',
      formatNamed('llama'),
      'A set is written {1, 2}, a call {"a": 1}.',
      { text: 'A set is written {1, 2}, a call {"a": 1}.', reasoning: '', calls: [] },
    ],
    [
      'Mistral',
      formatNamed('mistral'),
      `[TOOL_CALLS][${JSON.stringify(paris)}, {"name":"get_time","arguments":{}}]`,
      { text: '', reasoning: '', calls: [paris, both] },
    ],
    [
      'Mistral, new',
      formatNamed('mistral'),
      'So.[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}[TOOL_CALLS]get_time{}',
      { text: 'So.', reasoning: '', calls: [paris, both] },
    ],
    [
      'a response template',
      readResponseTemplate(qwen),
      `<think>a</think>b\n${hermes}`,
      { text: 'b', reasoning: 'a', calls: [paris] },
    ],
    [
      'tags',
      readResponseTemplate(coder),
      'Yes.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>3</parameter>\n</function>\n</tool_call>',
      { text: 'Yes.', reasoning: '', calls: [{ name: 'get_weather', arguments: { city: 'Paris', days: 3 } }] },
    ],
    [
      'a call of nothing known',
      formatNamed('hermes'),
      '<tool_call>{"name":"rm","arguments":{}}</tool_call>',
      { text: '{"name":"rm","arguments":{}}', reasoning: '', calls: [] },
    ],
    [
      'broken JSON',
      formatNamed('hermes'),
      '<tool_call>{"name":"get_time",</tool_call>',
      { text: '{"name":"get_time",', reasoning: '', calls: [] },
    ],
  ])('%s, however it is cut', (_, template, text, expected) => {
    expect(parsed(template, text)).toEqual(expected);
    expect(
      parsed(
        template,
        text,
        [...text].map((__, i) => i),
      ),
    ).toEqual(expected);
    fc.assert(
      fc.property(fc.array(fc.nat(text.length)), (cuts) => {
        expect(parsed(template, text, cuts)).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  test('a call that was cut off is no call, and text is handed on while it is sure', () => {
    expect(parsed(formatNamed('hermes'), '<tool_call>\n{"name": "get_wea').calls).toEqual([]);
    const parser = new RegionParser(formatNamed('hermes'), { prefix: '', marks: new Map(), tools: weather });
    const kinds = ['Hello', ' you', ' <to', 'ad>'].map((text) => parser.push(piece(text)));
    expect(kinds).toEqual([
      [{ kind: 'text', text: 'Hello' }],
      [{ kind: 'text', text: ' you' }],
      [],
      [{ kind: 'text', text: ' <toad>' }],
    ]);
  });

  test('what the prompt opened goes on', () => {
    expect(parsed(formatNamed('hermes'), 'so</think>Yes.', [], { prefix: '<think>\n' })).toMatchObject({
      reasoning: 'so',
      text: 'Yes.',
    });
    const forced = '<tool_call>\n{"name": "get_weather", "arguments": ';
    expect(parsed(formatNamed('hermes'), '{"city": "Paris"}}\n</tool_call>', [], { prefix: forced }).calls).toEqual([
      paris,
    ]);
  });

  test('without tools a call is text; special tokens are seen', () => {
    expect(parsed(formatNamed('hermes'), hermes, [], { tools: undefined }).text).toBe(hermes);
    const marks = new Map([[7, '[TOOL_CALLS]']]);
    const parser = new RegionParser(formatNamed('mistral'), { prefix: '', marks, tools: weather });
    parser.push({ tokenId: 7, text: '' });
    parser.push(piece(`[${JSON.stringify(paris)}]`));
    expect(parser.end()[0]).toMatchObject({ kind: 'call', name: 'get_weather', id: expect.stringMatching(/^\w{9}$/) });
  });

  test('calls of a model that is held to them are handed on while they come', () => {
    const text = `<tool_call>\n{"name": "get_weather", "arguments": {"city": "}\\"{", "deep": [{"a": []}]}}\n</tool_call>\n<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>`;
    const expected = [
      { name: 'get_weather', arguments: { city: '}"{', deep: [{ a: [] }] } },
      { name: 'get_time', arguments: {} },
    ];
    const held = { isHeld: true };
    expect(parsed(formatNamed('hermes'), text, [], held).calls).toEqual(expected);
    fc.assert(
      fc.property(fc.array(fc.nat(text.length)), (cuts) => {
        expect(parsed(formatNamed('hermes'), text, cuts, held).calls).toEqual(expected);
      }),
      { numRuns: 50 },
    );
    const cut = new RegionParser(formatNamed('hermes'), { prefix: '', marks: new Map(), tools: weather, isHeld: true });
    const parts = cut.push(piece(text.slice(0, 60)));
    expect(parts.map(({ kind }) => kind)).toEqual(['call', 'arguments']);
    const llama = '{"name": "get_weather", "parameters": {"city": "Rome"}}; {"name": "get_time", "parameters": {}}';
    expect(parsed(formatNamed('llama'), llama, [5, 30, 58], held).calls).toHaveLength(2);
    const mistral =
      '[TOOL_CALLS][{"name": "get_time", "arguments": {}}][TOOL_CALLS][{"name": "get_time", "arguments": {}}]';
    expect(parsed(formatNamed('mistral'), mistral, [20, 52, 70], held).calls).toHaveLength(2);
    expect(parsed(formatNamed('mistral'), mistral).calls).toHaveLength(2);
  });

  test('any text without marks comes out as it is, but for blanks around it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.array(fc.nat(40)), (text, cuts) => {
        fc.pre(!/<think>|<tool_call>/.test(text));
        const places = cuts.map((cut) => Math.min(cut, text.length));
        expect(parsed(formatNamed('hermes'), text, places).text).toBe(text.trim());
      }),
    );
  });
});
