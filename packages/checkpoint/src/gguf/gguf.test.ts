import { readFile } from 'node:fs/promises';
import { widen } from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import { describeShared, shared } from '../../../../tools/testing/shared.js';
import { f32, floats, messageOf } from '../../testing/craft.js';
import { itSurvivesMutation } from '../../testing/fuzz.js';
import { type CraftedGguf, gguf, text, textField, u32, u32Field, u64 } from '../../testing/gguf.js';
import { type Checkpoint, memoryFiles, openCheckpoint, openGguf } from '../index.js';
import { folderFiles } from '../node.js';
import { dequantize, readableTypes } from './dequantize.js';
import { GgufFields, UndecodedText } from './metadata.js';
import { quantize, type WritableType } from './quantize.js';

const openBytes = (bytes: Uint8Array) => openGguf(memoryFiles('memory', { 'model.gguf': bytes }));
const openCrafted = (crafted: CraftedGguf) => openBytes(gguf(crafted));

describe('blocks', async () => {
  const bytes = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'));
  const fixture = JSON.parse(await readFile(new URL('../../fixtures/blocks.json', import.meta.url), 'utf8'));
  for (const [type, block] of Object.entries<{ bytes: string; values: string }>(fixture.read))
    it(`of ${type} give what gguf-py gives, bit for bit`, () => {
      expect(readableTypes).toContain(type);
      expect(new Uint8Array(dequantize(type, bytes(block.bytes)).buffer)).toEqual(bytes(block.values));
    });
  for (const [type, block] of Object.entries<{ bytes: string; values: string }>(fixture.written))
    it(`of ${type} are written as gguf-py writes them`, () => {
      const values = new Float32Array(bytes(block.values).buffer);
      expect(quantize(type as WritableType, values, 'w')).toEqual(bytes(block.bytes));
    });
});

describe('texts that are not UTF-8', () => {
  const latin = [...u64(4), 0x4d, 0xfc, 0x6c, 0x6c];
  const fields = [
    textField('general.architecture', 'llama'),
    ['general.author', [...u32(8), ...latin]],
    ['general.tags', [...u32(9, 8), ...u64(3), ...text('a'), ...latin, ...text('b')]],
    ['nested', [...u32(9, 9), ...u64(1), ...u32(8), ...u64(1), ...latin]],
  ] as const;

  it('load where nobody reads them', async () => {
    const { ggufMetadata } = await openCrafted({ fields });
    expect(ggufMetadata.get('general.architecture')).toBe('llama');
    expect(ggufMetadata.get('general.author')).toEqual(new UndecodedText(Uint8Array.of(0x4d, 0xfc, 0x6c, 0x6c)));
    expect(ggufMetadata.size).toBe(4);
    // a key is a text too
    const key = gguf({ fields: [...fields, textField('zzz', 'x')] });
    key[Buffer.from(key).indexOf('zzz')] = 0xff;
    expect((await openBytes(key)).ggufMetadata.size).toBe(5);
  });

  it('are errors that name the key where somebody does', async () => {
    const read = new GgufFields('m', (await openCrafted({ fields })).ggufMetadata);
    expect(() => read.string('general.author')).toThrow(
      'm: metadata "general.author", expected text, got "4 bytes that are not UTF-8"',
    );
    expect(() => read.strings('general.tags')).toThrow(
      'metadata "general.tags", expected UTF-8, got other bytes in text 1',
    );
  });
});

it('shows no more of a list than fits a line, where a value was expected', async () => {
  const numbers = [...u32(9, 0), ...u64(20_000), ...new Array(20_000).fill(7)];
  const texts = [...u32(9, 8), ...u64(5000), ...Array.from({ length: 5000 }, () => u64(0)).flat()];
  for (const list of [numbers, texts, [...u32(9, 10), ...u64(2), ...u64(1, 2)]]) {
    const message = await messageOf(() => openCrafted({ fields: [['general.alignment', list]] }));
    expect(message).toMatch(/"general.alignment", expected a power of two/);
    expect(message.length).toBeLessThan(300);
    const files = memoryFiles('m', { 'model.gguf': gguf({ fields: [['general.architecture', list]] }) });
    expect((await messageOf(async () => files.readText('config.json'))).length).toBeLessThan(300);
  }
});

