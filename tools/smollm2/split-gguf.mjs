// Cuts a GGUF into parts, as llama.cpp's gguf-split does: `node tools/smollm2/split-gguf.mjs FILE FOLDER NAME PARTS`.
// Every tensor stays byte by byte what it was; the first part keeps the metadata. Made the files of
// packages/smollm2-135m-instruct, which hosts that refuse files of 50 MB and more then take.
// Does not own reading a GGUF (@relufy/checkpoint), which joins the parts again.
import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const [file, folder, name, partCount] = process.argv.slice(2);
if (!(Number(partCount) >= 1)) throw new Error('usage: split-gguf.mjs FILE FOLDER NAME PARTS');
const alignment = 32;
const align = (value) => Math.ceil(value / alignment) * alignment;
const bytes = readFileSync(file);
let at = 24; // "GGUF", version, tensor count, metadata count
/** The next `count` bytes. */
function take(count) {
  at += count;
  return bytes.subarray(at - count, at);
}
const u32 = () => take(4).readUInt32LE();
const u64 = () => Number(take(8).readBigUInt64LE());
const text = () => take(u64()).toString('utf8');
const sizes = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8];
function skipValue(type) {
  if (type === 8) text();
  else if (type === 9) {
    const [inner, count] = [u32(), u64()];
    if (inner === 8) for (let i = 0; i < count; i++) text();
    else at += sizes[inner] * count;
  } else at += sizes[type];
}
const [tensorCount, fieldCount] = [Number(bytes.readBigUInt64LE(8)), Number(bytes.readBigUInt64LE(16))];
for (let i = 0; i < fieldCount; i++) {
  const key = text();
  if (key === 'general.alignment' || key.startsWith('split.')) throw new Error(`${file}: ${key} is not expected`);
  skipValue(u32());
}
const fields = bytes.subarray(24, at);
const tensors = [];
for (let i = 0; i < tensorCount; i++) {
  const start = at;
  text();
  const rank = u32();
  at += 8 * rank + 4; // its sizes and its type
  tensors.push({ info: bytes.subarray(start, at), offset: u64() });
}
const dataAt = align(at);
tensors.sort((a, b) => a.offset - b.offset);
tensors.forEach((tensor, i) => {
  tensor.data = bytes.subarray(dataAt + tensor.offset, dataAt + (tensors[i + 1]?.offset ?? bytes.length - dataAt));
});

/** Of about the same size; the metadata counts as what it takes. */
const parts = Array.from({ length: Number(partCount) }, () => []);
let filled = fields.length;
for (const tensor of tensors) {
  const middle = filled + tensor.data.length / 2;
  parts[Math.min(parts.length - 1, Math.floor((middle / bytes.length) * parts.length))].push(tensor);
  filled += tensor.data.length;
}

const u64Bytes = (value) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const field = (key, type, value) =>
  Buffer.concat([u64Bytes(key.length), Buffer.from(key), Buffer.from(Uint32Array.of(type).buffer), value]);
const u16Field = (key, value) => field(key, 2, Buffer.from(Uint16Array.of(value).buffer));
const digits = (value) => String(value).padStart(5, '0');
mkdirSync(folder, { recursive: true });
parts.forEach((own, part) => {
  let offset = 0;
  const infos = own.map(({ info, data }) => {
    const described = Buffer.concat([info, u64Bytes(offset)]);
    offset += align(data.length);
    return described;
  });
  const header = Buffer.concat([
    bytes.subarray(0, 8),
    u64Bytes(own.length),
    u64Bytes((part === 0 ? fieldCount : 0) + 3),
    ...(part === 0 ? [fields] : []),
    u16Field('split.no', part),
    u16Field('split.count', parts.length),
    field('split.tensors.count', 5, Buffer.from(Int32Array.of(tensorCount).buffer)),
    ...infos,
  ]);
  const out = openSync(join(folder, `${name}-${digits(part + 1)}-of-${digits(parts.length)}.gguf`), 'w');
  const pad = (length) => Buffer.alloc(align(length) - length);
  for (const piece of [header, pad(header.length), ...own.flatMap(({ data }) => [data, pad(data.length)])])
    writeSync(out, piece);
  closeSync(out);
});
