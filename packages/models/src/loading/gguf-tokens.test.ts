// A model means the same before it becomes a GGUF and after: the same ids end an answer, every text has the same ids,
// every id the same text, a chat the same prompt. Read back by our own reader, loaded both times.
import { type ModelFiles, openGguf } from '@relufy/checkpoint';
import { RelufyError } from '@relufy/tensor';
import { StreamDetokenizer, type Tokenizer } from '@relufy/tokenizer';
import { describe, expect, it } from 'vitest';
import { loadModel } from '../node.js';
import {
  byteLevel,
  type Changes,
  tinyConfig as config,
  tinyFolder as folder,
  toGguf,
  tinyTokenizerConfig as tokenizerConfig,
} from '../testing/tiny-folder.js';

const vocabSize = config.vocab_size;

const withUnknown = {
  ...byteLevel,
  added_tokens: [...byteLevel.added_tokens, { id: 10, content: '?', special: true, normalized: false }],
  model: { ...byteLevel.model, unk_token: '?', vocab: { ...byteLevel.model.vocab, '?': 10 } },
};
const sentencePiece = {
  ...byteLevel,
  added_tokens: [
    { id: 0, content: '<unk>', special: true, normalized: true },
    { id: 1, content: '<s>', special: true, normalized: true },
    { id: 2, content: '</s>', special: true, normalized: true },
  ],
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  pre_tokenizer: null,
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
  model: {
    type: 'BPE',
    byte_fallback: true,
    unk_token: '<unk>',
    fuse_unk: true,
    vocab: { '<unk>': 0, '<s>': 1, '</s>': 2, '<0x0A>': 3, '▁': 4, a: 5, b: 6, '▁a': 7, ab: 8 },
    merges: ['▁ a', 'a b'],
  },
};
const bosFirst = {
  type: 'TemplateProcessing',
  single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
  special_tokens: { '<s>': { id: '<s>', ids: [8], tokens: ['<s>'] } },
};
const aroundText = (...ids: number[]) => ({
  type: 'TemplateProcessing',
  single: [...ids.map((id) => ({ SpecialToken: { id: `t${id}`, type_id: 0 } })), { Sequence: { id: 'A', type_id: 0 } }],
  special_tokens: Object.fromEntries(ids.map((id) => [`t${id}`, { id: `t${id}`, ids: [id], tokens: [`t${id}`] }])),
});

const texts = [
  'ab a',
  'a<tool>b',
  'a <tool> b',
  'a<s>b</s>',
  '<mask>a',
  ' <end>\na',
  'x',
  '<|one|>a<|two|>',
  '[PAD30]',
];

async function meaning(files: ModelFiles) {
  await using model = await loadModel(files, { backend: 'reference' });
  const tokenizer = model.tokenizer as Tokenizer;
  const textOf = (id: number, skipSpecialTokens: boolean) => {
    const stream = new StreamDetokenizer(tokenizer, { skipSpecialTokens });
    return stream.push(5) + stream.push(id) + stream.push(5) + stream.flush();
  };
  const ids = Array.from({ length: vocabSize }, (_, id) => id);
  return {
    ends: model.eosTokenIds,
    special: [...tokenizer.specialIds].sort((a, b) => a - b),
    roles: [tokenizer.bosToken, tokenizer.eosToken, tokenizer.unkToken, tokenizer.padToken],
    ids: texts.map((text) => tokenizer.encode(text)),
    bare: texts.map((text) => tokenizer.encode(text, { addSpecialTokens: false })),
    texts: ids.map((id) => textOf(id, false)),
    shown: ids.map((id) => textOf(id, true)),
    tokens: ids.map((id) => tokenizer.idToToken(id)),
    chat: tokenizer.hasChatTemplate ? tokenizer.applyChatTemplate([{ role: 'user', content: 'a' }]) : undefined,
  };
}

async function expectTheSame(changes: Changes) {
  const files = await folder(changes);
  const before = await meaning(files);
  expect(await meaning(await toGguf(files))).toEqual(before);
  return before;
}

const inDecoder = (tokens: Record<number, object>) => ({
  'tokenizer_config.json': { ...tokenizerConfig, added_tokens_decoder: tokens },
});
const generation = (value: object) => ({ 'generation_config.json': value });

