// The header of a GGUF file: version, metadata, tensor descriptions. Little endian; layout as in ggml/docs/gguf.md.
// Owns: every check of the format, made before anything is allocated that the file's size does not justify.
// Does not own: the tensors' bytes (read.ts), what the metadata means.
import { show } from '@relufy/tensor';
import { type ByteSource, decodeUtf8 } from '../byte-source.js';
import { elementCount } from '../checkpoint.js';
import { malformed, mistakenFor } from '../malformed.js';
import { type BlockFormat, blockFormatById } from './block-formats.js';
import { type GgufNumbers, type GgufValue, UndecodedText } from './metadata.js';

export interface GgufTensor {
  readonly name: string;
  readonly format: BlockFormat;
  /** In PyTorch's order: [out, in]. */
  readonly shape: readonly number[];
  /** In the file. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface GgufHeader {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: readonly GgufTensor[];
}

const maxStringBytes = 2 ** 24;
/** Of a header: five times that of the largest vocabularies. A file may claim, or have holes of, far more bytes than are there. */
const maxHeaderBytes = 2 ** 26;
/** Texts of one list. */
const maxTexts = 2 ** 22;
const maxDepth = 4;
/** Tensors and metadata: many times what any model has. */
const maxNames = 100_000;
/** Lists in lists, and texts of other bytes than UTF-8: no converter writes the former, and few the latter. */
const maxOdd = 1000;

export async function readGgufHeader(source: ByteSource, signal?: AbortSignal): Promise<GgufHeader> {
  const cursor = new Cursor(source, signal);
  const version = await readVersion(source, cursor, signal);
  const tensorCount = await cursor.size('tensor count');
  const fieldCount = await cursor.size('metadata count');
  // The least that a tensor and a field take: a lying count ends here.
  if (tensorCount * 24 + fieldCount * 13 > source.size)
    throw malformed(
      source.name,
      `counts, expected what ${source.size} bytes can hold, got ${tensorCount} tensors and ${fieldCount} metadata`,
    );
  if (tensorCount + fieldCount > maxNames)
    throw malformed(
      source.name,
      `counts, expected at most ${maxNames}, got ${tensorCount} tensors and ${fieldCount} metadata`,
    );
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < fieldCount; i++) {
    const key = keyOf(await cursor.lenientText());
    if (metadata.has(key)) throw malformed(source.name, `metadata ${show(key)}, expected once, got it twice`);
    metadata.set(key, await readValue(cursor, await cursor.u32(), key, 0));
  }
  const described: Omit<GgufTensor, 'byteLength'>[] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensorCount; i++) {
    const tensor = await readTensor(source.name, cursor);
    if (names.has(tensor.name))
      throw malformed(source.name, `tensor ${show(tensor.name)}, expected once, got it twice`);
    names.add(tensor.name);
    described.push(tensor);
  }
  const alignment = metadata.get('general.alignment') ?? 32;
  if (
    typeof alignment !== 'number' ||
    !Number.isInteger(alignment) ||
    !(alignment >= 1 && alignment <= 2 ** 20) ||
    (alignment & (alignment - 1)) !== 0
  )
    throw malformed(
      source.name,
      `metadata "general.alignment", expected a power of two up to 2^20, got ${show(alignment)}`,
    );
  const start = align(cursor.position, alignment);
  return { version, metadata, tensors: placeTensors(source, described, start, alignment) };
}

/** A key of other bytes is none that anybody asks for, yet must stay one of its own. */
const keyOf = (key: string | UndecodedText): string =>
  typeof key === 'string' ? key : String.fromCharCode(...key.bytes.subarray(0, 1000));

async function readVersion(source: ByteSource, cursor: Cursor, signal: AbortSignal | undefined): Promise<number> {
  const head = await source.read(0, Math.min(source.size, 64), signal);
  if (String.fromCharCode(...head.subarray(0, 4)) !== 'GGUF') {
    const powerInfer = String.fromCharCode(...head.subarray(0, 4)) === 'PWRI';
    const { what, remedy } = powerInfer
      ? { what: 'a PowerInfer file', remedy: 'Take the original model instead; its predictors are not read.' }
      : (mistakenFor(head) ?? { what: 'other bytes', remedy: undefined });
    throw malformed(source.name, `GGUF, expected it to begin with "GGUF", got ${what}`, remedy);
  }
  await cursor.u32();
  const version = await cursor.u32();
  if (version !== 0 && (version & 0xffff) === 0)
    throw malformed(
      source.name,
      'GGUF, expected little-endian bytes, got big-endian ones',
      'Convert the model on, or for, a little-endian machine.',
    );
  if (version !== 2 && version !== 3)
    throw malformed(
      source.name,
      `GGUF version, expected 2 or 3, got ${version}`,
      'Convert the model again with a current llama.cpp.',
    );
  return version;
}

