// Every malformed file or input gives exactly one RelufyError that names the tokenizer and says what to do.
import { RelufyError } from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import type { TokenizerFiles } from './definition.js';
import { StopMatcher } from './stop.js';
import { bundled, bundledJson, caught, sentencePieceJson } from './testing.js';
import { createTokenizer } from './tokenizer.js';

type Json = Record<string, unknown>;
const model = { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'] };
const json = (parts: Json): string => JSON.stringify({ model, ...parts });
const withModel = (parts: Json): string => json({ model: { ...model, ...parts } });
const nested = (depth: number): string =>
  `{"model":${JSON.stringify(model)},"decoder":${'{"type":"Sequence","decoders":['.repeat(depth)}${']}'.repeat(depth)}}`;

function errorOf(files: Partial<TokenizerFiles>): RelufyError {
  const error = caught(() => createTokenizer({ name: 'foo', ...files }));
  expect(RelufyError.is(error), String(error)).toBe(true);
  return error as RelufyError;
}

describe('a malformed tokenizer.json', () => {
  it.each([
    ['not JSON', '{"model":', 'is not JSON'],
    ['empty', '', 'is not JSON'],
    ['a web page', '<!doctype html>', 'is not JSON'],
    ['a list', '[]', 'must hold an object'],
    ['null', 'null', 'must hold an object'],
    ['without a model', '{}', '"model": expected an object'],
    ['model is a list', json({ model: [] }), '"model": expected an object'],
    [
      'model of an unknown type',
      withModel({ type: 'Magic' }),
      '"model.type": expected BPE, WordPiece, Unigram, got "Magic"',
    ],
    ['no type, no merges', json({ model: { vocab: { a: 0 } } }), '"model.type"'],
    ['no vocabulary', withModel({ vocab: undefined }), '"model.vocab": expected an object'],
    ['vocabulary is a list', withModel({ vocab: ['a'] }), '"model.vocab": expected an object'],
    ['empty vocabulary', withModel({ vocab: {}, merges: [] }), 'at least one token'],
    ['an id that is a string', withModel({ vocab: { a: '0' } }), 'expected an id from 0 on, got "0"'],
    ['a negative id', withModel({ vocab: { a: -1 } }), 'expected an id from 0 on'],
    ['a huge id', withModel({ vocab: { a: 2 ** 40 } }), 'expected an id from 0 on'],
    ['one id for two tokens', withModel({ vocab: { a: 0, b: 0 }, merges: [] }), 'share the id 0'],
    ['no merges', withModel({ merges: undefined }), '"model.merges": expected a list'],
    ['a merge of one token', withModel({ merges: ['ab'] }), '"model.merges[0]": expected two tokens'],
    ['a merge of three', withModel({ merges: [['a', 'b', 'c']] }), '"model.merges[0]": expected two tokens'],
    ['a merge of numbers', withModel({ merges: [[1, 2]] }), '"model.merges[0]": expected two tokens'],
    ['a merge of unknown tokens', withModel({ merges: ['a z'] }), '"z" is not in the vocabulary'],
    ['a merge with an unknown product', withModel({ merges: ['b a'] }), '"ba" is not in the vocabulary'],
    ['a merge twice', withModel({ merges: ['a b', ['a', 'b']] }), 'repeats merge 0'],
    ['random merges', withModel({ dropout: 0.1 }), '"model.dropout"'],
    ['a flag that is a string', withModel({ byte_fallback: 'yes' }), '"model.byte_fallback": expected true or false'],
    ['added_tokens is an object', json({ added_tokens: {} }), '"added_tokens": expected a list'],
    ['an added token without content', json({ added_tokens: [{ id: 3 }] }), '"added_tokens[0].content"'],
    ['an empty added token', json({ added_tokens: [{ id: 3, content: '' }] }), '"added_tokens[0].content"'],
    ['an added token without id', json({ added_tokens: [{ content: 'x' }] }), '"added_tokens[0].id"'],
    ['an added token on a taken id', json({ added_tokens: [{ id: 1, content: 'x' }] }), 'the id 1 of "b"'],
    ['an added token far out', json({ added_tokens: [{ id: 2 ** 33, content: 'x' }] }), 'too high'],
    ['an unknown normalizer', json({ normalizer: { type: 'Foo' } }), '"normalizer.type": expected'],
    ['a normalizer that is a string', json({ normalizer: 'NFC' }), '"normalizer": expected an object'],
    ['an unknown pre-tokenizer', json({ pre_tokenizer: { type: 'Foo' } }), '"pre_tokenizer.type": expected'],
    [
      'a broken pattern',
      json({ pre_tokenizer: { type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated' } }),
      'a regular expression that JavaScript can run',
    ],
    ['an unknown decoder', json({ decoder: { type: 'Foo' } }), '"decoder.type": expected'],
    ['an unknown post-processor', json({ post_processor: { type: 'Foo' } }), '"post_processor.type": expected'],
    [
      'a template that adds an unknown id',
      json({ post_processor: { type: 'BertProcessing', cls: ['x', 99], sep: ['x', 99] } }),
      'adds the id 99',
    ],
    ['endless nesting', nested(20_000), ''],
  ])('%s', (_name, tokenizerJson, what) => {
    const error = errorOf({ tokenizerJson });
    expect(error.code).toBe('tokenizer');
    expect(error.message).toMatch(/^tokenizer "foo": .*\. [A-Z][^.]*\.$/s);
    expect(error.message).toContain(what);
  });
});

describe('other malformed files', () => {
  it.each([
    ['nothing at all', {}, 'got neither'],
    ['merges missing', { vocabJson: '{"a":0}' }, 'got only vocab.json'],
    ['vocabulary missing', { mergesTxt: '' }, 'got only merges.txt'],
    ['vocab.json not JSON', { vocabJson: 'x', mergesTxt: '' }, 'vocab.json is not JSON'],
    [
      'tokenizer_config.json not JSON',
      { tokenizerJson: bundledJson, tokenizerConfig: '{' },
      'tokenizer_config.json is not',
    ],
    [
      'a role that is a number',
      { tokenizerJson: bundledJson, tokenizerConfig: '{"bos_token":1}' },
      '"bos_token": expected',
    ],
    [
      'a chat template that is a number',
      { tokenizerJson: bundledJson, tokenizerConfig: '{"chat_template":1}' },
      '"chat_template"',
    ],
    [
      'special_tokens_map.json not JSON',
      { tokenizerJson: bundledJson, specialTokensMap: '' },
      'special_tokens_map.json is not',
    ],
    ['addBosToken without a BOS', { tokenizerJson: json({}), addBosToken: true }, 'addBosToken is true'],
  ])('%s', (_name, files, what) => {
    const error = errorOf(files);
    expect(error.code).toBe('tokenizer');
    expect(error.message).toContain(what);
  });

  it('survives a file cut off or changed anywhere', () => {
    const whole = sentencePieceJson();
    for (let at = 1; at < whole.length; at += 37) {
      for (const broken of [whole.slice(0, at), `${whole.slice(0, at)}0${whole.slice(at)}`, whole.slice(at)]) {
        const error = caught(() => createTokenizer({ name: 'foo', tokenizerJson: broken }).encode('the hello é'));
        if (error !== undefined) expect(RelufyError.is(error), String(error)).toBe(true);
      }
    }
  });
});

describe('bad input', () => {
  const tokenizer = bundled();

  it.each([[4096], [-1], [1.5], [Number.NaN], [Number.POSITIVE_INFINITY], ['3'], [undefined], [2 ** 53]])(
    'decode refuses the id %s',
    (id) => {
      const error = caught(() => tokenizer.decode([1, id as number])) as RelufyError;
      expect(RelufyError.is(error), String(error)).toBe(true);
      expect(error.code).toBe('input');
    },
  );

  it('encode refuses what is no string', () => {
    for (const value of [undefined, null, 5, ['a'], {}]) {
      const error = caught(() => tokenizer.encode(value as unknown as string)) as RelufyError;
      expect(error.code).toBe('input');
    }
  });

  it('stop strings must not be empty', () => {
    for (const word of ['', 5])
      expect((caught(() => new StopMatcher([word as string])) as RelufyError).code).toBe('option');
  });

  it('says so when a character has no token and the unknown token is missing', () => {
    const broken = createTokenizer({ name: 'foo', tokenizerJson: withModel({ unk_token: '<unk>' }) });
    expect(broken.encode('ab')).toEqual([2]);
    const error = caught(() => broken.encode('z')) as RelufyError;
    expect(error.code).toBe('tokenizer');
    expect(error.message).toContain('"<unk>" is not in the vocabulary');
  });
});
