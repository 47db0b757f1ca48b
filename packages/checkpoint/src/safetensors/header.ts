// The header of a safetensors file: 8 bytes of length, JSON, then the tensors' bytes without a gap.
// Owns: every check of the format, made before anything larger than the header is read. Layout as in
// https://github.com/huggingface/safetensors#format.
// Does not own: reading rows (read.ts). One leniency, as in the reference reader: offsets need no alignment to the
// element size (files older than 2023 do not align their header), since rows are copied out anyway.
import { show } from '@relufy/tensor';
import { type ByteSource, decodeUtf8 } from '../byte-source.js';
import { elementCount } from '../checkpoint.js';
import { JsonReader } from '../json-reader.js';
import { malformed, mistakenFor } from '../malformed.js';

/** Bits an element of every dtype that the format knows. */
export const bitsOfDType: Readonly<Record<string, number>> = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  U16: 16,
  I16: 16,
  U32: 32,
  I32: 32,
  U64: 64,
  I64: 64,
  F16: 16,
  BF16: 16,
  F32: 32,
  F64: 64,
  C64: 64,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
};

/** The limit of the reference reader. */
export const maxHeaderBytes = 100_000_000;

/** Tensors, and metadata: many times what any model has. A name of no bytes costs memory all the same. */
const maxNames = 100_000;

/** Dimensions of a tensor, as many as PyTorch has. */
const maxRank = 64;

export interface HeaderEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Offsets in the file. */
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  readonly metadata: Readonly<Record<string, string>>;
  readonly entries: readonly HeaderEntry[];
}

/** Reads and checks the header of a safetensors file. */
export async function readHeader(source: ByteSource, signal?: AbortSignal): Promise<Header> {
  const length = await readHeaderLength(source, signal);
  const dataStart = 8 + length;
  const text = decodeUtf8(`${source.name}: header`, await source.read(8, length, signal));
  // The format says so; it also keeps a stray byte order mark or padding from being taken for a header.
  if (!text.startsWith('{')) throw malformed(source.name, `header, expected to begin with "{", got ${show(text[0])}`);
  const header = parseHeader(source.name, text, dataStart, source.size);
  checkLayout(source, header.entries, dataStart);
  return header;
}

async function readHeaderLength(source: ByteSource, signal: AbortSignal | undefined): Promise<number> {
  const head = await source.read(0, Math.min(source.size, 64), signal);
  const mistaken = mistakenFor(head);
  if (mistaken)
    throw malformed(source.name, `safetensors, expected a header length, got ${mistaken.what}`, mistaken.remedy);
  if (source.size < 8) throw malformed(source.name, `safetensors, expected at least 8 bytes, got ${source.size}`);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const length = view.getBigUint64(0, true);
  const room = BigInt(source.size - 8);
  const limit = BigInt(maxHeaderBytes);
  if (length > 1n && length <= limit && length <= room) return Number(length);
  const swapped = view.getBigUint64(0, false);
  if (length > limit && swapped > 1n && swapped <= limit && swapped <= room)
    throw malformed(
      source.name,
      `header length, expected little-endian bytes, got big-endian ones (${swapped})`,
      'Write the file again with a program that follows the safetensors format.',
    );
  const most = room < limit ? `${room} (the rest of the file)` : String(limit);
  throw malformed(source.name, `header length, expected 2 to ${most}, got ${length}`);
}

function parseHeader(where: string, text: string, dataStart: number, size: number): Header {
  const reader = new JsonReader(`${where}: header`, text);
  const metadata = new Map<string, string>();
  const entries: HeaderEntry[] = [];
  reader.object((name) => {
    if (name === '__metadata__') reader.object((key) => metadata.set(key, reader.string()));
    else entries.push(readEntry(reader, where, name, dataStart, size));
    if (entries.length + metadata.size > maxNames)
      throw malformed(where, `header, expected at most ${maxNames} names, got more`);
  });
  reader.end();
  return { metadata: Object.fromEntries(metadata), entries };
}

function readEntry(reader: JsonReader, where: string, name: string, dataStart: number, size: number): HeaderEntry {
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  const at = `${where}: tensor ${show(name)}`;
  reader.object((key) => {
    if (key === 'dtype') dtype = reader.string();
    else if (key === 'shape') shape = readSizes(reader, `shape of ${show(name)}`);
    else if (key === 'data_offsets') offsets = readSizes(reader, `data_offsets of ${show(name)}`);
    else throw malformed(at, `key, expected dtype, shape or data_offsets, got ${show(key)}`);
  });
  if (dtype === undefined || shape === undefined || offsets === undefined)
    throw malformed(
      at,
      `keys, expected dtype, shape and data_offsets, got no ${dtype === undefined ? 'dtype' : shape === undefined ? 'shape' : 'data_offsets'}`,
    );
  const bits = Object.hasOwn(bitsOfDType, dtype) ? bitsOfDType[dtype] : undefined;
  if (bits === undefined)
    throw malformed(at, `dtype, expected one of ${Object.keys(bitsOfDType).join(', ')}, got ${show(dtype)}`);
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined || offsets.length !== 2)
    throw malformed(at, `data_offsets, expected [begin, end], got ${show(offsets)}`);
  if (begin > end || end > size - dataStart)
    throw malformed(
      at,
      `data_offsets, expected a range within the ${size - dataStart} bytes of data, got ${show(offsets)}`,
      'The file is truncated or damaged; download it again.',
    );
  const count = elementCount(shape);
  const needed = count === undefined ? undefined : (count * bits) / 8;
  if (needed === undefined || !Number.isSafeInteger(count! * bits))
    throw malformed(at, `shape, expected fewer than 2^53 elements, got ${show(shape)}`);
  if (needed !== end - begin)
    throw malformed(at, `size, expected ${needed} bytes for ${dtype} ${show(shape)}, got ${end - begin}`);
  return { name, dtype, shape, begin: dataStart + begin, end: dataStart + end };
}

function readSizes(reader: JsonReader, what: string): number[] {
  const sizes: number[] = [];
  reader.array((index) => {
    if (index === maxRank) throw reader.error(`${what}, expected at most ${maxRank} numbers, got more`);
    sizes.push(reader.size(what));
  });
  return sizes;
}

/** The tensors must cover the data without overlap, gap or rest. */
function checkLayout(source: ByteSource, entries: readonly HeaderEntry[], dataStart: number): void {
  const sorted = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = dataStart;
  for (const { name, begin, end } of sorted) {
    if (begin !== covered)
      throw malformed(
        `${source.name}: tensor ${show(name)}`,
        `data_offsets, expected to begin at ${covered - dataStart} where the one before it ends, got ${begin - dataStart}: ` +
          `the tensors ${begin < covered ? 'overlap' : 'leave a hole'}`,
      );
    covered = end;
  }
  if (covered !== source.size)
    throw malformed(
      source.name,
      `data, expected ${covered - dataStart} bytes as the tensors take, got ${source.size - dataStart}`,
      'The file is damaged, or its download was joined wrongly; download it again.',
    );
}