async function readTensor(where: string, cursor: Cursor): Promise<Omit<GgufTensor, 'byteLength'>> {
  const name = await cursor.text();
  const rank = await cursor.u32();
  if (rank > 4) throw malformed(where, `tensor ${show(name)}, expected at most 4 dimensions, got ${rank}`);
  const shape: number[] = [];
  for (let i = 0; i < rank; i++) shape.unshift(await cursor.size(`shape of ${show(name)}`));
  const id = await cursor.u32();
  const format = blockFormatById(id);
  if (!format)
    throw malformed(
      where,
      `tensor ${show(name)}, expected a type of GGML, got number ${id}`,
      'The file is damaged, or newer than this program.',
    );
  if ((shape.at(-1) ?? 1) % format.elements !== 0)
    throw malformed(
      where,
      `tensor ${show(name)}, expected rows of whole ${format.name} blocks of ${format.elements}, got ${show(shape)}`,
    );
  return { name, format, shape, offset: await cursor.size(`offset of ${show(name)}`) };
}

/** The tensors must lie in the file, each on the alignment, without overlap. */
function placeTensors(
  source: ByteSource,
  described: readonly Omit<GgufTensor, 'byteLength'>[],
  start: number,
  alignment: number,
): GgufTensor[] {
  const tensors = described.map((tensor): GgufTensor => {
    const count = elementCount(tensor.shape);
    const byteLength = ((count ?? Number.NaN) / tensor.format.elements) * tensor.format.bytes;
    const at = `${source.name}: tensor ${show(tensor.name)}`;
    if (!Number.isSafeInteger(byteLength))
      throw malformed(at, `shape, expected fewer than 2^53 elements, got ${show(tensor.shape)}`);
    if (tensor.offset % alignment !== 0)
      throw malformed(at, `offset, expected a multiple of ${alignment}, got ${tensor.offset}`);
    if (start + tensor.offset + byteLength > source.size)
      throw malformed(
        at,
        `data, expected ${byteLength} bytes within the file's ${source.size}, got them at ${start + tensor.offset}`,
        'The file is truncated; download it again.',
      );
    return { ...tensor, offset: start + tensor.offset, byteLength };
  });
  let end = 0;
  for (const { name, offset, byteLength } of [...tensors].sort(
    (a, b) => a.offset - b.offset || a.byteLength - b.byteLength,
  )) {
    if (offset < end)
      throw malformed(
        `${source.name}: tensor ${show(name)}`,
        `offset, expected ${end} or more, got ${offset}: it overlaps another tensor`,
      );
    end = offset + byteLength;
  }
  return tensors;
}

const numbers: Readonly<Record<number, { bytes: number; make: (buffer: ArrayBuffer) => GgufNumbers }>> = {
  0: { bytes: 1, make: (buffer) => new Uint8Array(buffer) },
  1: { bytes: 1, make: (buffer) => new Int8Array(buffer) },
  2: { bytes: 2, make: (buffer) => new Uint16Array(buffer) },
  3: { bytes: 2, make: (buffer) => new Int16Array(buffer) },
  4: { bytes: 4, make: (buffer) => new Uint32Array(buffer) },
  5: { bytes: 4, make: (buffer) => new Int32Array(buffer) },
  6: { bytes: 4, make: (buffer) => new Float32Array(buffer) },
  7: { bytes: 1, make: (buffer) => new Uint8Array(buffer) },
  10: { bytes: 8, make: (buffer) => new BigUint64Array(buffer) },
  11: { bytes: 8, make: (buffer) => new BigInt64Array(buffer) },
  12: { bytes: 8, make: (buffer) => new Float64Array(buffer) },
};
const bool = 7;
const string = 8;
const array = 9;

async function readValue(cursor: Cursor, type: number, key: string, depth: number): Promise<GgufValue> {
  if (type === string) return cursor.lenientText();
  const kind = numbers[type];
  if (kind) {
    const value = kind.make(await cursor.copy(kind.bytes))[0] as number | bigint;
    if (type === bool) return value !== 0;
    return typeof value === 'bigint' && BigInt.asIntN(54, value) === value ? Number(value) : value;
  }
  if (type !== array) throw cursor.error(`metadata ${show(key)}, expected a type from 0 to 12, got ${type}`);
  if (depth >= maxDepth) throw cursor.error(`metadata ${show(key)}, expected lists at most ${maxDepth} deep, got more`);
  const inner = await cursor.u32();
  const length = await cursor.size(`length of ${show(key)}`);
  const least = numbers[inner]?.bytes ?? (inner === string ? 8 : 12);
  if (length * least > cursor.rest)
    throw cursor.error(`metadata ${show(key)}, expected what the file can hold, got ${length} values`);
  if (length * least > cursor.room || (inner === string && length > maxTexts))
    throw cursor.error(
      `metadata ${show(key)}, expected at most ${maxTexts} texts, and a header of at most ${maxHeaderBytes} bytes, got a list of ${length} values`,
    );
  const elements = numbers[inner];
  if (elements) return elements.make(await cursor.copy(length * elements.bytes));
  const values: GgufValue[] = [];
  if (inner === string) await cursor.texts(length, values);
  else {
    cursor.takeLists(length, key);
    for (let i = 0; i < length; i++) values.push(await readValue(cursor, inner, key, depth + 1));
  }
  return values;
}

