import { readFile } from 'node:fs/promises';
import { widen } from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import { describeShared, shared } from '../../../../tools/testing/shared.js';
import { dict, latin1, storage, tensor, text } from '../../testing/bin.js';
import { f32, messageOf, random } from '../../testing/craft.js';
import { peakOf } from '../../testing/flood.js';
import { itSurvivesMutation } from '../../testing/fuzz.js';
import { type CraftedEntry, type ZipChanges, zip } from '../../testing/zip.js';
import { gatherRows } from '../gather.js';
import { type Checkpoint, type ModelFiles, memoryFiles, openCheckpoint } from '../index.js';
import { folderFiles } from '../node.js';
import { unpickle } from './pickle.js';

const fixture = (name: string) => readFile(new URL(`../../fixtures/${name}`, import.meta.url));
const openBytes = (bytes: Uint8Array) => openCheckpoint(memoryFiles('memory', { 'pytorch_model.bin': bytes }));

async function values(checkpoint: Checkpoint, name: string, first = 0, count?: number): Promise<number[]> {
  const rows = checkpoint.tensors
    .get(name)!
    .shape.slice(0, -1)
    .reduce((a, b) => a * b, 1);
  const { dtype, data } = await checkpoint.readRows(name, first, count ?? rows - first);
  return [...widen(dtype, data)];
}

describe('what torch.save writes', () => {
  const halves = (...indices: number[]) => indices.map((i) => i / 2);
  for (const protocol of [2, 3, 4, 5])
    it(`in protocol ${protocol}`, async () => {
      const checkpoint = await openBytes(await fixture(`protocol-${protocol}.bin`));
      expect(checkpoint.format).toBe('pytorch');
      expect(await values(checkpoint, 'plain')).toEqual(halves(...Array(24).keys()));
      expect(await values(checkpoint, 'plain', 2, 1)).toEqual(halves(12, 13, 14, 15, 16, 17));
      expect(await values(checkpoint, 'transposed', 1, 2)).toEqual(halves(1, 7, 13, 19, 2, 8, 14, 20));
      expect(await values(checkpoint, 'slice')).toEqual(halves(7, 8, 9, 13, 14, 15));
      expect(await values(checkpoint, 'cube', 3, 2)).toEqual(halves(16, 17, 18, 19, 8, 9, 10, 11));
      expect(await values(checkpoint, 'every_other')).toEqual(halves(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23));
      expect(await values(checkpoint, 'expanded')).toEqual(halves(2, 3, 2, 3, 2, 3));
      expect(await values(checkpoint, 'parameter')).toEqual([1.5, -2]);
      expect(await values(checkpoint, 'wide')).toEqual([Math.fround(0.1), 2]);
      expect(await values(checkpoint, 'brain')).toEqual([1, 3, -2, 4]);
      expect(await values(checkpoint, 'scalar')).toEqual([9]);
      expect(await values(checkpoint, 'empty', 0, 0)).toEqual([]);
      expect(checkpoint.tensors.get('brain')).toMatchObject({ dtype: 'BF16', floatDType: 'bf16', shape: [2, 2] });
      expect(await messageOf(() => checkpoint.readRows('ids', 0, 1))).toContain('I64');
    });
});

it('gathers any view, in bounded reads', async () => {
  for (let seed = 0; seed < 300; seed++) {
    const next = random(seed);
    const pick = (below: number) => Math.floor(next() * below);
    const shape = Array.from({ length: 1 + pick(3) }, () => 1 + pick(6));
    const scale = seed % 10 === 0 ? 20_000 : 1;
    const strides = shape.map(() => pick(9) * scale);
    const offset = pick(5);
    const last = shape.reduce((sum, size, i) => sum + (size - 1) * strides[i]!, offset);
    const bytes = new Uint8Array((last + 1) * 2).map((_, i) => i * 31 + (i >> 8));
    let largest = 0;
    const read = async (index: number, count: number) => {
      largest = Math.max(largest, count);
      expect(index + count).toBeLessThanOrEqual(last + 1);
      return bytes.subarray(index * 2, (index + count) * 2);
    };
    const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
    const first = pick(rows);
    const got = await gatherRows({ offset, shape, strides, bytesPerElement: 2 }, first, rows - first, read);
    const expected: number[] = [];
    for (let flat = first * shape.at(-1)!; flat < rows * shape.at(-1)!; flat++) {
      let rest = flat;
      let at = offset;
      for (let d = shape.length - 1; d >= 0; d--) {
        at += (rest % shape[d]!) * strides[d]!;
        rest = Math.floor(rest / shape[d]!);
      }
      expected.push(bytes[2 * at]!, bytes[2 * at + 1]!);
    }
    expect([...got], `seed ${seed}`).toEqual(expected);
    expect(largest).toBeLessThanOrEqual(2 ** 21);
  }
});

