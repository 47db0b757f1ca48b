import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { altered, bundled, bundledConfig, bundledJson, sentencePiece } from './testing.js';
import { createTokenizer } from './tokenizer.js';

const plain = { addSpecialTokens: false };

describe('the bundled tokenizer', () => {
  const tokenizer = bundled();

  // Ids of Rust tokenizers 0.23.3; the comments say what the library alone gets wrong.
  it.each([
    ['Once upon a time', [935, 596, 265, 528]],
    ['²½ ٣', [133, 117, 133, 128, 227, 156, 103]], // digits that are not ASCII
    ['a\u0085b', [71, 133, 234, 72]], // a space for Unicode, not for JavaScript
    ['\ufeffhi\ufeff', [178, 126, 130, 78, 79, 178, 126, 130]], // a space for JavaScript, not for Unicode
    ['<|user|>Hi<|end|>', [3, 46, 79, 6]],
    ['12 345', [23, 24, 227, 25, 26, 27]],
    ['  \n\n x', [1838, 1266, 227, 94]],
  ])('encodes %j', (text, ids) => {
    expect(tokenizer.encode(text, plain)).toEqual(ids);
    expect(tokenizer.encode(text)).toEqual([0, ...ids]);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it('knows its special tokens', () => {
    expect([tokenizer.bosToken, tokenizer.eosToken, tokenizer.padToken]).toEqual(['<s>', '<|end|>', '<|end|>']);
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.unkId]).toEqual([0, 6, undefined]);
    expect([...tokenizer.specialIds]).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(tokenizer.vocabSize).toBe(4096);
    expect(tokenizer.tokenToId('<|user|>')).toBe(3);
    expect(tokenizer.tokenToId('toString')).toBeUndefined();
    expect(tokenizer.idToToken(3)).toBe('<|user|>');
    expect(tokenizer.idToToken(4096)).toBeUndefined();
  });

  it('leaves special tokens out when asked', () => {
    const ids = tokenizer.encode('<|user|>Hi<|end|>');
    expect(tokenizer.decode(ids)).toBe('<s><|user|>Hi<|end|>');
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe('Hi');
    expect(tokenizer.decode([])).toBe('');
  });

  it('decodes what it encoded, for any text', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.string({ unit: 'grapheme', maxLength: 60 }),
      fc.string({
        unit: fc.constantFrom(' ', '\n', '\r', '\t', 'a', "'s", '1', '<|end|>', '\u00a0', '\ufeff'),
        maxLength: 60,
      }),
    );
    fc.assert(
      fc.property(text, (s) => tokenizer.decode(tokenizer.encode(s, plain)) === s),
      { numRuns: 400 },
    );
  });

  it('takes a lone surrogate for U+FFFD', () => {
    expect(tokenizer.encode('a\ud800b', plain)).toEqual(tokenizer.encode('a\ufffdb', plain));
  });

  it('gives the bytes of single tokens', () => {
    const ids = tokenizer.encode('😀', plain);
    const bytes = ids.flatMap((id) => [...tokenizer.tokenBytes(id)]);
    expect(new TextDecoder().decode(Uint8Array.from(bytes))).toBe('😀');
    expect(tokenizer.tokenBytes(9999)).toEqual(new Uint8Array());
  });

  it('needs no more than linear time for one long word', () => {
    const start = performance.now();
    for (const unit of ['a', ' ', '\n', '😀', '!']) {
      expect(tokenizer.decode(tokenizer.encode(unit.repeat(100_000), plain)).length).toBe(100_000 * unit.length);
    }
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});

describe('a SentencePiece-like tokenizer', () => {
  const tokenizer = sentencePiece();

  it('prepends a space, and the decoder takes it away', () => {
    const ids = tokenizer.encode('the hello');
    expect(ids.map((id) => tokenizer.idToToken(id))).toEqual(['<s>', '▁the', '▁', 'hello']);
    expect(tokenizer.decode(ids.slice(1))).toBe('the hello');
    expect(tokenizer.encode('')).toEqual([1]);
    expect(tokenizer.bosToken).toBe('<s>');
  });

  it('falls back to bytes, and back', () => {
    const ids = tokenizer.encode('é日😀', plain);
    expect(ids.map((id) => tokenizer.idToToken(id))).toEqual([
      '▁',
      '<0xC3>',
      '<0xA9>',
      '日',
      '<0xF0>',
      '<0x9F>',
      '<0x98>',
      '<0x80>',
    ]);
    expect(tokenizer.decode(ids)).toBe('é日😀');
    expect(tokenizer.tokenBytes(tokenizer.tokenToId('<0xC3>')!)).toEqual(Uint8Array.of(0xc3));
    expect(new TextDecoder().decode(tokenizer.tokenBytes(tokenizer.tokenToId('▁the')!))).toBe(' the');
  });

  it('writes one U+FFFD for each byte of a run that is not UTF-8, as Rust does', () => {
    const id = (byte: string): number => tokenizer.tokenToId(`<0x${byte}>`)!;
    expect(tokenizer.decode([id('E6'), id('97'), id('A5'), id('FF')])).toBe('\ufffd'.repeat(4));
    expect(tokenizer.decode([id('EF'), id('BB'), id('BF')])).toBe('\ufeff');
  });

  it('cuts long texts into words without changing ids', () => {
    const words = 'the hello  cat, the end! ';
    const long = tokenizer.encode(words.repeat(40), plain);
    const short = tokenizer.encode(words, plain);
    // Only the joint between two copies may differ: "! " and "the" meet there.
    expect(long.slice(0, short.length - 1)).toEqual(short.slice(0, -1));
    expect(tokenizer.decode(long)).toBe(words.repeat(40));
  });
});