export const align = (offset: number, alignment: number): number => Math.ceil(offset / alignment) * alignment;

/** Reads forward through a source by windows. */
class Cursor {
  readonly #source: ByteSource;
  readonly #signal: AbortSignal | undefined;
  #window = new Uint8Array(0);
  #view = new DataView(this.#window.buffer);
  #start = 0;
  #at = 0;
  #undecoded = 0;
  #lists = 0;

  constructor(source: ByteSource, signal: AbortSignal | undefined) {
    this.#source = source;
    this.#signal = signal;
  }

  get position(): number {
    return this.#start + this.#at;
  }

  get rest(): number {
    return this.#source.size - this.position;
  }

  /** What the header may still take. */
  get room(): number {
    return maxHeaderBytes - this.position;
  }

  async u32(): Promise<number> {
    if (this.#lacks(4)) await this.#fill(4);
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }

  async size(what: string): Promise<number> {
    if (this.#lacks(8)) await this.#fill(8);
    this.#at += 8;
    const value = this.#view.getBigUint64(this.#at - 8, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.error(`${what}, expected below 2^53, got ${value}`);
    return Number(value);
  }

  async text(): Promise<string> {
    const text = await this.lenientText();
    if (typeof text === 'string') return text;
    throw this.error('text, expected UTF-8, got other bytes');
  }

  /** A text that perhaps nobody reads. */
  async lenientText(): Promise<string | UndecodedText> {
    const length = await this.size('length of a text');
    if (length > maxStringBytes) throw this.error(`text, expected at most ${maxStringBytes} bytes, got ${length}`);
    if (this.#lacks(length)) await this.#fill(length);
    return this.#decodeLeniently(length);
  }

  /** Appends texts to a list until it holds `count`; without a promise for each, since vocabularies are long. */
  async texts(count: number, list: GgufValue[]): Promise<void> {
    while (list.length < count) {
      list.push(await this.lenientText());
      while (list.length < count && !this.#lacks(8)) {
        const length = this.#view.getUint32(this.#at, true);
        if (this.#view.getUint32(this.#at + 4, true) !== 0 || this.#lacks(8 + length)) break;
        this.#at += 8;
        list.push(this.#decodeLeniently(length));
      }
    }
  }

  #decodeLeniently(length: number): string | UndecodedText {
    const at = this.#at;
    try {
      return this.#decode(length);
    } catch {
      if (++this.#undecoded > maxOdd) throw this.error(`texts, expected UTF-8, got other bytes in ${maxOdd} and more`);
      return new UndecodedText(this.#window.slice(at, at + length));
    }
  }

  #decode(length: number): string {
    this.#at += length;
    return decodeUtf8(this.#source.name, this.#window.subarray(this.#at - length, this.#at));
  }

  /** Bytes in a buffer of their own, so that numbers in it are aligned. */
  async copy(length: number): Promise<ArrayBuffer> {
    const out = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      if (this.#lacks(1)) await this.#fill(1);
      const piece = this.#window.subarray(this.#at, this.#at + length - done);
      out.set(piece, done);
      done += piece.byteLength;
      this.#at += piece.byteLength;
    }
    return out.buffer;
  }

  /** Lists within lists cost far more memory than bytes of the file. */
  takeLists(count: number, key: string): void {
    this.#lists += count;
    if (this.#lists > maxOdd)
      throw this.error(`metadata ${show(key)}, expected at most ${maxOdd} lists in lists, got more`);
  }

  error(what: string): Error {
    return malformed(this.#source.name, `${what} before byte ${this.position}`);
  }

  #lacks(length: number): boolean {
    return this.#at + length > this.#window.byteLength;
  }

  async #fill(length: number): Promise<void> {
    if (length > this.rest) throw this.error(`header, expected ${length} more bytes, got the end of the file`);
    if (length > this.room) throw this.error(`header, expected at most ${maxHeaderBytes} bytes, got more`);
    const start = this.position;
    this.#window = new Uint8Array(
      await this.#source.read(start, Math.min(this.rest, Math.max(length, 2 ** 18)), this.#signal),
    );
    this.#view = new DataView(this.#window.buffer);
    this.#start = start;
    this.#at = 0;
  }
}
