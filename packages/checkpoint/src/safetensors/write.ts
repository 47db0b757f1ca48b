// Writes safetensors: header first, then the tensors in the order planned, streamed.
// Owns: layout (order, alignment, padding) and the check that each tensor gives the bytes it promised.
// Does not own: files (node/write-safetensors.ts makes this atomic on disk).
import {
  aSequence,
  aSignal,
  aText,
  checkOptions,
  checkValue,
  objectOf,
  RelufyError,
  type Rule,
  show,
} from '@relufy/tensor';
import { elementCount } from '../checkpoint.js';
import { bitsOfDType, maxHeaderBytes } from './header.js';
import { paddingPrefix } from './read.js';

export interface TensorToWrite {
  readonly name: string;
  /** A dtype of the format, for example 'F32' or 'BF16'. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Little-endian bytes: at once, or produced in pieces when the writer reaches this tensor. */
  readonly data: ArrayBufferView | (() => Iterable<Uint8Array> | AsyncIterable<Uint8Array>);
}

export interface SafetensorsOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  /**
   * Every tensor begins at a multiple of this many bytes in the file (a power of two, at least 8). The format allows
   * no gaps, so tensors whose size is a multiple of it come first, and the others are followed by U8 tensors
   * `__padding__.N` where needed. Default 8: no padding tensors, largest elements first, as the reference writer does.
   */
  readonly alignment?: number;
  readonly signal?: AbortSignal | undefined;
}

const aPowerOfTwo: Rule = {
  expected: 'a power of two from 8 on',
  fits: (value) =>
    Number.isSafeInteger(value) && (value as number) >= 8 && Number.isInteger(Math.log2(value as number)),
};
const texts = objectOf(aText, 'an object of texts');

/** @throws RelufyError `option` for what is no list of tensors, and for options that do not fit. */
export function checkSafetensorsOptions(call: string, tensors: unknown, options: SafetensorsOptions): void {
  checkValue(`${call}: tensors`, tensors, aSequence);
  checkOptions(call, options, { metadata: texts, alignment: aPowerOfTwo, signal: aSignal });
}

/** Of one tensor: name, dtype and shape are refused where they lie in the file. */
function checkTensor(tensor: unknown): void {
  checkValue('safetensors: tensor', tensor, {
    expected: 'an object with name, dtype, shape and data',
    fits: (value) => typeof value === 'object' && value !== null,
  });
  const { name, dtype, shape, data } = tensor as Partial<TensorToWrite>;
  checkValue('safetensors: tensor name', name, aText);
  const where = `safetensors: tensor ${show(name)}`;
  checkValue(`${where}: dtype`, dtype, aText);
  checkValue(`${where}: shape`, shape, {
    expected: 'a list of sizes',
    fits: (value) => Array.isArray(value),
  });
  checkValue(`${where}: data`, data, {
    expected: 'a typed array, or a function that gives bytes',
    fits: (value) => ArrayBuffer.isView(value) || typeof value === 'function',
  });
}

interface Placed {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly data: TensorToWrite['data'];
}

/** The bytes of a safetensors file, piece by piece. */
export async function* streamSafetensors(
  tensors: Iterable<TensorToWrite>,
  options: SafetensorsOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  checkSafetensorsOptions('safetensors', tensors, options);
  const { metadata, alignment = 8, signal } = options;
  const placed = place(tensors, alignment);
  yield header(placed, metadata, alignment);
  for (const tensor of placed) {
    let written = 0;
    for await (const piece of pieces(tensor)) {
      signal?.throwIfAborted();
      written += piece.byteLength;
      if (written > tensor.bytes) break;
      yield piece;
    }
    if (written !== tensor.bytes)
      throw new RelufyError(
        'option',
        `safetensors: data of ${show(tensor.name)}, expected ${tensor.bytes} bytes for ${tensor.dtype} [${tensor.shape}], got ${written > tensor.bytes ? 'more' : written}.`,
      );
  }
}