describe('what ends an answer', () => {
  const cases: [string, Changes, number[]][] = [
    ['three ids', generation({ eos_token_id: [10, 11, 12] }), [10, 11, 12]],
    ['one that is not the tokenizer’s', generation({ eos_token_id: 10 }), [10]],
    ['the tokenizer’s last of three', generation({ eos_token_id: [10, 11, 9] }), [10, 11, 9]],
    ['five ids', generation({ eos_token_id: [10, 9, 12, 13, 14] }), [10, 9, 12, 13, 14]],
    ['two, one of them id 0', generation({ eos_token_id: [9, 0] }), [9, 0]],
    ['config.json alone', { 'config.json': { ...config, eos_token_id: [10, 11] } }, [10, 11]],
    [
      'config.json where generation_config.json says none',
      { 'config.json': { ...config, eos_token_id: 10 }, ...generation({ eos_token_id: [] }) },
      [10],
    ],
    [
      'generation_config.json over config.json',
      { 'config.json': { ...config, eos_token_id: 10 }, ...generation({ eos_token_id: 11 }) },
      [11],
    ],
    ['the tokenizer alone', {}, [9]],
    ['nothing', { 'tokenizer_config.json': {} }, []],
  ];
  for (const [name, changes, ends] of cases)
    it(name, async () => {
      expect((await expectTheSame(changes)).ends).toEqual(ends);
    });

  it('other software finds three of them, and the rest of generation_config.json stays', async () => {
    const said = {
      eos_token_id: [10, 9, 12, 13],
      pad_token_id: 14,
      temperature: 0.6,
      do_sample: true,
      bos_token_id: 3,
    };
    const gguf = await toGguf(await folder(generation({ ...said, transformers_version: '5' })));
    const { ggufMetadata } = await openGguf(gguf);
    const ids = ['eos', 'eot', 'eom'].map((name) => ggufMetadata.get(`tokenizer.ggml.${name}_token_id`));
    expect(ids).toEqual([9, 10, 12]);
    expect(JSON.parse((await gguf.readText('generation_config.json')) ?? '')).toEqual(said);
  });

  it('refuses ids that are none', async () => {
    for (const [file, eos] of [
      ['generation_config.json', 40],
      ['generation_config.json', [9, -1]],
      ['config.json', '9'],
    ] as const) {
      const files = await folder({ [file]: { ...config, eos_token_id: eos } });
      const error = await toGguf(files).catch((reason: unknown) => reason);
      expect(RelufyError.is(error)).toBe(true);
      expect((error as Error).message).toContain(`tiny/${file}: "eos_token_id", expected token ids below 40`);
    }
  });
});

