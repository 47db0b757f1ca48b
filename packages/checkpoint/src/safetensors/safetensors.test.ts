import { describe, expect, it } from 'vitest';
import { counted, entry, f32, floats, messageOf, safetensors } from '../../testing/craft.js';
import { itSurvivesMutation } from '../../testing/fuzz.js';
import { encodeSafetensors, type ModelFiles, memoryFiles, openCheckpoint, streamSafetensors } from '../index.js';

const openBytes = (bytes: Uint8Array) => openCheckpoint(memoryFiles('memory', { 'model.safetensors': bytes }));

describe('reading', () => {
  it('gives rows of every shape', async () => {
    const bytes = safetensors(
      {
        __metadata__: { format: 'pt', __proto__x: 'y' },
        matrix: entry('F32', [2, 3], 0, 24),
        vector: entry('F32', [2], 24, 32),
        scalar: entry('F32', [], 32, 36),
        cube: entry('F32', [2, 1, 2], 36, 52),
        empty: entry('F32', [0, 4], 52, 52),
      },
      f32(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13),
    );
    const checkpoint = await openBytes(bytes);
    const rows = async (name: string, first: number, count: number) =>
      floats((await checkpoint.readRows(name, first, count)).data);
    expect(checkpoint.format).toBe('safetensors');
    expect(checkpoint.metadata).toEqual({ format: 'pt', __proto__x: 'y' });
    expect(checkpoint.totalBytes).toBe(52);
    expect(checkpoint.tensors.get('matrix')).toMatchObject({
      dtype: 'F32',
      floatDType: 'f32',
      shape: [2, 3],
      byteLength: 24,
    });
    expect(await rows('matrix', 1, 1)).toEqual([4, 5, 6]);
    expect(await rows('matrix', 0, 2)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await rows('vector', 0, 1)).toEqual([7, 8]);
    expect(await rows('scalar', 0, 1)).toEqual([9]);
    expect(await rows('cube', 1, 1)).toEqual([12, 13]);
    expect(await rows('empty', 0, 0)).toEqual([]);
    expect(await messageOf(() => checkpoint.readRows('matrix', 1, 2), 'option')).toContain('within 0 to 2');
    expect(await messageOf(() => checkpoint.readRows('other', 0, 1))).toContain('"other"');
    await checkpoint.close();
    expect(await messageOf(() => checkpoint.readRows('matrix', 0, 1), 'state')).toContain('close()');
  });

  it('opens files with integers, narrows f64, and names what it cannot read', async () => {
    const bytes = safetensors(
      {
        ids: entry('I64', [1, 2], 0, 16),
        wide: entry('F64', [2], 16, 32),
        flag: entry('BOOL', [3], 32, 35),
        nibbles: entry('F4', [2], 35, 36),
        late: entry('F32', [1], 36, 40),
      },
      Uint8Array.from([
        ...new Uint8Array(16),
        ...new Uint8Array(Float64Array.from([1.5, -0.1]).buffer),
        1,
        0,
        1,
        7,
        ...f32(4),
      ]),
    );
    const checkpoint = await openBytes(bytes);
    expect(floats((await checkpoint.readRows('wide', 0, 1)).data)).toEqual([1.5, Math.fround(-0.1)]);
    expect(floats((await checkpoint.readRows('late', 0, 1)).data)).toEqual([4]);
    expect(await messageOf(() => checkpoint.readRows('ids', 0, 1))).toContain('I64');
    expect(await messageOf(() => checkpoint.readRows('flag', 0, 1))).toContain('BOOL');
  });

  it('reads the header only, then exactly the rows asked for', async () => {
    const bytes = await encodeSafetensors([
      { name: 'w', dtype: 'F32', shape: [1000, 100], data: new Float32Array(100_000) },
    ]);
    const { files, bytes: read, largest } = counted(memoryFiles('memory', { 'model.safetensors': bytes }));
    const checkpoint = await openCheckpoint(files);
    expect(read()).toBeLessThan(400);
    await checkpoint.readRows('w', 500, 10);
    expect(largest()).toBe(4000);
    await expect(checkpoint.readRows('w', 0, 1, AbortSignal.abort(new Error('stop')))).rejects.toThrow('stop');
  });

  it('takes headers of any alignment, and elements at odd offsets', async () => {
    const bytes = safetensors(
      '{"b":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"a":{"dtype":"F32","shape":[1],"data_offsets":[3,7]}} ',
      Uint8Array.from([1, 2, 3, ...f32(2.5)]),
    );
    expect(floats((await (await openBytes(bytes)).readRows('a', 0, 1)).data)).toEqual([2.5]);
  });
});

