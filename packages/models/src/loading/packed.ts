// Packed weights: a checkpoint that holds the decoder's buffers as they lie in memory (format, transposition, fused
// QKV), in ordinary safetensors with metadata. Loading is reading bytes into place; a file can be mapped.
// Owns the metadata and the checks. Writing one is convert.ts.
import type { Checkpoint, TensorInfo, TensorToWrite } from '@relufy/checkpoint';
import {
  type BufferDecl,
  type BufferView,
  type DType,
  describeBuffer,
  elementsOf,
  isBlockDType,
  RelufyError,
  type RowFile,
  rowBytes,
  type Session,
  show,
  viewTypes,
  weightDTypes,
  yieldToEventLoop,
} from '@relufy/tensor';
import type { Role } from '../decoder/projections.js';
import { parsePlan, planJson, type SparsityPlan } from '../sparsity/plan.js';
import { fingerprintKey } from './fingerprint.js';
import { checkFinite, type LoadWeightsOptions, type WeightSources } from './load-weights.js';

/** Every tensor begins at a multiple of this in the file: a cache line, and what buffers in memory are aligned to. */
export const packedAlignment = 64;

const layoutKey = 'relufy.layout';
const buffersKey = 'relufy.buffers';
/** The description of the plan that the layout is for. */
const planKey = 'relufy.plan';
/** Roles whose rows lie side by side, a neuron a row of `layers.k.neurons`. */
const bundleKey = 'relufy.bundle';
const layoutVersion = '1';
const chunkBytes = 4 << 20;

/** `fingerprint` of what was converted, the plan whose layout the weights have, and the roles that are bundled. */
export function packedMetadata(
  buffers: readonly BufferDecl[],
  fingerprint: string,
  plan?: SparsityPlan,
  bundle: readonly Role[] = [],
): Record<string, string> {
  const described = buffers.filter(({ kind }) => kind === 'weight').map((decl) => [decl.name, describeBuffer(decl)]);
  return {
    format: 'relufy',
    [layoutKey]: layoutVersion,
    [buffersKey]: JSON.stringify(Object.fromEntries(described)),
    [fingerprintKey]: fingerprint,
    ...(plan && { [planKey]: planJson(plan) }),
    ...(bundle.length > 0 && { [bundleKey]: bundle.join(' ') }),
  };
}

/** The rows of some buffers of one layer, those of a neuron side by side, as one tensor. */
export function bundledTensor(decls: readonly BufferDecl[], data: () => AsyncGenerator<Uint8Array>): TensorToWrite {
  const [{ name, shape }] = decls as readonly [BufferDecl];
  const width = decls.reduce((sum, decl) => sum + strides(decl)[1], 0);
  return { name: bundleOf(name), dtype: 'U8', shape: [shape[0] as number, width], data };
}

const bundleOf = (buffer: string): string => buffer.replace(/\.\w+\.weight$/, '.neurons');

/** The tensor that holds a buffer's rows, and where in one of its rows they begin. */
interface PackedRows {
  readonly tensor: string;
  readonly at: number;
  /** Rows of a neuron in the tensor. */
  readonly count: number;
}

function rowsIn({ metadata }: Checkpoint, buffer: string, bytes: number): PackedRows {
  const roles = metadata[bundleKey]?.split(' ') ?? [];
  const role = /^layers\.\d+\.(\w+)\.weight$/.exec(buffer)?.[1];
  const index = role === undefined ? -1 : roles.indexOf(role);
  return index < 0
    ? { tensor: buffer, at: 0, count: 1 }
    : { tensor: bundleOf(buffer), at: index * bytes, count: roles.length };
}

/** A buffer as a tensor of the file: block formats are bytes, a row a row. */
export function packedTensor(decl: BufferDecl, data: TensorToWrite['data']): TensorToWrite {
  return { name: decl.name, dtype: storedAs(decl.dtype), shape: storedShape(decl), data };
}

function storedAs(dtype: DType): string {
  return dtype === 'f32' ? 'F32' : dtype === 'bf16' ? 'BF16' : 'U8';
}

function storedShape({ dtype, shape }: BufferDecl): number[] {
  const sizes = shape as readonly number[];
  return isBlockDType(dtype) ? [sizes[0] as number, rowBytes(dtype, sizes[1] as number)] : [...sizes];
}

