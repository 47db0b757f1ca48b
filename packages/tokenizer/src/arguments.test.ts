// What public calls say to arguments that do not fit: a sentence with a code, never a TypeError, and nothing is taken that
// would later be ignored.
import { RelufyError } from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import { type Call, wrongEnds } from '../../../tools/testing/arguments.js';
import { StopMatcher } from './stop.js';
import { StreamDetokenizer } from './stream.js';
import { bundled, bundledJson, caught } from './testing.js';
import { createTokenizer, type Tokenizer } from './tokenizer.js';

const tokenizer: Tokenizer = bundled();
const chat = [{ role: 'user', content: 'x' }] as const;
const sink = { push: () => {}, end: () => {} };
const loose = (value: unknown) => value as never;

const calls: Readonly<Record<string, Call>> = {
  createTokenizer: {
    args: [{ name: 'x', tokenizerJson: bundledJson }],
    run: createTokenizer,
    options: {
      0: ['name', 'tokenizerJson', 'tokenizerConfig', 'vocabJson', 'mergesTxt', 'addedTokensJson', 'addBosToken'],
    },
  },
  encode: {
    args: ['x', {}],
    run: (first, options) => tokenizer.encode(first, options),
    options: { 1: ['addSpecialTokens'] },
  },
  decode: {
    args: [[5], {}],
    run: (first, options) => tokenizer.decode(first, options),
    options: { 1: ['skipSpecialTokens', 'cleanUpTokenizationSpaces'] },
  },
  openDecoder: { args: [sink, {}], run: (first, options) => tokenizer.openDecoder(first, options).push(5) },
  tokenBytes: { args: [5], run: (id) => tokenizer.tokenBytes(id) },
  tokenToId: { args: ['x'], run: (token) => tokenizer.tokenToId(token) },
  idToToken: { args: [5], run: (id) => tokenizer.idToToken(id) },
  applyChatTemplate: {
    args: [chat, {}],
    run: (first, options) => tokenizer.applyChatTemplate(first, options),
    options: { 1: ['addGenerationPrompt', 'continueFinalMessage', 'template', 'tools', 'documents'] },
  },
  encodeChat: { args: [chat, {}], run: (first, options) => tokenizer.encodeChat(first, options) },
  StreamDetokenizer: {
    args: [tokenizer, {}],
    run: (first, options) => new StreamDetokenizer(first, options).push(5),
    options: { 1: ['stop', 'prompt', 'skipSpecialTokens'] },
  },
  'StreamDetokenizer.push': { args: [5], run: (id) => new StreamDetokenizer(tokenizer).push(id) },
  StopMatcher: { args: [['x']], run: (words) => new StopMatcher(words).push('y') },
  'StopMatcher.push': { args: ['x'], run: (text) => new StopMatcher(['x']).push(text) },
};

describe('no call ends in a TypeError', () => {
  it.each(Object.entries(calls))('%s', async (_, call) => {
    expect(await wrongEnds(call)).toEqual([]);
  });
});

it.each([
  ['name', () => createTokenizer(loose({ tokenizerJson: bundledJson })), 'option "name": expected a text'],
  ['tokenizerJSON', () => createTokenizer(loose({ name: 'x', tokenizerJSON: '' })), 'option "tokenizerJSON": unknown'],
  ['add_special_tokens', () => tokenizer.encode('x', loose({ add_special_tokens: false })), 'unknown'],
  ['addSpecialTokens', () => tokenizer.encode('x', loose({ addSpecialTokens: 0 })), 'expected true or false, got 0'],
  ['skipSpecialTokens', () => tokenizer.decode([5], loose({ skipSpecialTokens: 'yes' })), 'got "yes"'],
  ['a text for ids', () => tokenizer.decode(loose('5')), 'cannot decode "5", expected a list of ids'],
  ['decode options as text', () => tokenizer.decode([5], loose('skip')), 'expected an object, got "skip"'],
  ['a stop text', () => new StreamDetokenizer(tokenizer, loose({ stop: 'abc' })), 'a list of texts, got "abc"'],
  ['a stop pattern', () => new StopMatcher(loose(/x/)), 'stop: expected a list of texts, got /x/'],
  ['ids in a prompt', () => new StreamDetokenizer(tokenizer, loose({ prompt: ['a'] })), 'a list of token ids'],
  ['addGenerationPrompt', () => tokenizer.encodeChat(chat, loose({ addGenerationPrompt: 'no' })), 'got "no"'],
  ['tools', () => tokenizer.applyChatTemplate(chat, loose({ tools: {} })), 'option "tools": expected a list, got {}'],
])('refuses what it would ignore: %s', (_, call, message) => {
  const error = caught(call);
  expect(RelufyError.is(error), String(error)).toBe(true);
  expect((error as Error).message).toContain(message);
});

it('hands to a template whatever else a chat is given', () => {
  const options = { template: '{{ mood }}{{ thinking }}', mood: 'calm', thinking: false };
  expect(tokenizer.applyChatTemplate(chat, options)).toBe('calmFalse');
});
