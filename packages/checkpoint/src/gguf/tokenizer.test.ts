import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { describeShared, shared } from '../../../../tools/testing/shared.js';
import { f32, messageOf } from '../../testing/craft.js';
import { gguf, text, textField, u32, u32Field, u64 } from '../../testing/gguf.js';
import { json, model, toGguf } from '../../testing/tiny-model.js';
import { type GgufMetadata, type GgufValue, ggufTokenizer, memoryFiles } from '../index.js';
import { folderFiles } from '../node.js';
import { tokenizerFields } from './export-tokenizer.js';
import { GgufConfig } from './gguf-config.js';
import { preTokenizers } from './pre-tokenizers.js';
import { asRead } from './write.js';

interface TokenizerJson {
  readonly model: { readonly vocab: Record<string, number>; readonly merges: readonly (string | string[])[] };
  readonly added_tokens: readonly { readonly id: number; readonly content: string }[];
}

it('a stub config beside a GGUF does not count, a tokenizer does', async () => {
  const source = (await (await toGguf(await model())).open('model.gguf'))!;
  const bytes = await source.read(0, source.size);
  const files = memoryFiles('folder', {
    'm.gguf': bytes,
    'config.json': '{"model_type":"llama"}',
    'tokenizer.json': '{"a":1}',
  });
  expect(await json(files, 'config.json')).toMatchObject({ hidden_size: 64 });
  expect(await json(files, 'tokenizer.json')).toEqual({ a: 1 });
  expect(await files.readText('vocab.json')).toBeUndefined();
  const beside = memoryFiles('folder', { 'm.gguf': bytes, 'config.json': '{}', 'model.safetensors': bytes });
  expect(await beside.readText('config.json')).toBe('{}');
});

it('SentencePiece tokenizers come back, scores or merges', async () => {
  const vocab = { '<unk>': 0, '<s>': 1, '<0x0A>': 2, '▁': 3, a: 4, b: 5, '▁a': 6, ab: 7, '▁ab': 8 };
  const merges = [
    ['▁', 'a'],
    ['a', 'b'],
    ['▁', 'ab'],
    ['▁a', 'b'],
  ];
  const tokenizer = {
    added_tokens: [
      { id: 0, content: '<unk>', special: true },
      { id: 1, content: '<s>', special: true },
    ],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    model: { type: 'BPE', vocab, merges, byte_fallback: true, unk_token: '<unk>' },
  };
  const after = await json(await toGguf(await model({ tokenizer })), 'tokenizer.json');
  expect(after.model).toMatchObject({ vocab, merges, byte_fallback: true, unk_token: '<unk>' });
  expect(after.normalizer).toEqual(tokenizer.normalizer);
  expect(after.added_tokens).toMatchObject(tokenizer.added_tokens);
});

it('rows that only fill the embedding up cost little, however many', async () => {
  const count = 200_000;
  const tokens = Array.from(
    { length: count },
    (_, id) => (id < 2 ? 'ab'[id] : `[PAD${id}${id % 2 ? '_' : ''}]`) as string,
  );
  const metadata: GgufMetadata = new Map<string, GgufValue>([
    ['tokenizer.ggml.model', 'gpt2'],
    ['tokenizer.ggml.pre', 'gpt-2'],
    ['tokenizer.ggml.tokens', tokens],
    ['tokenizer.ggml.token_type', Int32Array.from(tokens, (_, id) => (id < 2 ? 1 : 5))],
    ['tokenizer.ggml.merges', []],
  ]);
  const began = process.cpuUsage();
  const { model } = ggufTokenizer(metadata).tokenizerJson as { model: { vocab: Record<string, number> } };
  expect(process.cpuUsage(began).user / 1e6).toBeLessThan(1.5);
  expect(model.vocab).toEqual({ a: 0, b: 1 });
});

it('a vocabulary without added tokens gets none, though every type of its is normal', async () => {
  const vocab = { a: 0, b: 1, c: 2, d: 3, e: 4, f: 5, g: 6, h: 7, xyz: 8 };
  const tokenizer = { added_tokens: [], post_processor: null, model: { type: 'BPE', vocab, merges: [] } };
  const files = await model({ tokenizer, files: { 'tokenizer_config.json': '{}' } });
  expect((await json(await toGguf(files), 'tokenizer.json')).added_tokens).toEqual([]);
});

