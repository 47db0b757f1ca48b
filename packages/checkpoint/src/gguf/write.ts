// Writes a GGUF file (version 3): header first, then the tensors in order, streamed.
// Owns: the layout. Does not own: what goes into it (export.ts), files on disk (../node/write-gguf.ts).
import { elementCount } from '../checkpoint.js';
import type { GgufField } from './architecture.js';
import { blockFormat } from './block-formats.js';
import { align } from './header.js';
import type { GgufValue } from './metadata.js';
import { quantize, type WritableType } from './quantize.js';

export interface GgufTensorToWrite {
  readonly name: string;
  /** What an error calls it: the tensor that it is made of. */
  readonly where: string;
  readonly type: WritableType;
  /** In PyTorch's order; the last dimension is whole blocks. */
  readonly shape: readonly number[];
  /** All values in order, in pieces of whole rows. */
  readonly values: () => AsyncIterable<Float32Array>;
}

const alignment = 32;
const typeIds: Readonly<Record<GgufField['type'], readonly number[]>> = {
  uint32: [4],
  int32: [5],
  float32: [6],
  bool: [7],
  string: [8],
  'string[]': [9, 8],
  'int32[]': [9, 5],
  'float32[]': [9, 6],
};

/** A value as a reader of the file gets it. */
export function asRead(field: GgufField): GgufValue {
  if (field.type === 'float32') return Math.fround(field.value);
  if (field.type === 'int32[]') return Int32Array.from(field.value);
  if (field.type === 'float32[]') return Float32Array.from(field.value);
  return field.value;
}

export const byteLengthOf = ({ type, shape }: Pick<GgufTensorToWrite, 'type' | 'shape'>): number => {
  const format = blockFormat(type);
  const count = elementCount(shape);
  if (!format || count === undefined || (shape.at(-1) ?? 1) % format.elements !== 0)
    throw new Error(`internal: GGUF cannot hold ${type} [${shape}]`);
  return (count / format.elements) * format.bytes;
};

/** The bytes of a GGUF file, piece by piece. */
export async function* encodeGguf(
  fields: readonly (readonly [key: string, field: GgufField])[],
  tensors: readonly GgufTensorToWrite[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const header = encodeHeader(fields, tensors);
  yield header;
  yield new Uint8Array(align(header.byteLength, alignment) - header.byteLength);
  for (const tensor of tensors) {
    const expected = byteLengthOf(tensor);
    let written = 0;
    for await (const values of tensor.values()) {
      const bytes = quantize(tensor.type, values, tensor.where);
      written += bytes.byteLength;
      yield bytes;
    }
    if (written !== expected)
      throw new Error(`internal: GGUF tensor ${tensor.name} gave ${written} of ${expected} bytes`);
    yield new Uint8Array(align(written, alignment) - written);
  }
}

function encodeHeader(
  fields: readonly (readonly [key: string, field: GgufField])[],
  tensors: readonly GgufTensorToWrite[],
): Uint8Array {
  const out = new Bytes();
  out.raw(new TextEncoder().encode('GGUF'));
  out.u32(3);
  out.u64(tensors.length);
  out.u64(fields.length);
  for (const [key, field] of fields) {
    out.text(key);
    for (const id of typeIds[field.type]) out.u32(id);
    writeValue(out, field);
  }
  let offset = 0;
  for (const tensor of tensors) {
    out.text(tensor.name);
    out.u32(tensor.shape.length);
    for (const size of [...tensor.shape].reverse()) out.u64(size);
    out.u32(blockFormat(tensor.type)?.id as number);
    out.u64(offset);
    offset += align(byteLengthOf(tensor), alignment);
  }
  return out.take();
}

function writeValue(out: Bytes, field: GgufField): void {
  const raw = (values: ArrayBufferView): void => out.raw(new Uint8Array(values.buffer as ArrayBuffer));
  switch (field.type) {
    case 'string':
      out.text(field.value);
      break;
    case 'bool':
      out.raw(Uint8Array.of(field.value ? 1 : 0));
      break;
    case 'uint32':
    case 'int32':
      out.u32(field.value >>> 0);
      break;
    case 'float32':
      raw(Float32Array.of(field.value));
      break;
    default:
      out.u64(field.value.length);
      if (field.type === 'string[]') for (const text of field.value) out.text(text);
      else raw(field.type === 'int32[]' ? Int32Array.from(field.value) : Float32Array.from(field.value));
  }
}

/** Bytes that grow. */
class Bytes {
  #buffer = new Uint8Array(2 ** 16);
  #length = 0;

  raw(bytes: Uint8Array): void {
    if (this.#length + bytes.byteLength > this.#buffer.byteLength) {
      const larger = new Uint8Array(2 * (this.#length + bytes.byteLength));
      larger.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.byteLength;
  }

  u32(value: number): void {
    this.raw(new Uint8Array(Uint32Array.of(value).buffer));
  }

  u64(value: number): void {
    this.raw(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  }

  text(value: string): void {
    const bytes = new TextEncoder().encode(value);
    this.u64(bytes.byteLength);
    this.raw(bytes);
  }

  take(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }
}
