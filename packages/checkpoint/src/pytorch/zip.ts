// The directory of a zip archive, as far as `torch.save` uses zip: entries stored as they are, Zip64 for large ones.
// Owns: finding the entries and proving that they lie in the file without overlapping. Compressed and encrypted
// entries are refused, so nothing is ever inflated. Layout: PKWARE APPNOTE 4.3.
// Does not own: what the entries mean (open.ts).
import { show } from '@relufy/tensor';
import type { ByteSource } from '../byte-source.js';
import { malformed } from '../malformed.js';

export interface ZipEntry {
  readonly name: string;
  readonly size: number;
  /** Where its local header begins. */
  readonly headerOffset: number;
  /** Where the next thing in the file begins. */
  readonly limit: number;
}

const endRecordBytes = 22;
const maxDirectoryBytes = 2 ** 24; // an entry takes some 70 bytes of it
const maxEntries = 100_000;
const saveAgain = 'Save it again with torch.save, which stores tensors uncompressed.';

interface Directory {
  readonly offset: number;
  readonly size: number;
  readonly count: number;
}

/** name -> entry */
export async function readZip(source: ByteSource, signal?: AbortSignal): Promise<Map<string, ZipEntry>> {
  const directory = await findDirectory(source, signal);
  const { offset, size, count } = directory;
  if (size > maxDirectoryBytes || count * 46 > size)
    throw malformed(
      source.name,
      `zip directory, expected at most ${maxDirectoryBytes} bytes for its ${count} entries, got ${size}`,
    );
  if (count > maxEntries)
    throw malformed(source.name, `zip directory, expected at most ${maxEntries} entries, got ${count}`);
  const bytes = await source.read(offset, size, signal);
  const found: { name: string; size: number; headerOffset: number }[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const { entry, next } = readEntry(source.name, bytes, at);
    found.push(entry);
    at = next;
  }
  return checkLayout(source.name, found, offset);
}

/** Where the bytes of an entry begin: its local header has a length of its own. */
export async function entryDataOffset(source: ByteSource, entry: ZipEntry, signal?: AbortSignal): Promise<number> {
  const head = view(await source.read(entry.headerOffset, 30, signal));
  const offset = entry.headerOffset + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  if (head.getUint32(0, true) !== 0x04034b50 || offset + entry.size > entry.limit)
    throw malformed(
      source.name,
      `zip entry ${show(entry.name)}, expected its ${entry.size} bytes before the next entry, got another layout`,
    );
  return offset;
}

async function findDirectory(source: ByteSource, signal: AbortSignal | undefined): Promise<Directory> {
  const tailBytes = Math.min(source.size, endRecordBytes + 0xffff);
  const tailOffset = source.size - tailBytes;
  const tail = view(await source.read(tailOffset, tailBytes, signal));
  for (let at = tailBytes - endRecordBytes; at >= 0; at--) {
    if (tail.getUint32(at, true) !== 0x06054b50) continue;
    if (at + endRecordBytes + tail.getUint16(at + 20, true) !== tailBytes) continue; // its comment must end the file
    let directory: Directory = {
      count: tail.getUint16(at + 10, true),
      size: tail.getUint32(at + 12, true),
      offset: tail.getUint32(at + 16, true),
    };
    let end = tailOffset + at;
    if (directory.count === 0xffff || directory.size === 0xffffffff || directory.offset === 0xffffffff) {
      const wide = await findDirectory64(source, end, signal);
      if (wide) ({ directory, end } = wide);
    }
    if (directory.offset + directory.size > end)
      throw malformed(
        source.name,
        `zip directory, expected before byte ${end}, got ${directory.size} bytes at ${directory.offset}`,
      );
    return directory;
  }
  throw malformed(
    source.name,
    'zip archive, expected its directory at the end, got none',
    'The file is truncated; download it again.',
  );
}