describe('refusing', () => {
  const one = (dtype: unknown, shape: unknown, offsets: unknown) => ({ x: { dtype, shape, data_offsets: offsets } });
  const cases: [string, Uint8Array, RegExp][] = [
    ['an empty file', new Uint8Array(0), /at least 8 bytes, got 0/],
    ['seven bytes', new Uint8Array(7), /at least 8 bytes, got 7/],
    ['header length 0', safetensors('', 8), /header length.*got 0/],
    ['a header beyond the file', safetensors('{}', 0, 1000n), /expected 2 to 2 .*got 1000/],
    ['a header of 2^63', safetensors('{}', 0, 2n ** 63n), /got 9223372036854775808/],
    ['a big-endian length', safetensors('{}', 0, 2n << 56n), /got big-endian/],
    [
      'a Git LFS pointer',
      new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\noid sha256:0'),
      /git lfs pull/,
    ],
    ['a web page', new TextEncoder().encode('<!DOCTYPE html><html>'), /web page/],
    ['a GGUF', new TextEncoder().encode('GGUF\u0003\0\0\0\0\0\0\0'), /GGUF/],
    ['a header that is no JSON', safetensors('{nonsense}', 0), /JSON, expected a string, got "nonsense}"/],
    ['a header that is an array', safetensors('[]', 0), /begin with "\{", got "\["/],
    ['a header that is not UTF-8', safetensors('{}', 0).map((b, i) => (i === 9 ? 0xff : b)), /UTF-8/],
    ['rest after the header', safetensors('{} {}', 0), /expected its end/],
    ['a string without end', safetensors('{"abc', 0), /closing quote/],
    [
      'a name given twice',
      safetensors(
        '{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0078":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
        0,
      ),
      /"x", expected once/,
    ],
    ['metadata given twice', safetensors('{"__metadata__":{"a":"1","a":"2"}}', 0), /"a", expected once/],
    ['metadata that is no text', safetensors({ __metadata__: { a: 1 } }, 0), /expected a string, got "1}}"/],
    ['an entry that is no object', safetensors({ x: 1 }, 0), /expected an object/],
    [
      'an unknown key',
      safetensors({ x: { dtype: 'U8', shape: [], data_offsets: [0, 1], extra: 1 } }, 1),
      /key, expected.*"extra"/,
    ],
    ['no shape', safetensors({ x: { dtype: 'U8', data_offsets: [0, 1] } }, 1), /got no shape/],
    ['an unknown dtype', safetensors(one('F31', [1], [0, 4]), 4), /dtype, expected one of .*got "F31"/],
    ['a dtype of the prototype', safetensors(one('constructor', [1], [0, 4]), 4), /got "constructor"/],
    ['a shape that is no array', safetensors(one('F32', 1, [0, 4]), 4), /expected an array/],
    ['a negative size', safetensors(one('F32', [-1], [0, 4]), 4), /non-negative integer.*got "-1/],
    ['a fraction', safetensors(one('F32', [1.5], [0, 6]), 6), /non-negative integer.*got "1.5/],
    ['an exponent', safetensors('{"x":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}}', 1), /non-negative integer/],
    ['a size as text', safetensors(one('F32', ['1'], [0, 4]), 4), /non-negative integer/],
    [
      'a size of 2^63',
      safetensors('{"x":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]}}', 1),
      /below 2\^53/,
    ],
    ['more dimensions than any tensor', safetensors(one('U8', new Array(65).fill(1), [0, 1]), 1), /at most 64 numbers/],
    ['a product that overflows', safetensors(one('F32', [2 ** 40, 2 ** 40], [0, 4]), 4), /fewer than 2\^53/],
    ['bits that overflow', safetensors(one('F64', [2 ** 52], [0, 4]), 4), /fewer than 2\^53/],
    ['one offset', safetensors(one('F32', [1], [0]), 4), /\[begin, end\]/],
    ['a negative offset', safetensors(one('F32', [1], [-4, 0]), 4), /non-negative/],
    [
      'an offset of 2^63',
      safetensors('{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,9223372036854775808]}}', 1),
      /below 2\^53/,
    ],
    ['offsets in reverse', safetensors(one('F32', [1], [4, 0]), 4), /range within/],
    ['offsets out of the file', safetensors(one('F32', [2], [0, 8]), 4), /within the 4 bytes/],
    [
      'a size that does not fit the shape',
      safetensors(one('F32', [2], [0, 4]), 4),
      /expected 8 bytes for F32 \[2\], got 4/,
    ],
    ['half a byte', safetensors(one('F4', [1], [0, 1]), 1), /expected 0.5 bytes/],
    ['an overlap', safetensors({ a: entry('U8', [4], 0, 4), b: entry('U8', [4], 2, 6) }, 6), /overlap/],
    ['a hole', safetensors({ a: entry('U8', [4], 0, 4), b: entry('U8', [1], 5, 6) }, 6), /hole/],
    ['a hole at the start', safetensors({ a: entry('U8', [2], 2, 4) }, 4), /hole/],
    ['bytes after the last tensor', safetensors({ a: entry('U8', [2], 0, 2) }, 3), /expected 2 bytes.*got 3/],
    ['deep nesting', safetensors(`{"x":${'['.repeat(10_000)}`, 0), /expected an object/],
  ];
  for (const [name, bytes, expected] of cases)
    it(name, async () => {
      expect(await messageOf(() => openBytes(bytes))).toMatch(expected);
    });

  it('a header over the limit, before reading it', async () => {
    const size = 2 ** 32;
    const huge = {
      name: 'huge',
      size,
      read: async (offset: number, length: number) => {
        expect(length).toBeLessThan(100);
        const out = new Uint8Array(length);
        if (offset === 0) new DataView(out.buffer).setBigUint64(0, 100_000_001n, true);
        return out;
      },
      close: async () => {},
    };
    const files = {
      name: 'huge',
      open: async (file: string) => (file.endsWith('json') ? undefined : huge),
      readText: async () => undefined,
    };
    expect(await messageOf(() => openCheckpoint(files))).toContain('expected 2 to 100000000, got 100000001');
  });
});

describe('shards', () => {
  const shard = (name: string, value: number) => safetensors({ [name]: entry('F32', [1], 0, 4) }, f32(value));
  const index = (weight_map: unknown) =>
    JSON.stringify({ metadata: { total_size: 8, nested: [{ a: null, b: 'nan' }, 'inf'] }, weight_map })
      .replace('"nan"', 'NaN')
      .replace('"inf"', '-Infinity'); // as Python writes them
  const files = {
    'model.safetensors.index.json': index({ a: 'model-1.safetensors', b: 'model-2.safetensors' }),
    'model-1.safetensors': shard('a', 1),
    'model-2.safetensors': shard('b', 2),
  };
  const openWith = (changes: Record<string, Uint8Array | string | undefined>) => {
    const all = Object.entries({ ...files, ...changes }).filter(
      (pair): pair is [string, Uint8Array | string] => pair[1] !== undefined,
    );
    return openCheckpoint(memoryFiles('memory', Object.fromEntries(all)));
  };
  const indexFile = 'model.safetensors.index.json';

  it('are one checkpoint', async () => {
    const checkpoint = await openWith({});
    expect([...checkpoint.tensors.keys()]).toEqual(['a', 'b']);
    expect(checkpoint.tensors.get('b')?.file).toBe('model-2.safetensors');
    expect(floats((await checkpoint.readRows('b', 0, 1)).data)).toEqual([2]);
  });

  it('give way to a whole file beside their index, there or gone, as in transformers', async () => {
    const gone = { 'model-1.safetensors': undefined, 'model-2.safetensors': undefined };
    for (const changes of [{}, gone, { [indexFile]: 'no JSON' }]) {
      const checkpoint = await openWith({ ...changes, 'model.safetensors': shard('whole', 3) });
      expect([...checkpoint.tensors.keys()]).toEqual(['whole']);
    }
    expect((await openWith({ 'pytorch_model.bin': new Uint8Array(3) })).format).toBe('safetensors');
  });

  it('that lie get one error, and every source is closed', async () => {
    const cases: [Record<string, Uint8Array | string | undefined>, RegExp][] = [
      [{ 'model-2.safetensors': undefined }, /shard "model-2.safetensors", expected beside the index/],
      [{ 'model-2.safetensors': shard('c', 2) }, /tensor "b", expected in "model-2.safetensors"/],
      [
        { 'model-2.safetensors': safetensors({ a: entry('F32', [1], 0, 4), b: entry('F32', [1], 4, 8) }, 8) },
        /tensor "a", expected in one file/,
      ],
      [{ 'model-2.safetensors': new Uint8Array(3) }, /model-2.safetensors: safetensors, expected at least 8 bytes/],
      [{ [indexFile]: index({ a: '../../etc/passwd' }) }, /weight_map of "a": file name.*"..\/..\/etc\/passwd"/],
      [{ [indexFile]: index({ a: '/etc/passwd' }) }, /file name/],
      [{ [indexFile]: index({ a: 'C:\\x' }) }, /file name/],
      [{ [indexFile]: index({ a: 'x\0y' }) }, /file name/],
      [{ [indexFile]: index({ a: 1 }) }, /expected a string/],
      [{ [indexFile]: '{"weight_map":{"a":"x","a":"y"}}' }, /"a", expected once/],
      [{ [indexFile]: '{}' }, /expected a "weight_map"/],
      [{ [indexFile]: '' }, /expected an object, got the end/],
      [{ [indexFile]: `{"metadata":${'['.repeat(1e6)}` }, /at most 64 levels/],
    ];
    for (const [changes, expected] of cases) {
      expect(await messageOf(() => openWith(changes))).toMatch(expected);
    }
    const twice = { 'model-2.safetensors': safetensors({ a: entry('F32', [1], 0, 4), b: entry('F32', [1], 4, 8) }, 8) };
    for (const changes of [{ 'model-2.safetensors': new Uint8Array(3) }, twice]) {
      const { files: watched, open } = counted(memoryFiles('memory', { ...files, ...changes }));
      await messageOf(() => openCheckpoint(watched));
      expect(open()).toBe(0);
    }
  });

  it('missing altogether: the error names what was looked for', async () => {
    expect(await messageOf(() => openCheckpoint(memoryFiles('memory', {})))).toMatch(
      /model.safetensors, model.safetensors.index.json/,
    );
  });
});

describe('writing', () => {
  const tensors = [
    { name: 'half', dtype: 'F16', shape: [3], data: new Uint16Array([1, 2, 3]) },
    { name: '7', dtype: 'F32', shape: [2, 8], data: Float32Array.from({ length: 16 }, (_, i) => i) },
    { name: '__proto__', dtype: 'U8', shape: [1], data: Uint8Array.of(9) },
    { name: 'piecewise', dtype: 'F32', shape: [2], data: () => [f32(5), f32(6)] },
  ];

  it('is read back, at any alignment', async () => {
    for (const alignment of [8, 64, 4096]) {
      const bytes = await encodeSafetensors(tensors, { metadata: { layout: 'a "quoted" one' }, alignment });
      const checkpoint = await openBytes(bytes);
      expect([...checkpoint.tensors.keys()].sort()).toEqual(['7', '__proto__', 'half', 'piecewise']);
      expect(checkpoint.metadata).toEqual({ layout: 'a "quoted" one' });
      expect(floats((await checkpoint.readRows('7', 1, 1)).data)).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
      expect(floats((await checkpoint.readRows('piecewise', 0, 1)).data)).toEqual([5, 6]);
      const header = JSON.parse(
        new TextDecoder().decode(bytes.subarray(8, 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true)))),
      );
      const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
      for (const name of ['half', '7', 'piecewise'])
        expect((start + header[name].data_offsets[0]) % (alignment === 8 ? 2 : alignment)).toBe(0);
    }
  });

  it('streams, and holds each tensor to its size', async () => {
    const pieces: number[] = [];
    for await (const piece of streamSafetensors(tensors)) pieces.push(piece.byteLength);
    expect(pieces).toEqual([pieces[0], 64, 4, 4, 6, 1]);
    const wrong = (data: Uint8Array) => encodeSafetensors([{ name: 'x', dtype: 'F32', shape: [2], data }]);
    expect(await messageOf(() => wrong(f32(1)), 'option')).toContain('expected 8 bytes for F32 [2], got 4');
    expect(await messageOf(() => wrong(f32(1, 2, 3)), 'option')).toContain('got more');
    expect(await messageOf(() => encodeSafetensors([...tensors, ...tensors]), 'option')).toContain('"half"');
    expect(await messageOf(() => encodeSafetensors([], { alignment: 12 }), 'option')).toContain('12');
  });
});

