// Response templates of a stranger, in a model's tokenizer_config.json: an answer ends, whatever they say.
import { expect, test } from 'vitest';
import { contentParsers } from './content-parsers.js';
import { RegionParser } from './region-parser.js';
import { readResponseTemplate } from './response-template.js';

const tools = new Map([['f', {}]]);
const call = (more: object) => ({ fields: { content: {}, tool_calls: { content: 'json', ...more } } });

test.each([
  ['a pattern that goes back for ever', { open_pattern: '(a+)+$|(a*)*b' }],
  ['one at the end', { open: 'a', close_pattern: '(?:a|aa)+$!' }],
  ['one that looks ahead', { open_pattern: '(?=(a+)+b)x' }],
  ['one that is always there and never anything', { open_pattern: '(?:)', close_pattern: '(?:)' }],
])('%s', (_, field) => {
  const parser = new RegionParser(readResponseTemplate(call(field)), { prefix: '', marks: new Map(), tools });
  const began = process.cpuUsage();
  try {
    for (let n = 0; n < 40; n++) parser.push({ tokenId: 0, text: 'aaa' });
    parser.push({ tokenId: 0, text: '!' });
    parser.end();
  } catch (error) {
    expect(error).toMatchObject({ code: 'tokenizer', message: expect.stringContaining('tokenizer_config.json') });
  }
  expect(process.cpuUsage(began).user / 1e6).toBeLessThan(6);
});

test.each([
  ['beginnings that are no texts', { open_pattern: 'a', beginnings: 5 }],
  ['empty beginnings', { open_pattern: 'a', beginnings: [''] }],
  ['no number of characters', { open_pattern: 'a', patience: 'long' }],
  ['a pattern of back references', { open_pattern: '(a)\\1' }],
  ['no pattern', { open_pattern: '(' }],
  ['a parser that every object inherits', { open: 'a', content: 'constructor' }],
])('%s are refused, so that a known format takes their place', (_, field) => {
  expect(() => readResponseTemplate(call(field))).toThrow();
});

test('text is held back for a bounded while', () => {
  const template = readResponseTemplate(call({ open_pattern: 'x+never', beginnings: [], patience: 1e9 }));
  const parser = new RegionParser(template, { prefix: '', marks: new Map(), tools });
  const parts = Array.from({ length: 20 }, () => parser.push({ tokenId: 0, text: 'b'.repeat(500) })).flat();
  expect(parts.length).toBeGreaterThan(0);
});

test.each([
  ['json', { string_delims: [['', '']] }],
  ['json', { string_delims: [['a', '']] }],
  ['json', { string_delims: [5, null] }],
  ['xml-inline', { tag_pattern: '(?P<key>a+)+$' }],
  ['xml-inline', { tag_pattern: '(?P<key>)' }],
])('%s with %j ends', (name, args) => {
  const began = process.cpuUsage();
  try {
    contentParsers.get(name)?.(`${'a'.repeat(60)}!`, args);
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
  }
  expect(process.cpuUsage(began).user / 1e6).toBeLessThan(4);
});