describe('tokens and text', () => {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  const cases: [string, Changes][] = [
    ['none but those of tokenizer.json', {}],
    ['no added tokens at all', { 'tokenizer.json': { ...byteLevel, added_tokens: [] }, 'tokenizer_config.json': {} }],
    ['in added_tokens_decoder only', inDecoder({ 10: { content: '<tool>' }, 11: { content: '<end>', special: true } })],
    ['with gaps between', inDecoder({ 20: { content: '<tool>', ...flags }, 39: { content: '<end>', special: true } })],
    ['that take spaces', inDecoder({ 10: { content: '<end>', ...flags, special: true, lstrip: true, rstrip: true } })],
    ['that stand as words only', inDecoder({ 10: { content: '<tool>', ...flags, single_word: true } })],
    [
      'in additional_special_tokens, of the vocabulary',
      {
        'tokenizer.json': {
          ...byteLevel,
          model: { ...byteLevel.model, vocab: { ...byteLevel.model.vocab, '<|one|>': 15, '<|two|>': 16 } },
        },
        'special_tokens_map.json': {
          ...tokenizerConfig,
          additional_special_tokens: ['<|one|>', { content: '<|two|>' }],
        },
        'tokenizer_config.json': {},
      },
    ],
    [
      'in added_tokens.json, beside vocab.json and merges.txt',
      {
        'tokenizer.json': null,
        'vocab.json': { ...byteLevel.model.vocab, '<s>': 8, '</s>': 9, '<|endoftext|>': 10 },
        'merges.txt': '#version: 0.2\na b\nĠ a\n',
        'added_tokens.json': { '<tool>': 12, '<mask>': 30 },
        'special_tokens_map.json': { mask_token: '<mask>' },
      },
    ],
    ['one that looks like a filled row', inDecoder({ 31: { content: '[PAD30]', special: true } })],
    [
      'roles that differ from config.json',
      {
        'config.json': { ...config, bos_token_id: 1, eos_token_id: 2, pad_token_id: -1 },
        'tokenizer_config.json': { eos_token: '<s>', pad_token: { content: '</s>' }, chat_template: '{{ eos_token }}' },
      },
    ],
    ['an unknown symbol, written as an added token', { 'tokenizer.json': withUnknown }],
    ['a BOS of the template', { 'tokenizer.json': { ...byteLevel, post_processor: bosFirst } }],
    [
      'a BOS that only the template names',
      { 'tokenizer.json': { ...byteLevel, post_processor: bosFirst }, 'tokenizer_config.json': {} },
    ],
    [
      'a BOS of the template that the config takes away',
      {
        'tokenizer.json': { ...byteLevel, post_processor: bosFirst },
        'tokenizer_config.json': { ...tokenizerConfig, add_bos_token: false },
      },
    ],
    [
      'BOS and EOS of the config',
      { 'tokenizer_config.json': { ...tokenizerConfig, add_bos_token: true, add_eos_token: true } },
    ],
    [
      'an EOS around texts that ends no answer',
      { 'tokenizer_config.json': { ...tokenizerConfig, add_eos_token: true }, ...generation({ eos_token_id: 10 }) },
    ],
    ['two tokens before the text', { 'tokenizer.json': { ...byteLevel, post_processor: aroundText(8, 9) } }],
    ['another token than BOS before the text', { 'tokenizer.json': { ...byteLevel, post_processor: aroundText(9) } }],
    ['SentencePiece', { 'tokenizer.json': sentencePiece }],
    [
      'SentencePiece with added tokens, and a decoder of its own',
      {
        'tokenizer.json': {
          ...sentencePiece,
          decoder: { type: 'Sequence', decoders: sentencePiece.decoder.decoders.slice(0, 3) },
        },
        ...inDecoder({ 20: { content: '<tool>' }, 21: { content: '<end>', special: true, rstrip: true } }),
      },
    ],
  ];
  for (const [name, changes] of cases)
    it(name, async () => {
      await expectTheSame(changes);
    });

  it('are what they were, not filled rows', async () => {
    const gguf = await toGguf(await folder(inDecoder({ 12: { content: '<tool>' } })));
    const { tokens, ids } = await meaning(gguf);
    expect(tokens.slice(9, 14)).toEqual(['</s>', undefined, undefined, '<tool>', undefined]);
    expect(ids[1]).toEqual([0, 12, 1]);
    const stored = (await openGguf(gguf)).ggufMetadata.get('tokenizer.ggml.tokens') as string[];
    expect(stored.slice(10, 14)).toEqual(['[PAD10]', '[PAD11]', '<tool>', '[PAD13]']);
  });

  it('keeps nothing in our own keys that GGUF has keys for', async () => {
    const { ggufMetadata } = await openGguf(await toGguf(await folder(generation({ eos_token_id: [9, 10, 11] }))));
    expect([...ggufMetadata.keys()].filter((key) => key.startsWith('relufy.'))).toEqual(['relufy.config']); // ReLU
  });

  const refused: [string, Changes, string][] = [
    [
      'an id beyond the model',
      inDecoder({ 40: { content: '<tool>' } }),
      'token "<tool>", expected an id below the model\'s 40',
    ],
    [
      'an id of another token',
      inDecoder({ 4: { content: '<tool>' } }),
      'token "<tool>", expected an id of its own, got 4 of "ab"',
    ],
    ['an id that is none', inDecoder({ x: { content: '<tool>' } } as never), 'got "x"'],
    [
      'an added token without text',
      { 'tokenizer.json': { ...byteLevel, added_tokens: [{ id: 8 }] } },
      'expected its "content"',
    ],
    [
      'merges that are none',
      { 'tokenizer.json': { ...byteLevel, model: { ...byteLevel.model, merges: [3] } } },
      '"merges", expected two symbols, got 3',
    ],
    ['a tokenizer of no files', { 'tokenizer.json': null }, 'tokenizer.json, expected in the folder, got none'],
  ];
  for (const [name, changes, message] of refused)
    it(`refuses ${name}`, async () => {
      const files = await folder(changes);
      const error = await toGguf(files).catch((reason: unknown) => reason);
      expect(RelufyError.is(error), String(error)).toBe(true);
      expect((error as Error).message).toContain(message);
    });
});