function archive(
  pickle: string,
  more: CraftedEntry[] = [{ name: 'a/data/0', data: f32(1, 2) }],
  changes: ZipChanges = {},
): Uint8Array {
  return zip([{ name: 'a/data.pkl', data: latin1(pickle) }, ...more], changes);
}

const good = dict(text('x'), tensor());

describe('archives', () => {
  it('with a comment, and with Zip64 fields, read alike', async () => {
    const wide = { name: 'a/data/0', data: f32(1, 2), wide: true };
    for (const bytes of [
      archive(good),
      archive(good, undefined, { comment: latin1('PK\x05\x06 etc') }),
      archive(good, [wide], { wide: true }),
    ])
      expect(await values(await openBytes(bytes), 'x')).toEqual([1, 2]);
  });

  const data = f32(1, 2);
  const refused: [string, Uint8Array, RegExp][] = [
    ['that are empty', new Uint8Array(0), /expected a zip archive/],
    [
      'of PyTorch before 1.6',
      latin1('\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e'),
      /before 1.6.*torch.save\(torch.load/,
    ],
    ['that are a bare pickle', latin1('\x80\x02}.'), /bare pickle/],
    ['that are an LFS pointer', latin1('version https://git-lfs.github.com/spec/v1'), /git lfs pull/],
    ['without their end', archive(good).subarray(0, 300), /directory at the end/],
    [
      'with a compressed entry',
      archive(good, [{ name: 'a/data/0', data, method: 8 }]),
      /compression method 8.*torch.save/,
    ],
    ['with an encrypted entry', archive(good, [{ name: 'a/data/0', data, flags: 1 }]), /encrypted/],
    [
      'with an entry given twice',
      archive(good, [
        { name: 'a/data/0', data },
        { name: 'a/data/0', data },
      ]),
      /expected once/,
    ],
    ['with overlapping entries', archive(good, [{ name: 'a/data/0', data, offset: 0 }]), /overlaps/],
    ['with an entry beyond the file', archive(good, [{ name: 'a/data/0', data, size: 2 ** 31 }]), /overlaps/],
    ['with an entry of 2^63', archive(good, [{ name: 'a/data/0', data, size: 2 ** 63, wide: true }]), /below 2\^53/],
    ['with more entries than they hold', archive(good, undefined, { count: 60000 }), /for its 60000 entries/],
    ['with one entry too many', archive(good, undefined, { count: 3 }), /expected at most|expected an entry/],
    [
      'with their directory elsewhere',
      archive(good, undefined, { directoryOffset: 2 ** 31 }),
      /zip directory, expected before/,
    ],
    ['without a pickle', zip([{ name: 'a/x', data }]), /expected one data.pkl, got 0/],
    ['with two pickles', archive(good, [{ name: 'b/data.pkl', data }]), /expected one data.pkl, got 2/],
    [
      'of big-endian machines',
      archive(good, [
        { name: 'a/data/0', data },
        { name: 'a/byteorder', data: latin1('big') },
      ]),
      /byteorder, expected little, got "big"/,
    ],
    ['without a storage', archive(good, []), /storage "0", expected in the archive/],
    ['with a short storage', archive(good, [{ name: 'a/data/0', data: f32(1) }]), /expected 8 bytes, got 4/],
  ];
  for (const [name, bytes, expected] of refused)
    it(`${name} are refused`, async () => {
      expect(await messageOf(() => openBytes(bytes))).toMatch(expected);
    });
});

describe('pickles', () => {
  const refused: [string, string, RegExp][] = [
    ['call code', '\x80\x02cposix\nsystem\n(X\x02\0\0\0lstR.', /"posix.system".*could run code/],
    ['name code', '\x80\x02cbuiltins\neval\n.', /"builtins.eval"/],
    ['name code on the stack', `\x80\x04\x8c\x02os\x8c\x06system\x93.`, /"os.system"/],
    ['reach through torch', '\x80\x02ctorch.storage\n_load_from_bytes\n.', /_load_from_bytes/],
    ['reach through a dotted name', `\x80\x04\x8c\x05torch\x8c\x0eevil.FStorage\0\x93.`, /could run code/],
    ['name lists of lists', `\x80\x02${']'.repeat(20_000)}${'a'.repeat(19_999)}K\x01\x93.`, /name, expected two texts/],
    ['name what doubles', `\x80\x02]${'2\x86'.repeat(60)}K\x01\x93.`, /name, expected two texts/],
    ['instantiate', '\x80\x02(ios\nsystem\n.', /opcode at 3, expected one that builds tensors, got "i"/],
    ['use extensions', '\x80\x02\x82\x01.', /opcode at 2/],
    ['call a storage', '\x80\x02ctorch\nFloatStorage\n)R.', /call, expected/],
    ['call a value', '\x80\x02K\x01)R.', /call, expected/],
    ['build on a value', '\x80\x02K\x01}b.', /attributes/],
    ['are of protocol 0', '(dp0\n.', /opcode at 2|expected/],
    ['are of protocol 9', '\x80\x09}.', /protocol, expected 2 to 5, got 9/],
    ['end early', '\x80\x02}', /got its end/],
    ['hold a string without end', '\x80\x02X\xff\xff\xff\x7f', /expected 2147483647 bytes/],
    ['hold a name without end', '\x80\x02cos', /no end/],
    ['hold a length of 2^63', '\x80\x04\x8d\0\0\0\0\0\0\0\x80', /9223372036854775808/],
    ['pop from nothing', '\x80\x020000.', /expected a value on the stack/],
    ['lack a mark', '\x80\x02t.', /expected a mark/],
    ['read an empty memo', '\x80\x02h\x05.', /memo 5/],
    ['leave two values', '\x80\x02}}.', /expected one value/],
    ['leave no dict', '\x80\x02K\x01.', /expected a dict of tensors/],
    ['nest dicts', dict(text('state_dict'), '}'), /"state_dict": value, expected a tensor/],
    ['name a tensor twice', dict(text('x'), tensor(), text('x'), tensor()), /"x", expected once/],
    ['name a tensor by number', dict('K\x01', tensor()), /expected text/],
    ['hold a tensor without storage', dict(text('x'), tensor('N')), /storage, expected its type/],
    ['hold an unknown storage', dict(text('x'), tensor(storage('0', 'K\x02', 'QStorage'))), /got "QStorage"/],
    ['lie on the size of a storage', dict(text('x'), tensor(storage('0', 'K\x03'))), /expected 12 bytes, got 8/],
    ['hold a negative offset', dict(text('x'), tensor(undefined, 'J\xff\xff\xff\xff')), /non-negative integers/],
    [
      'hold a fraction',
      dict(text('x'), tensor(undefined, undefined, 'G?\xe0\0\0\0\0\0\0\x85')),
      /non-negative integers/,
    ],
    [
      'hold a negative stride',
      dict(text('x'), tensor(undefined, undefined, undefined, 'J\xff\xff\xff\xff\x85')),
      /non-negative/,
    ],
    [
      'hold a size of 2^63',
      dict(text('x'), tensor(undefined, undefined, '\x8a\x09\0\0\0\0\0\0\0\x80\0\x85')),
      /non-negative integers/,
    ],
    [
      'hold strides of another rank',
      dict(text('x'), tensor(undefined, undefined, undefined, ')')),
      /expected offset, shape and strides/,
    ],
    ['view beyond the storage', dict(text('x'), tensor(undefined, 'K\x01')), /within the 2 elements.*got element 2/],
    [
      'overflow',
      dict(text('x'), tensor(undefined, undefined, '\x8a\x06\0\0\0\0\0\x10\x8a\x06\0\0\0\0\0\x10\x86', 'K\0K\0\x86')),
      /fewer than 2\^53/,
    ],
    [
      'blow a byte up',
      dict(text('x'), tensor(undefined, undefined, 'J\xff\xff\xff\x7f\x85', 'K\0\x85')),
      /at most four times/,
    ],
  ];
  for (const [name, pickle, expected] of refused)
    it(`that ${name} are refused`, async () => {
      expect(await messageOf(() => openBytes(archive(pickle)))).toMatch(expected);
    });

  it('of endless values are refused', () => {
    const endless = new Uint8Array(1_100_000).fill(0x4e);
    endless.set([0x80, 2]);
    expect(() => unpickle('x', endless)).toThrow(/at most 1000000 values/);
  });

  // each doubles or copies what a memo holds: a few bytes for a large structure
  const many = (text: string, count: number) => text.repeat(count);
  const multiplied: [string, string][] = [
    ['copies of a list', `\x80\x02](${many('K\x01', 10_000)}eq\0${many('(h\0h\0h\0h\0t', 250_000)}`],
    [
      'dicts made of one list of pairs',
      `\x80\x02](${many('NN\x86', 10_000)}e\x85q\0ccollections\nOrderedDict\nq\x01${many('h\x01h\0R0', 1000)}`,
    ],
    ['tuples that are dropped', `\x80\x02${many(`(${many('N', 9999)}t0`, 200)}`],
    ['tuples of one', `\x80\x02N${many('\x85', 1_100_000)}`],
    ['lists by appending', `\x80\x02]${many('Na', 1_100_000)}`],
    ['dicts by items', `\x80\x02}${many('NNs', 600_000)}`],
    ['lists of one', `\x80\x02${many(']Na', 400_000)}`],
    ['dicts of one', `\x80\x02${many('}NNs', 300_000)}`],
    ['duplicates', `\x80\x02N${many('2', 1_100_000)}`],
    ['memos', `\x80\x02N${many('\x94', 1_100_000)}`],
  ];
  for (const [name, pickle] of multiplied)
    it(`of ${name} are refused soon`, async () => {
      const bytes = latin1(`${pickle}.`);
      const { seconds, peak } = await peakOf(async () =>
        expect(() => unpickle('x', bytes)).toThrow(/at most 1000000 values/),
      );
      expect(seconds).toBeLessThan(3);
      expect(peak).toBeLessThan(100e6);
    });

  it('with more tensors than any model has are refused', () =>
    expect(messageOf(() => openBytes(archive(`\x80\x02}(${many('K\x01N', 100_001)}u.`)))).resolves.toMatch(
      /tensors, expected at most 100000, got 100001/,
    ));
});

itSurvivesMutation('pytorch', () =>
  Promise.all(
    (
      [
        [2, 1000],
        [5, 1000],
        [4, 3000],
      ] as const
    ).map(async ([protocol, headerEnd]) => ({
      file: 'pytorch_model.bin',
      original: new Uint8Array(await fixture(`protocol-${protocol}.bin`)),
      headerEnd,
      read: async (files: ModelFiles, opened: () => void) => {
        const checkpoint = await openCheckpoint(files);
        opened();
        try {
          for (const { name, dtype } of checkpoint.tensors.values())
            if (dtype !== 'I64') await values(checkpoint, name);
        } finally {
          await checkpoint.close();
        }
      },
    })),
  ),
);

describeShared('golden .bin checkpoints', 'golden/opt-bin-bare-names', () => {
  it('open, and every tensor reads alike at once and row by row', async () => {
    for (const name of ['opt-bin-bare-names', 'llama-bin-sharded-bf16']) {
      const checkpoint = await openCheckpoint(await folderFiles(shared(`golden/${name}`)));
      expect(checkpoint.tensors.size).toBeGreaterThan(20);
      for (const [tensor, { shape, floatDType }] of checkpoint.tensors) {
        const whole = await values(checkpoint, tensor);
        expect(whole.every((value) => Math.abs(value) < 100)).toBe(true);
        expect(whole.some((value) => value !== 0)).toBe(true);
        expect(floatDType).toBe(name.includes('bf16') ? 'bf16' : 'f32');
        if (shape.length === 2)
          expect(await values(checkpoint, tensor, 1, 2)).toEqual(whole.slice(shape[1], 3 * shape[1]!));
      }
      await checkpoint.close();
    }
  });
});