async function findDirectory64(
  source: ByteSource,
  end: number,
  signal: AbortSignal | undefined,
): Promise<{ directory: Directory; end: number } | undefined> {
  if (end < 20) return undefined;
  const locator = view(await source.read(end - 20, 20, signal));
  if (locator.getUint32(0, true) !== 0x07064b50) return undefined;
  const at = size64(source.name, locator, 8);
  if (at + 56 > end - 20) throw malformed(source.name, `zip64 record, expected before byte ${end - 76}, got ${at}`);
  const record = view(await source.read(at, 56, signal));
  if (record.getUint32(0, true) !== 0x06064b50)
    throw malformed(source.name, 'zip64 record, expected its signature, got other bytes');
  const directory = {
    count: size64(source.name, record, 32),
    size: size64(source.name, record, 40),
    offset: size64(source.name, record, 48),
  };
  return { directory, end: at };
}

function readEntry(where: string, bytes: Uint8Array, at: number) {
  const room = bytes.byteLength - at;
  const head = view(bytes.subarray(at));
  if (room < 46 || head.getUint32(0, true) !== 0x02014b50)
    throw malformed(where, `zip directory, expected an entry at ${at}, got other bytes`);
  const nameBytes = head.getUint16(28, true);
  const extraBytes = head.getUint16(30, true);
  const next = at + 46 + nameBytes + extraBytes + head.getUint16(32, true);
  if (next > bytes.byteLength) throw malformed(where, `zip directory, expected ${next} bytes, got ${bytes.byteLength}`);
  const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameBytes));
  if (head.getUint16(8, true) & 1)
    throw malformed(where, `zip entry ${show(name)}, expected plain bytes, got encrypted ones`, saveAgain);
  const method = head.getUint16(10, true);
  if (method !== 0)
    throw malformed(
      where,
      `zip entry ${show(name)}, expected stored bytes, got compression method ${method}`,
      saveAgain,
    );
  const sizes = [head.getUint32(24, true), head.getUint32(20, true), head.getUint32(42, true)];
  const extra = view(bytes.subarray(at + 46 + nameBytes, at + 46 + nameBytes + extraBytes));
  widenSizes(where, sizes, extra);
  const [size, compressedSize, headerOffset] = sizes as [number, number, number];
  if (size !== compressedSize)
    throw malformed(
      where,
      `zip entry ${show(name)}, expected equal sizes of a stored entry, got ${compressedSize} and ${size}`,
    );
  return { entry: { name, size, headerOffset }, next };
}

/** Zip64: fields that are all ones stand, in this order, in the extra field 1. */
function widenSizes(where: string, sizes: number[], extra: DataView): void {
  for (let at = 0; at + 4 <= extra.byteLength; at += 4 + extra.getUint16(at + 2, true)) {
    if (extra.getUint16(at, true) !== 1) continue;
    let from = at + 4;
    const end = Math.min(extra.byteLength, from + extra.getUint16(at + 2, true));
    for (let i = 0; i < sizes.length; i++) {
      if (sizes[i] !== 0xffffffff) continue;
      if (from + 8 > end) throw malformed(where, 'zip64 sizes, expected 8 bytes each, got fewer');
      sizes[i] = size64(where, extra, from);
      from += 8;
    }
    return;
  }
}

function checkLayout(
  where: string,
  found: readonly Omit<ZipEntry, 'limit'>[],
  directoryOffset: number,
): Map<string, ZipEntry> {
  const entries = new Map<string, ZipEntry>();
  const sorted = [...found].sort((a, b) => a.headerOffset - b.headerOffset);
  sorted.forEach((entry, i) => {
    const limit = sorted[i + 1]?.headerOffset ?? directoryOffset;
    if (entry.headerOffset + 30 + entry.size > limit)
      throw malformed(
        where,
        `zip entry ${show(entry.name)}, expected to end before byte ${limit}, got ${entry.size} bytes at ${entry.headerOffset}: it overlaps what follows`,
      );
    if (entries.has(entry.name)) throw malformed(where, `zip entry ${show(entry.name)}, expected once, got it twice`);
    entries.set(entry.name, { ...entry, limit });
  });
  return entries;
}

function size64(where: string, bytes: DataView, at: number): number {
  const value = bytes.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed(where, `zip64 size, expected below 2^53, got ${value}`);
  return Number(value);
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
