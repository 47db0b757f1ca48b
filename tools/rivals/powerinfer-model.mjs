// The synthetic model as PowerInfer reads it: a GGUF of 2023 with the magic PWRI, down transposed, and per layer a
// predictor of two matrices. For these gates a predictor can be exact: ReLU(A x) - ReLU(-A x) = A x, so fc1 = [A; -A; e0]
// and fc2 = [B, -B, bias] give the gate's sign. Everything is f16; the file follows PowerInfer's own converter.
// Metadata is copied from the f16 GGUF beside it. Owns the file; engines/powerinfer.mjs runs it.
import { open } from 'node:fs/promises';
import { gateFactors, rank } from './synthetic-weights.mjs';

const alignment = 32;
const [f32, f16] = [0, 1];
/** Bytes of GGUF's value types by number; 8 is a string, 9 an array. */
const valueBytes = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8];
/** fc1's rows: a multiple of 32. */
const predictorWidth = 2 * rank + 32;
const keys = { threshold: 'powerinfer.sparse_threshold' };

/** @param {string} path @param {string} gguf the f16 export @param {import('./shapes.mjs').Shape} shape @param {number} density */
export async function writePowerInferModel(path, gguf, shape, density) {
  const source = await readHeader(gguf);
  const target = await open(path, 'w');
  try {
    const tensors = planTensors(source, shape, density);
    const header = encodeHeader(source, tensors);
    await target.write(header);
    for (const tensor of tensors) {
      const bytes = await tensor.bytes();
      await target.write(bytes);
      await target.write(Buffer.alloc(aligned(bytes.length) - bytes.length));
    }
  } finally {
    await target.close();
    await source.file.close();
  }
}

const aligned = (length) => Math.ceil(length / alignment) * alignment;

/** The metadata's bytes as they are, and where each tensor lies. */
async function readHeader(path) {
  const file = await open(path, 'r');
  const head = Buffer.alloc(2 ** 24);
  await file.read(head, 0, head.length, 0);
  let at = 24;
  const take = (length) => {
    at += length;
    return at - length;
  };
  const u32 = () => head.readUInt32LE(take(4));
  const u64 = () => Number(head.readBigUInt64LE(take(8)));
  const text = () => {
    const length = u64();
    return head.toString('utf8', take(length), at);
  };
  const skip = (type) => {
    if (type === 8) text();
    else if (type === 9) {
      const [inner, count] = [u32(), u64()];
      for (let i = 0; i < count; i++) skip(inner);
    } else take(valueBytes[type]);
  };
  const [tensorCount, fieldCount] = [Number(head.readBigUInt64LE(8)), Number(head.readBigUInt64LE(16))];
  for (let i = 0; i < fieldCount; i++) {
    text();
    skip(u32());
  }
  const metadata = head.subarray(24, at);
  const tensors = Array.from({ length: tensorCount }, () => {
    const name = text();
    const dimensions = Array.from({ length: u32() }, u64);
    return { name, dimensions, type: u32(), offset: u64() };
  });
  return { file, metadata, fieldCount, tensors, data: aligned(at) };
}

function planTensors({ file, tensors, data }, shape, density) {
  const planned = tensors.flatMap(({ name, dimensions, type, offset }) => {
    const length = dimensions.reduce((product, size) => product * size, type === f32 ? 4 : 2);
    const bytes = async () => {
      const buffer = Buffer.alloc(length);
      await file.read(buffer, 0, length, data + offset);
      return buffer;
    };
    const same = { name, dimensions, type, length, bytes };
    if (name === 'token_embd.weight') return [same, { ...same, name: 'output.weight' }]; // it knows no tied head
    if (!name.endsWith('.ffn_down.weight')) return [same];
    const [columns, rows] = dimensions;
    return [
      {
        ...same,
        name: name.replace('ffn_down', 'ffn_down_t'),
        dimensions: [rows, columns],
        bytes: async () => transpose(await bytes(), rows, columns),
      },
    ];
  });
  for (let layer = 0; layer < shape.layers; layer++) {
    const add = (part, rows, columns, fill) =>
      planned.push({
        name: `blk.${layer}.${part}.weight`,
        dimensions: [columns, rows],
        type: f16,
        length: 2 * rows * columns,
        bytes: async () => {
          const values = new Float32Array(rows * columns);
          fill(values, gateFactors(shape, layer, density));
          return toF16(values);
        },
      });
    add('fc1', predictorWidth, shape.hidden, fillFirst(shape));
    add('fc2', shape.ffn, predictorWidth, fillSecond(shape));
  }
  return planned;
}

const fillFirst =
  ({ hidden }) =>
  (values, { a }) => {
    values.set(a);
    values.set(
      a.map((value) => -value),
      a.length,
    );
    values[2 * rank * hidden] = 1;
  };

/** Rows of b are scaled as the gate's are, to which the bias belongs. */
const fillSecond =
  ({ hidden, ffn }) =>
  (values, { a, b, bias }) => {
    const gram = Array.from({ length: rank }, (_, i) =>
      Float64Array.from({ length: rank }, (_, j) => {
        let sum = 0;
        for (let k = 0; k < hidden; k++) sum += a[i * hidden + k] * a[j * hidden + k];
        return sum;
      }),
    );
    for (let row = 0; row < ffn; row++) {
      const own = b.subarray(row * rank, (row + 1) * rank);
      let square = 0;
      for (let i = 0; i < rank; i++) for (let j = 0; j < rank; j++) square += own[i] * own[j] * gram[i][j];
      const to = row * predictorWidth;
      for (let i = 0; i < rank; i++) {
        values[to + i] = own[i] / Math.sqrt(square);
        values[to + rank + i] = -values[to + i];
      }
      values[to + 2 * rank] = bias;
    }
  };

function transpose(buffer, rows, columns) {
  const from = new Uint16Array(buffer.buffer, buffer.byteOffset, rows * columns);
  const to = new Uint16Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) to[column * rows + row] = from[row * columns + column];
  return Buffer.from(to.buffer);
}

/** Rounds to nearest; below f16's normal range to zero, which a predictor does not notice. */
function toF16(values) {
  const bits = new Uint32Array(values.buffer);
  const out = Uint16Array.from(bits, (word) => {
    const magnitude = word & 0x7fffffff;
    const sign = (word >>> 16) & 0x8000;
    return magnitude < 0x38800000 ? sign : sign | ((magnitude - 0x38000000 + 0x1000) >>> 13);
  });
  return Buffer.from(out.buffer);
}

function encodeHeader({ metadata, fieldCount }, tensors) {
  const u32 = (value) => Buffer.from(Uint32Array.of(value).buffer);
  const u64 = (value) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
  const text = (value) => [u64(Buffer.byteLength(value)), Buffer.from(value)];
  const parts = [Buffer.from('PWRI'), u32(3), u64(tensors.length), u64(fieldCount + 1), metadata];
  parts.push(...text(keys.threshold), u32(6), Buffer.from(Float32Array.of(0).buffer));
  let offset = 0;
  for (const { name, dimensions, type, length } of tensors) {
    parts.push(...text(name), u32(dimensions.length), ...dimensions.map(u64), u32(type), u64(offset));
    offset += aligned(length);
  }
  const header = Buffer.concat(parts);
  return Buffer.concat([header, Buffer.alloc(aligned(header.length) - header.length)]);
}
