// The pickles of torch.save by hand (protocol 2), piece by piece for wrong ones, and whole `.bin` files of f32 tensors.
// Tensors that share one array share one storage, as tied weights do.
import type { TensorToWrite } from '../src/index.js';
import { zip } from './zip.js';

export const text = (value: string) => `X${String.fromCharCode(value.length)}\0\0\0${value}`;
export const storage = (key = '0', count = 'K\x02', type = 'FloatStorage') =>
  `(${text('storage')}ctorch\n${type}\n${text(key)}${text('cpu')}${count}tQ`;
export const tensor = (from = storage(), offset = 'K\0', shape = 'K\x02\x85', strides = 'K\x01\x85') =>
  `ctorch._utils\n_rebuild_tensor_v2\n(${from}${offset}${shape}${strides}\x89)tR`;
export const dict = (...pairs: string[]) => `\x80\x02}(${pairs.join('')}u.`;
export const latin1 = (value: string) => Uint8Array.from(value, (character) => character.charCodeAt(0));

const int = (value: number) => `J${String.fromCharCode(...new Uint8Array(Int32Array.of(value).buffer))}`;
const tuple = (values: readonly number[]) => `(${values.map(int).join('')}t`;

/** A `pytorch_model.bin` of F32 tensors. */
export function torchBin(tensors: Iterable<TensorToWrite>): Uint8Array {
  const storages = new Map<Float32Array, string>();
  const pairs = [...tensors].flatMap(({ name, shape, data }) => {
    const values = data as Float32Array;
    if (!storages.has(values)) storages.set(values, String(storages.size));
    const strides = shape.map((_, i) => shape.slice(i + 1).reduce((product, size) => product * size, 1));
    const from = storage(storages.get(values), int(values.length));
    return [text(name), tensor(from, int(0), tuple(shape), tuple(strides))];
  });
  const data = [...storages].map(([values, key]) => ({
    name: `a/data/${key}`,
    data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  }));
  return zip([{ name: 'a/data.pkl', data: latin1(dict(...pairs)) }, ...data]);
}