describe('reading', () => {
  it('gives metadata of every type', async () => {
    const { ggufMetadata } = await openCrafted({
      version: 2,
      fields: [
        ['u8', [...u32(0), 200]],
        ['i8', [...u32(1), 200]],
        ['u16', [...u32(2), 0xff, 0xff]],
        ['i16', [...u32(3), 0xff, 0xff]],
        ['u32', u32(4, 0xffffffff)],
        ['i32', u32(5, 0xffffffff)],
        ['f32', [...u32(6), ...f32(1.5)]],
        ['yes', [...u32(7), 1]],
        textField('text', 'grün\ufeff'),
        ['u64', [...u32(10), ...u64(5)]],
        ['large', [...u32(10), ...u64(2n ** 63n)]],
        ['f64', [...u32(12), ...new Uint8Array(Float64Array.of(0.1).buffer)]],
        ['texts', [...u32(9, 8), ...u64(2), ...text('a'), ...text('')]],
        ['numbers', [...u32(9, 5), ...u64(2), ...u32(1, 0xffffffff)]],
        ['nested', [...u32(9, 9), ...u64(1), ...u32(5), ...u64(1), ...u32(7)]],
      ],
    });
    expect(Object.fromEntries(ggufMetadata)).toEqual({
      u8: 200,
      i8: -56,
      u16: 65535,
      i16: -1,
      u32: 0xffffffff,
      i32: -1,
      f32: 1.5,
      yes: true,
      text: 'grün\ufeff',
      u64: 5,
      large: 2n ** 63n,
      f64: 0.1,
      texts: ['a', ''],
      numbers: Int32Array.of(1, -1),
      nested: [Int32Array.of(7)],
    });
  });

  it('gives shapes in the order of PyTorch, and rows of each type', async () => {
    const data = new Uint8Array(178);
    data.set(f32(1, 2, 3, 4, 5, 6));
    data.set([0, 0x3c, 0, 0x40], 32); // f16 1, 2
    data.set([0x80, 0x3f], 64); // bf16 1
    data.set([0, 0x3c, ...Array(32).fill(0xff)], 96); // Q8_0, scale 1, -1 everywhere
    const checkpoint = await openCrafted({
      tensors: [
        { name: 'matrix', dims: [3, 2], type: 0, offset: 0 },
        { name: 'half', dims: [2], type: 1, offset: 32 },
        { name: 'brain', dims: [1], type: 30, offset: 64 },
        { name: 'block', dims: [32, 1], type: 8, offset: 96 },
        { name: 'other', dims: [32], type: 39, offset: 160 },
      ],
      data,
    });
    const rows = async (name: string, first = 0) => {
      const { dtype, data } = await checkpoint.readRows(name, first, 1);
      return [...widen(dtype, data)];
    };
    expect(checkpoint.tensors.get('matrix')?.shape).toEqual([2, 3]);
    expect(await rows('matrix', 1)).toEqual([4, 5, 6]);
    expect(await rows('half')).toEqual([1, 2]);
    expect(await rows('brain')).toEqual([1]);
    expect(await rows('block')).toEqual(Array(32).fill(-1));
    expect(await messageOf(() => checkpoint.readRows('other', 0, 1))).toMatch(/type, expected one of F32.*got MXFP4/);
  });

  it('joins split files', async () => {
    const part = (number: number, count = 2, total = 2) =>
      gguf({
        fields: [u32Field('split.no', number), u32Field('split.count', count), u32Field('split.tensors.count', total)],
        tensors: [{ name: `t${number}`, dims: [1], type: 0, offset: 0 }],
        data: f32(number),
      });
    const names = ['m-00001-of-00002.gguf', 'm-00002-of-00002.gguf'] as const;
    const open = (first: Uint8Array, second?: Uint8Array) =>
      openGguf(memoryFiles('memory', { [names[0]]: first, ...(second ? { [names[1]]: second } : {}) }));
    const checkpoint = await open(part(0), part(1));
    expect(floats((await checkpoint.readRows('t1', 0, 1)).data)).toEqual([1]);
    expect(await messageOf(() => open(part(0)))).toContain('part "m-00002-of-00002.gguf", expected beside');
    expect(await messageOf(() => open(part(1), part(0)))).toContain('expected number 1 of 2 by its name, got number 2');
    expect(await messageOf(() => open(part(0), part(1, 3)))).toContain('got number 2 of 3');
    expect(await messageOf(() => open(part(0, 2, 5), part(1)))).toContain('expected 5 in all parts, got 2');
    expect(await messageOf(() => openBytes(part(0)))).toContain('expected number 1 of 1');
    const none = memoryFiles('memory', { 'm-00001-of-00000.gguf': part(0, 1, 1) });
    expect([...(await openGguf(none)).tensors.keys()]).toEqual(['t0']);
  });

  it('wants one model in a folder', async () => {
    const two = memoryFiles('memory', { 'a.gguf': gguf(), 'b.gguf': gguf(), 'mmproj-x.gguf': gguf() });
    expect(await messageOf(() => openCheckpoint(two), 'option')).toContain('got 2 (a.gguf, b.gguf)');
    expect((await openGguf(two, 'b.gguf')).tensors.size).toBe(0);
    expect(await messageOf(() => openGguf(memoryFiles('memory', {})))).toContain('expected a GGUF file, got none');
  });
});