/** A safetensors file in memory. */
export async function encodeSafetensors(
  tensors: Iterable<TensorToWrite>,
  options: SafetensorsOptions = {},
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of streamSafetensors(tensors, options)) parts.push(part.slice());
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.byteLength;
  }
  return out;
}

function place(tensors: Iterable<TensorToWrite>, alignment: number): Placed[] {
  const names = new Set<string>();
  const sized = [...tensors].map((tensor): Placed => {
    checkTensor(tensor);
    const { name, dtype, shape, data } = tensor;
    const bits = Object.hasOwn(bitsOfDType, dtype) ? bitsOfDType[dtype] : undefined;
    const count = shape.every((size) => Number.isSafeInteger(size) && size >= 0) ? elementCount(shape) : undefined;
    const bytes = bits === undefined || count === undefined ? undefined : (count * bits) / 8;
    if (names.has(name) || name === '__metadata__' || name.startsWith(paddingPrefix))
      throw new RelufyError('option', `safetensors: tensor name, expected a free one, got ${show(name)}.`);
    if (!Number.isSafeInteger(bytes))
      throw new RelufyError(
        'option',
        `safetensors: tensor ${show(name)}, expected a known dtype and shape, got ${show(dtype)} [${shape}].`,
      );
    names.add(name);
    return { name, dtype, shape, bytes: bytes as number, data };
  });
  if (alignment === 8) return sized.sort((a, b) => elementBits(b) - elementBits(a)); // stable: else as given
  const even = sized.filter(({ bytes }) => bytes % alignment === 0);
  const odd = sized.filter(({ bytes }) => bytes % alignment !== 0);
  return [
    ...even,
    ...odd.flatMap((tensor, i) => (i < odd.length - 1 ? [tensor, padding(i, tensor, alignment)] : [tensor])),
  ];
}

const elementBits = ({ dtype }: Placed): number => bitsOfDType[dtype] as number;

function padding(index: number, { bytes }: Placed, alignment: number): Placed {
  const length = alignment - (bytes % alignment);
  return {
    name: `${paddingPrefix}${index}`,
    dtype: 'U8',
    shape: [length],
    bytes: length,
    data: new Uint8Array(length),
  };
}

function header(placed: readonly Placed[], metadata: SafetensorsOptions['metadata'], alignment: number): Uint8Array {
  let offset = 0;
  const entries: [string, unknown][] = metadata ? [['__metadata__', metadata]] : [];
  for (const { name, dtype, shape, bytes } of placed) {
    entries.push([name, { dtype, shape, data_offsets: [offset, offset + bytes] }]);
    offset += bytes;
  }
  // Joined by hand: an object would put names such as "0" first, and lose "__proto__".
  const json = `{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`;
  const text = new TextEncoder().encode(json);
  const length = Math.ceil((8 + text.byteLength) / alignment) * alignment - 8;
  if (length > maxHeaderBytes)
    throw new RelufyError('option', `safetensors: header, expected at most ${maxHeaderBytes} bytes, got ${length}.`);
  const out = new Uint8Array(8 + length).fill(0x20);
  new DataView(out.buffer).setBigUint64(0, BigInt(length), true);
  out.set(text, 8);
  return out;
}

async function* pieces({ name, data }: Placed): AsyncGenerator<Uint8Array> {
  if (typeof data === 'function') {
    const given: unknown = data();
    checkValue(`safetensors: data of ${show(name)}`, given, {
      expected: 'pieces of bytes, one after the other',
      fits: (value) =>
        aSequence.fits(value) || (typeof value === 'object' && value !== null && Symbol.asyncIterator in value),
    });
    for await (const piece of given as AsyncIterable<Uint8Array>) {
      if (!(piece instanceof Uint8Array))
        throw new RelufyError(
          'option',
          `safetensors: data of ${show(name)}: expected pieces of bytes, got ${show(piece)}.`,
        );
      yield piece;
    }
  } else yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