/** Whether the checkpoint is packed and holds this buffer. */
export function hasPacked(checkpoint: Checkpoint, buffer: string): boolean {
  return checkpoint.metadata[layoutKey] !== undefined && checkpoint.tensors.has(rowsIn(checkpoint, buffer, 0).tensor);
}

/** The sources of a packed checkpoint; undefined for any other. */
export function locatePacked(name: string, checkpoint: Checkpoint): WeightSources | undefined {
  const { [layoutKey]: version, [buffersKey]: described } = checkpoint.metadata;
  if (version === undefined) return undefined;
  if (version !== layoutVersion)
    throw new RelufyError(
      'checkpoint',
      `${name} metadata "${layoutKey}": expected ${layoutVersion}, got ${show(version).slice(1, -1)}. Convert the original checkpoint with this version.`,
    );
  const formats = parseDescriptions(name, described);
  return {
    storedDType: (buffer) => {
      const dtype = formats.get(buffer)?.split(' ', 1)[0] ?? 'f32';
      if ((weightDTypes as readonly string[]).includes(dtype)) return dtype as DType;
      throw new RelufyError(
        'checkpoint',
        `${name} metadata "${buffersKey}": expected ${weightDTypes.join(', ')} for ${buffer}, got ${show(dtype)}. Convert the model again.`,
      );
    },
    load: (options) => loadPacked(checkpoint, formats, options),
  };
}

function parseDescriptions(name: string, text: string | undefined): ReadonlyMap<string, string> {
  try {
    const entries = Object.entries(JSON.parse(text ?? '') as Record<string, unknown>);
    if (entries.every((entry): entry is [string, string] => typeof entry[1] === 'string')) return new Map(entries);
  } catch {
    // worded below
  }
  throw new RelufyError(
    'checkpoint',
    `${name} metadata "${buffersKey}": expected a description of every buffer, got none that can be read. Convert the model again.`,
  );
}

async function loadPacked(
  checkpoint: Checkpoint,
  formats: ReadonlyMap<string, string>,
  { name, session, buffers, signal, onBytes }: LoadWeightsOptions,
): Promise<void> {
  const stored = buffers.filter(({ kind }) => kind === 'weight');
  const byRows = buffers.filter(({ kind }) => kind === 'stored');
  for (const decl of [...stored, ...byRows]) check(name, checkpoint, formats, decl);
  await attach(name, checkpoint, session, byRows);
  // within a budget nothing is mapped: pages of a file come and go as the system likes
  const mapped = byRows.length > 0 ? new Set<BufferDecl>() : adopt(checkpoint, session, stored);
  for (const decl of mapped) {
    const { file, byteLength } = checkpoint.tensors.get(decl.name) as TensorInfo;
    // this reads the file once, at the speed of memory; the first step would do so too
    checkFinite(name, decl.name, decl.dtype, await elementsOf(session, decl.name), decl.shape.at(-1) as number);
    onBytes?.(file, byteLength);
    await yieldToEventLoop();
    signal?.throwIfAborted();
  }
  // one chunk for all reads: what is read anew each time stays with the allocator, tens of megabytes beside a budget
  let chunk = new Uint8Array(0);
  for (const decl of stored) {
    if (mapped.has(decl)) continue;
    const [rows, stride] = decl.shape.length === 1 ? [1, rowBytes(decl.dtype, decl.shape[0] as number)] : strides(decl);
    const held = rowsIn(checkpoint, decl.name, stride);
    const { file } = checkpoint.tensors.get(held.tensor) as TensorInfo;
    const chunkRows = Math.max(1, Math.floor(chunkBytes / (stride * held.count)));
    for (let row = 0; row < rows; row += chunkRows) {
      const count = Math.min(chunkRows, rows - row);
      if (chunk.length < count * stride * held.count)
        chunk = new Uint8Array(Math.max(chunkBytes, count * stride * held.count));
      const read = await checkpoint.readStored(held.tensor, row, count, signal, chunk);
      const bytes = held.count === 1 ? read : apart(read, held, stride);
      const part = elementsIn(decl.dtype, bytes);
      checkFinite(name, decl.name, decl.dtype, part, decl.shape.at(-1) as number);
      await session.write(decl.name, part, (row * stride) / part.BYTES_PER_ELEMENT);
      onBytes?.(file, bytes.byteLength);
    }
  }
}