describe('refusing', () => {
  const tensor = (changes: object) => ({
    tensors: [{ name: 'x', dims: [4], type: 0, offset: 0, ...changes }],
    data: f32(1, 2, 3, 4),
  });
  const cases: [string, Uint8Array, RegExp][] = [
    ['an empty file', new Uint8Array(0), /begin with "GGUF", got other bytes/],
    ['another magic', gguf({ magic: 'GGML' }), /begin with "GGUF"/],
    ['PowerInfer', gguf({ magic: 'PWRI' }), /PowerInfer/],
    ['version 1', gguf({ version: 1 }), /version, expected 2 or 3, got 1/],
    ['version 4', gguf({ version: 4 }), /got 4/],
    ['big-endian bytes', gguf({ version: 3 << 24 }), /little-endian/],
    ['the end after the magic', gguf().subarray(0, 6), /4 more bytes, got the end/],
    ['a tensor count of 2^63', gguf({ tensorCount: 2n ** 63n }), /tensor count, expected below 2\^53/],
    ['more tensors than fit', gguf({ tensorCount: 1e6 }), /what 32 bytes can hold, got 1000000 tensors/],
    ['more metadata than fits', gguf({ fieldCount: 1e6 }), /what 32 bytes can hold/],
    ['metadata given twice', gguf({ fields: [u32Field('a', 1), u32Field('a', 1)] }), /"a", expected once/],
    ['a text without end', gguf({ fields: [['a', [...u32(8), ...u64(1000)]]] }), /1000 more bytes/],
    ['a text of 2^63', gguf({ fields: [['a', [...u32(8), ...u64(2n ** 63n)]]] }), /below 2\^53/],
    ['a text of gigabytes', gguf({ fields: [['a', [...u32(8), ...u64(2 ** 32)]]] }), /at most 16777216/],
    [
      'a tensor name that is not UTF-8',
      gguf({ tensors: [{ name: '\u0000', dims: [1], type: 0, offset: 0 }], data: f32(1) }).map((byte, i) =>
        i === 32 ? 0xff : byte,
      ),
      /UTF-8/,
    ],
    ['an unknown type', gguf({ fields: [['a', u32(13, 0)]] }), /type from 0 to 12, got 13/],
    [
      'a list longer than the file',
      gguf({ fields: [['a', [...u32(9, 4), ...u64(2 ** 40)]]] }),
      /file can hold, got 1099511627776/,
    ],
    ['a list of lists longer than the file', gguf({ fields: [['a', [...u32(9, 9), ...u64(1e6)]]] }), /can hold/],
    [
      'lists without end',
      gguf({
        fields: [
          [
            'a',
            Array(30)
              .fill([...u32(9), ...[]])
              .flat()
              .concat(u64(1)),
          ],
        ],
      }),
      /can hold|deep|below 2\^53/,
    ],
    [
      'deep lists',
      gguf({
        fields: [
          [
            'a',
            [
              ...u32(9),
              ...Array(6)
                .fill([...u32(9), ...u64(1)])
                .flat(),
              ...new Uint8Array(64),
            ],
          ],
        ],
      }),
      /at most 4 deep/,
    ],
    ['an alignment of 0', gguf({ fields: [u32Field('general.alignment', 0)] }), /power of two.*got 0/],
    ['an alignment of 48', gguf({ fields: [u32Field('general.alignment', 48)] }), /got 48/],
    ['an alignment of gigabytes', gguf({ fields: [u32Field('general.alignment', 2 ** 31)] }), /power of two/],
    ['an alignment of one and a half', gguf({ fields: [['general.alignment', [...u32(6), ...f32(1.5)]]] }), /got 1.5/],
    ['an alignment in words', gguf({ fields: [textField('general.alignment', 'x')] }), /got "x"/],
    [
      'a tensor given twice',
      gguf({
        tensors: [
          { name: 'x', dims: [1], type: 0, offset: 0 },
          { name: 'x', dims: [1], type: 0, offset: 32 },
        ],
        data: new Uint8Array(64),
      }),
      /"x", expected once/,
    ],
    ['five dimensions', gguf(tensor({ dims: [1, 1, 1, 1, 4] })), /at most 4 dimensions/],
    ['a size of 2^63', gguf(tensor({ dims: [2n ** 63n] })), /below 2\^53/],
    ['a product that overflows', gguf(tensor({ dims: [2 ** 40, 2 ** 40] })), /fewer than 2\^53/],
    ['an unknown tensor type', gguf(tensor({ type: 4 })), /type of GGML, got number 4/],
    ['half a block', gguf(tensor({ dims: [16], type: 2 })), /whole Q4_0 blocks of 32/],
    ['data beyond the file', gguf(tensor({ dims: [5] })), /20 bytes within the file's/],
    ['an offset of 2^63', gguf(tensor({ offset: 2n ** 63n })), /below 2\^53/],
    ['an offset off the alignment', gguf(tensor({ offset: 4 })), /multiple of 32, got 4/],
    [
      'an overlap',
      gguf({
        tensors: [
          { name: 'x', dims: [16], type: 0, offset: 0 },
          { name: 'y', dims: [8], type: 0, offset: 32 },
        ],
        data: new Uint8Array(64),
      }),
      /overlaps/,
    ],
  ];
  for (const [name, bytes, expected] of cases)
    it(name, async () => {
      expect(await messageOf(() => openBytes(bytes))).toMatch(expected);
    });
});

itSurvivesMutation('gguf', async () => {
  const original = gguf({
    fields: [
      textField('general.architecture', 'llama'),
      u32Field('llama.block_count', 1),
      ['tokens', [...u32(9, 8), ...u64(3), ...text('a'), ...text('bc'), ...text('')]],
      ['scores', [...u32(9, 6), ...u64(3), ...f32(1, 2, 3)]],
    ],
    tensors: [
      { name: 'token_embd.weight', dims: [4, 2], type: 0, offset: 0 },
      { name: 'blk.0.x', dims: [32], type: 8, offset: 32 },
      { name: 'blk.0.y', dims: [3], type: 26, offset: 96 },
    ],
    data: new Uint8Array(128),
  });
  return [
    {
      file: 'model.gguf',
      original,
      headerEnd: original.byteLength - 128,
      read: (files, opened) => readAll(openGguf(files), opened),
    },
  ];
});

async function readAll(opening: Promise<Checkpoint>, opened: () => void): Promise<void> {
  const checkpoint = await opening;
  opened();
  try {
    for (const { name, shape, dtype } of checkpoint.tensors.values())
      if (readableTypes.includes(dtype))
        await checkpoint.readRows(
          name,
          0,
          shape.slice(0, -1).reduce((a, b) => a * b, 1),
        );
  } finally {
    await checkpoint.close();
  }
}

describeShared('a real GGUF', 'models/smollm2-135m-instruct', () => {
  it('looks like a Hugging Face folder', async () => {
    const files = await folderFiles(shared('models/smollm2-135m-instruct'));
    expect(JSON.parse((await files.readText('config.json')) as string)).toMatchObject({
      model_type: 'llama',
      hidden_size: 576,
      num_key_value_heads: 3,
      rms_norm_eps: 1e-5,
      rope_theta: 100000,
      vocab_size: 49152,
      tie_word_embeddings: true,
    });
    const tokenizer = JSON.parse((await files.readText('tokenizer.json')) as string);
    expect(tokenizer.model.merges.length).toBe(48900);
    expect(tokenizer.added_tokens.length).toBe(17);
    expect(JSON.parse((await files.readText('tokenizer_config.json')) as string)).toMatchObject({
      eos_token: '<|im_end|>',
    });
    const checkpoint = await openCheckpoint(files);
    expect(checkpoint.tensors.size).toBe(272);
    expect(checkpoint.tensors.get('model.layers.29.self_attn.k_proj.weight')).toMatchObject({
      dtype: 'Q4_1',
      shape: [192, 576],
    });
    await checkpoint.close();
  });
});