itSurvivesMutation('safetensors', async () => {
  const original = await encodeSafetensors(
    [
      { name: 'a.weight', dtype: 'F32', shape: [4, 3], data: new Float32Array(12) },
      { name: 'b', dtype: 'BF16', shape: [5], data: new Uint16Array(5) },
      { name: 'c', dtype: 'I64', shape: [2], data: new BigInt64Array(2) },
    ],
    { metadata: { format: 'pt' } },
  );
  return [{ file: 'model.safetensors', original, headerEnd: original.byteLength - 74, read: readAll }];
});

itSurvivesMutation('shard index', async () => {
  const original = new TextEncoder().encode(
    '{"metadata":{"total_size":4,"x":[1,null]},"weight_map":{"a":"one","b":"two"}}',
  );
  const shard = (name: string) => safetensors({ [name]: entry('F32', [1], 0, 4) }, f32(1));
  const shards = memoryFiles('shards', { one: shard('a'), two: shard('b') });
  const withShards = (files: ModelFiles): ModelFiles => ({
    ...files,
    open: async (file, signal) => (await files.open(file, signal)) ?? (await shards.open(file, signal)),
  });
  return [
    {
      file: 'model.safetensors.index.json',
      original,
      headerEnd: original.byteLength,
      read: (files, opened) => readAll(withShards(files), opened),
    },
  ];
});

async function readAll(files: ModelFiles, opened: () => void): Promise<void> {
  const checkpoint = await openCheckpoint(files);
  opened();
  try {
    for (const { name, shape, dtype } of checkpoint.tensors.values())
      if (dtype === 'F32')
        await checkpoint.readRows(
          name,
          0,
          shape.slice(0, -1).reduce((a, b) => a * b, 1),
        );
  } finally {
    await checkpoint.close();
  }
}