/** The rows of one buffer, out of those of a bundle. */
function apart(bundle: Uint8Array, { at, count }: PackedRows, stride: number): Uint8Array {
  const own = new Uint8Array(bundle.length / count);
  for (let row = 0; row * stride < own.length; row++) {
    const from = row * count * stride + at;
    own.set(bundle.subarray(from, from + stride), row * stride);
  }
  return own;
}

/** Bytes of a file as a buffer of this format has them. */
function elementsIn(dtype: DType, bytes: Uint8Array): BufferView {
  const Elements = viewTypes[dtype];
  const empty = new Elements(0);
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice(); // words are read, of block formats too
  return new Elements(aligned.buffer, aligned.byteOffset, bytes.byteLength / empty.BYTES_PER_ELEMENT);
}

/** Tells the session where the rows lie that stay in files. Their numbers are looked at in steps alone. */
async function attach(
  name: string,
  checkpoint: Checkpoint,
  session: Session,
  byRows: readonly BufferDecl[],
): Promise<void> {
  const files = new Map<string, RowFile>();
  for (const decl of byRows) {
    const [, bytes] = strides(decl);
    const { tensor, at, count } = rowsIn(checkpoint, decl.name, bytes);
    const { place, file: named } = checkpoint.tensors.get(tensor) as TensorInfo;
    if (place?.openRows === undefined || session.attach === undefined)
      throw new RelufyError(
        'option',
        `${name} memoryBudget: expected a model on a disk of this machine, and a backend that reads rows in a step, got ${
          place?.openRows === undefined ? 'other files' : 'another backend'
        }. Download the model, and load its folder; on a page keep it in the private file system (directoryFiles).`,
      );
    const file = files.get(named) ?? place.openRows();
    files.set(named, file);
    await session.attach(decl.name, { file, firstByte: place.firstByte + at, stride: count * bytes });
  }
}

/** Maps what lies in files of this machine, where the backend can; gives the buffers that need no reading. */
function adopt(checkpoint: Checkpoint, session: Session, stored: readonly BufferDecl[]): ReadonlySet<BufferDecl> {
  const places = new Map<string, [buffer: string, firstByte: number][]>();
  const mapped = new Set<BufferDecl>();
  if (session.adopt === undefined) return mapped;
  for (const decl of stored) {
    // rows that lie beside others are read into place
    const place = checkpoint.tensors.get(decl.name)?.place;
    if (place?.path === undefined || place.firstByte % packedAlignment !== 0) continue;
    if (!places.has(place.path)) places.set(place.path, []);
    places.get(place.path)?.push([decl.name, place.firstByte]);
    mapped.add(decl);
  }
  for (const [path, buffers] of places) session.adopt(path, buffers);
  return mapped;
}

function strides({ dtype, shape }: BufferDecl): [rows: number, stride: number] {
  return [shape[0] as number, rowBytes(dtype, shape[1] as number)];
}

/** What a packed checkpoint needs, for an error. */
function madeFor(name: string, { metadata }: Checkpoint): string {
  const plan = metadata[planKey];
  return plan === undefined
    ? 'other options (dtype, relufy, plan); convert the original checkpoint again'
    : `the sparsity plan ${show(parsePlan(name, plan).method)}, or other options (dtype, relufy); load them with that plan (option plan), or convert the original checkpoint again`;
}

function check(name: string, checkpoint: Checkpoint, formats: ReadonlyMap<string, string>, decl: BufferDecl): void {
  const expected = describeBuffer(decl);
  const bytes = decl.shape.length === 2 ? strides(decl)[1] : 0;
  const held = rowsIn(checkpoint, decl.name, bytes);
  const info = checkpoint.tensors.get(held.tensor);
  const got = info && formats.get(decl.name);
  if (got !== expected)
    throw new RelufyError(
      'checkpoint',
      `${name} tensor "${decl.name}": expected ${expected}, got ${got === undefined ? 'none' : show(got).slice(1, -1)}. The weights were converted for ${madeFor(name, checkpoint)}.`,
    );
  const isBundled = held.count > 1;
  const shape = isBundled ? [decl.shape[0] as number, held.count * bytes] : storedShape(decl);
  const dtype = isBundled ? 'U8' : storedAs(decl.dtype);
  if (info?.dtype !== dtype || info.shape.join() !== shape.join())
    throw new RelufyError(
      'checkpoint',
      `${name} tensor "${decl.name}": expected ${dtype} [${shape.join(', ')}], got ${info?.dtype} [${info?.shape.join(', ')}]. The file is damaged; convert the model again.`,
    );
}