it('a GGUF with a vocabulary only gives config and tokenizer', async () => {
  // as llama.cpp's ggml-vocab-falcon.gguf, which is older than the types of tokens: all are said to be normal
  const tokens = ['>>TITLE<<', '>>ABSTRACT<<', '<|endoftext|>', '!', 'a', 'b', 'ab'];
  const list = (values: readonly number[][], type: number) => [
    ...u32(9, type),
    ...u64(values.length),
    ...values.flat(),
  ];
  const sizes = { context_length: 2048, embedding_length: 4544, feed_forward_length: 18176, block_count: 32 };
  const bytes = gguf({
    version: 2,
    fields: [
      textField('general.architecture', 'falcon'),
      ...Object.entries(sizes).map(([key, value]) => u32Field(`falcon.${key}`, value)),
      u32Field('falcon.attention.head_count', 71),
      u32Field('falcon.attention.head_count_kv', 1),
      ['falcon.attention.layer_norm_epsilon', [...u32(6), ...f32(1e-5)]],
      textField('tokenizer.ggml.model', 'gpt2'),
      ['tokenizer.ggml.tokens', list(tokens.map(text), 8)],
      [
        'tokenizer.ggml.token_type',
        list(
          tokens.map(() => u32(1)),
          5,
        ),
      ],
      ['tokenizer.ggml.merges', list([text('a b')], 8)],
      u32Field('tokenizer.ggml.eos_token_id', 2),
    ],
  });
  const files = memoryFiles('vocabulary', { 'ggml-vocab-falcon.gguf': bytes });
  expect(JSON.parse((await files.readText('config.json')) as string)).toMatchObject({
    model_type: 'falcon',
    multi_query: true,
    num_attention_heads: 71,
    vocab_size: tokens.length,
  });
  const { added_tokens, pre_tokenizer } = JSON.parse((await files.readText('tokenizer.json')) as string);
  expect(added_tokens.map(({ content }: { content: string }) => content)).toContain('>>TITLE<<');
  expect(pre_tokenizer.pretokenizers[0].type).toBe('Punctuation');
});

type Case = readonly [name: string, parts: readonly string[]];
const published: readonly Case[] = [
  ['smollm2', []],
  ['llama3', []],
  ['mistral_v02', []],
  ['llama2', ['added_tokens', 'merges']], // looked for in normalised text; runs of spaces are merged in another order
  ['gpt2', ['added_tokens']],
];
// those of tools/goldens: bytes, bytes behind a pattern, pieces that fall back to bytes
const small: readonly Case[] = [
  ['byte-level', []],
  ['byte-level-split', []],
  ['byte-fallback', ['merges']],
];

describeShared('tokenizers', 'tokenizers', () => {
  it.each(existsSync(shared('tokenizers/smollm2')) ? published : small)(
    '%s comes back as it was; our own keys say what GGUF cannot: %j',
    async (name, parts) => {
      const files = await folderFiles(shared(`tokenizers/${name}`));
      const source = (await json(files, 'tokenizer.json')) as unknown as TokenizerJson;
      const added = source.added_tokens.map(({ content, id }): [string, number] => [content, id]);
      const byId = ([, a]: [string, number], [, b]: [string, number]) => a - b;
      const tokens = [...new Map([...Object.entries(source.model.vocab), ...added])].sort(byId);
      const fields = await tokenizerFields(files, new GgufConfig('config', { vocab_size: tokens.length }));
      const metadata = new Map(fields.map(([key, field]) => [key, asRead(field)]));
      const ours = JSON.parse((metadata.get('relufy.tokenizer') as string | undefined) ?? '{}');
      expect(Object.keys(ours)).toEqual(parts);
      const { tokenizerJson } = ggufTokenizer(metadata);
      expect(tokenizerJson.added_tokens).toEqual(source.added_tokens);
      const after = tokenizerJson.model as TokenizerJson['model'];
      const text = (merge: string | string[]): string => [merge].flat().join(' ');
      // as one text: comparing 128,000 entries one by one takes seconds
      expect(JSON.stringify(Object.entries(after.vocab).sort(byId))).toBe(JSON.stringify(tokens));
      expect(after.merges.map(text).join('\n')).toBe(source.model.merges.map(text).join('\n'));
    },
  );
});

