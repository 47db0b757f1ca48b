import { describe, expect, test } from 'vitest';
import { Conversation } from './conversation.js';
import { describeAnswer, describeStats, formatBytes, formatShare, threeDigits } from './describe.js';
import { fakeModel, stats } from './testing/fake-chat.js';

const result = {
  text: '',
  tokenIds: [],
  finishReason: 'stop',
  usage: { promptTokens: 1, cachedTokens: 0, completionTokens: 3 },
  stats,
  seed: 1,
} as const;

describe('numbers for people', () => {
  test.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1 kB'],
    [17_842_560, '17.8 MB'],
    [999_499, '999 kB'],
    [999_600, '1.00 MB'],
    [2.5e12, '2.50 TB'],
    [4e15, '4000 TB'],
  ])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  test('shares and rates', () => {
    expect([0, 0.0899, 0.0996, 1].map(formatShare)).toEqual(['0.0 %', '9.0 %', '10 %', '100 %']);
    expect([452.3, 9.42, 0.314, 12.34].map(threeDigits)).toEqual(['452', '9.42', '0.31', '12.3']);
  });
});

describe('describeAnswer', () => {
  test('says speed and the share of neurons, in words', () =>
    expect(describeAnswer(result)).toBe('3 tokens, 200 tokens/s, 6 % of neurons used'));

  test('a dense model has no share', () => {
    const density = { ...stats.density, up: [1, 1], down: [1, 1] };
    const dense = { ...stats, density, weightBytesPerToken: stats.denseWeightBytesPerToken };
    expect(describeAnswer({ ...result, stats: dense })).toBe('3 tokens, 200 tokens/s');
  });

  test('one token, no decode step', () => {
    const none = { ...stats, decode: { tokens: 0, ms: 0, tokensPerSecond: 0 } };
    expect(describeAnswer({ ...result, usage: { ...result.usage, completionTokens: 1 }, stats: none })).toBe('1 token');
  });

  test('why it ended', () => {
    expect(describeAnswer({ ...result, finishReason: 'abort' })).toMatch(/, stopped$/);
    expect(describeAnswer({ ...result, finishReason: 'length' }, 3)).toMatch(/, cut at maxNewTokens$/);
    expect(describeAnswer({ ...result, finishReason: 'length' }, 4)).toMatch(/, cut: the context is full$/);
  });
});

test('describeStats lists the sites that skip, and the newest answer', async () => {
  const model = fakeModel('one two');
  const conversation = new Conversation(model);
  expect(describeStats('llama-tales', conversation)).not.toContain('last ');
  await conversation.answer('hello there');
  const text = describeStats('llama-tales', conversation);
  expect(text).toContain('context  4 of 1000 tokens');
  expect(text).toContain('last     2 tokens in 0.02 s, 0.01 s of it before the first; prompt 2, 0 of it remembered');
  expect(text).toContain('10.2 of 17.8 MB read per token');
  expect(text).toContain('down     6.0 % active; by layer 10 2.0');
  expect(text).not.toContain('qkv');
});