describe('added tokens', () => {
  const token = (id: number, content: string, flags: object = {}) => ({
    id,
    content,
    special: true,
    normalized: false,
    single_word: false,
    lstrip: false,
    rstrip: false,
    ...flags,
  });
  const tokenizer = altered({
    added_tokens: [
      token(4096, '[L]', { lstrip: true }),
      token(4097, '[R]', { rstrip: true }),
      token(4098, 'WORD', { single_word: true }),
      token(4099, '[LONG'),
      token(4100, '[LONGER]'),
    ],
  });
  const encode = (text: string): number[] => tokenizer.encode(text, plain);

  it('takes the spaces that belong to them', () => {
    expect(encode('a  [L] b')).toEqual([...encode('a'), 4096, ...encode(' b')]);
    expect(encode('a [R] \n b')).toEqual([...encode('a '), 4097, ...encode('b')]);
    expect(encode('[R]  [L]')).toEqual([4097, 4096]);
  });

  it('finds single words only', () => {
    expect(encode('WORD')).toEqual([4098]);
    expect(encode('a WORD.')).toEqual([...encode('a '), 4098, ...encode('.')]);
    for (const text of ['WORDS', 'éWORD', '_WORD', 'WORD1']) expect(encode(text)).not.toContain(4098);
  });

  it('prefers the longest', () => {
    expect(encode('[LONGER]')).toEqual([4100]);
    expect(encode('[LONGE')).toEqual([4099, ...encode('E')]);
  });
});

describe('special tokens around the text', () => {
  const create = (config: object, addBosToken?: boolean) =>
    createTokenizer({
      name: 'framed',
      tokenizerJson: bundledJson,
      tokenizerConfig: JSON.stringify({ ...(JSON.parse(bundledConfig) as object), ...config }),
      addBosToken,
    }).encode('');

  it('follows tokenizer_config.json, and above it the call', () => {
    expect(create({})).toEqual([0]);
    expect(create({ add_bos_token: false })).toEqual([]);
    expect(create({ add_eos_token: true })).toEqual([0, 6]);
    expect(create({ add_bos_token: false }, true)).toEqual([0]);
    expect(create({ add_bos_token: true }, false)).toEqual([]);
  });

  it('reads roles written as objects', () => {
    const tokenizer = createTokenizer({
      name: 'roles',
      tokenizerJson: bundledJson,
      specialTokensMap: JSON.stringify({ bos_token: { content: '<s>' }, eos_token: '</s>', pad_token: '<unk>' }),
      tokenizerConfig: JSON.stringify({ eos_token: { content: '<|end|>' } }),
    });
    expect([tokenizer.bosToken, tokenizer.eosToken, tokenizer.padToken]).toEqual(['<s>', '<|end|>', '<unk>']);
  });
});

describe('vocab.json and merges.txt', () => {
  const vocab = { a: 0, b: 1, Ġ: 2, ab: 3, Ġab: 4, '#': 5, '##': 6, '<|endoftext|>': 7 };
  const tokenizer = createTokenizer({
    name: 'small',
    vocabJson: JSON.stringify(vocab),
    mergesTxt: '#version: 0.2\na b\nĠ ab\n# #\n',
  });

  it('makes a GPT-2 tokenizer', () => {
    expect(tokenizer.encode('ab ab##<|endoftext|>')).toEqual([3, 4, 6, 7]);
    expect(tokenizer.decode([3, 4, 6, 7])).toBe('ab ab##<|endoftext|>');
    expect([tokenizer.bosToken, tokenizer.eosId]).toEqual(['<|endoftext|>', 7]);
  });
});

it('added_tokens.json with the ids of GPT-2', () => {
  const tokenizer = createTokenizer({
    name: 'gpt2',
    vocabJson: JSON.stringify({ H: 39, i: 72, Hi: 17250, '<|endoftext|>': 50256 }),
    mergesTxt: '#version: 0.2\nH i',
    addedTokensJson: JSON.stringify({ '<|user|>': 50257, '<|assistant|>': 50258 }),
  });
  expect(tokenizer.encode('<|user|>Hi<|assistant|>')).toEqual([50257, 17250, 50258]);
});

it('added_tokens.json beside vocab.json and merges.txt', () => {
  const tokenizer = createTokenizer({
    name: 'old',
    vocabJson: JSON.stringify({ H: 0, i: 1, Hi: 2, '<|endoftext|>': 3 }),
    mergesTxt: '#version: 0.2\nH i',
    addedTokensJson: JSON.stringify({ '<|user|>': 4, '<|assistant|>': 5 }),
    specialTokensMap: JSON.stringify({ additional_special_tokens: ['<|user|>'] }),
  });
  expect(tokenizer.encode('<|user|>Hi<|assistant|>')).toEqual([4, 2, 5]);
  expect([...tokenizer.specialIds].sort()).toEqual([3, 4]);
  expect(tokenizer.vocabSize).toBe(6);
});