describe('byte-level BPE', () => {
  const metadata = (changes: Record<string, GgufValue> = {}): GgufMetadata =>
    new Map<string, GgufValue>(
      Object.entries({
        'general.architecture': 'llama',
        'tokenizer.ggml.model': 'gpt2',
        'tokenizer.ggml.pre': 'llama-bpe',
        'tokenizer.ggml.tokens': ['a', 'b', 'ab', '<s>', ''],
        'tokenizer.ggml.token_type': Int32Array.of(1, 1, 1, 3, 5),
        'tokenizer.ggml.merges': ['a b'],
        'tokenizer.ggml.bos_token_id': 3,
        ...changes,
      }),
    );
  const tokenizer = (changes: Record<string, GgufValue>) =>
    ggufTokenizer(metadata(changes)).tokenizerJson as Record<string, never>;

  it('follows its kind of splitting', () => {
    const llama3 = tokenizer({});
    expect(llama3.model).toMatchObject({ ignore_merges: true, vocab: { '[EMPTY_4]': 4 } });
    expect(JSON.stringify(llama3.pre_tokenizer)).toContain('{1,3}');
    expect(llama3.post_processor).toMatchObject({
      single: [{ SpecialToken: { id: '<s>' } }, { Sequence: { id: 'A' } }],
    });
    expect(tokenizer({ 'tokenizer.ggml.add_bos_token': false }).post_processor).toMatchObject({
      single: [{ Sequence: {} }],
    });
    expect(tokenizer({ 'tokenizer.ggml.pre': 'gpt-2' }).post_processor).toMatchObject({ single: [{ Sequence: {} }] });
    for (const { names } of preTokenizers)
      expect(tokenizer({ 'tokenizer.ggml.pre': names[0] as string }).pre_tokenizer).toBeTruthy();
  });

  it('finds the special tokens of old files, which lost their types', () => {
    const { added_tokens } = tokenizer({
      'tokenizer.ggml.token_type': Int32Array.of(1, 1, 1, 1, 1),
      'tokenizer.ggml.pre': 'gpt-2',
    });
    expect(added_tokens).toMatchObject([{ content: '<s>', special: true }, { content: '[EMPTY_4]' }]);
  });

  it('takes several chat templates', () => {
    const { tokenizerConfig } = ggufTokenizer(
      metadata({
        'tokenizer.chat_template': 'x',
        'tokenizer.chat_templates': ['tool'],
        'tokenizer.chat_template.tool': 'y',
      }),
    );
    expect(tokenizerConfig.chat_template).toEqual([
      { name: 'default', template: 'x' },
      { name: 'tool', template: 'y' },
    ]);
  });

  const refused: [string, Record<string, GgufValue>, string][] = [
    ['an unknown model', { 'tokenizer.ggml.model': 'bert' }, 'expected gpt2 or llama, got "bert"'],
    ['an unknown kind', { 'tokenizer.ggml.pre': 'next' }, 'got "next"'],
    ['an unnamed kind', { 'tokenizer.ggml.pre': 'default' }, 'got "default"'],
    ['a token given twice', { 'tokenizer.ggml.tokens': ['a', 'b', 'a', 'c', 'd'] }, '"a" twice'],
    ['too few types', { 'tokenizer.ggml.token_type': Int32Array.of(1) }, 'expected 5 values, got 1'],
    ['a merge of one', { 'tokenizer.ggml.merges': ['ab'] }, 'expected two symbols, got "ab"'],
    ['merges of numbers', { 'tokenizer.ggml.merges': Int32Array.of(1) }, 'a list of texts'],
    [
      'a long piece',
      {
        'tokenizer.ggml.model': 'llama',
        'tokenizer.ggml.tokens': ['a'.repeat(300), 'b', 'c', 'd', 'e'],
        'tokenizer.ggml.scores': new Float32Array(5),
      },
      'at most 256 characters',
    ],
  ];
  for (const [name, changes, expected] of refused)
    it(`refuses ${name}`, async () => {
      expect(await messageOf(async () => tokenizer(changes))).toContain(expected);
    });
});
