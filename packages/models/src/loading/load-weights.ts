// Fills a session's weight buffers from a checkpoint: finds each tensor, checks its shape, converts its format, undoes
// fusing and transposes, in chunks, straight into place. Refuses numbers that are not finite.
// Does not own the formats of files (checkpoint) nor where a family keeps its tensors (families).
import type { Checkpoint, TensorInfo } from '@relufy/checkpoint';
import {
  type BlockDType,
  type BufferDecl,
  type BufferView,
  type DType,
  elementCount,
  type FloatDType,
  type HostSession,
  isBlockDType,
  isFiniteBuffer,
  narrowToBf16,
  quantizeRow,
  RelufyError,
  rowBytes,
  type Session,
  showNames,
  viewLength,
  viewTypes,
  widen,
} from '@relufy/tensor';
import type { Family, WeightMap, WeightPart } from '../families/family.js';

/** Bytes of a tensor that are in flight at once. */
const chunkBytes = 4 << 20;

/** Where a model's weights lie in one checkpoint, every name resolved. */
export interface WeightSources {
  /**
   * The format in which a buffer is kept as it is stored: the narrowest that holds it without loss, or, of what is
   * quantised already, the block format next to it. `transposed` matrices are cut into blocks anew.
   */
  storedDType(buffer: string, transposed: boolean): DType;
  /** Streams every weight into the session. Peak memory beyond the session: a few chunks, or one matrix in f32. */
  load(options: LoadWeightsOptions): Promise<void>;
}

/** The sources of a checkpoint in its family's own layout. */
export interface FamilySources extends WeightSources {
  readonly map: WeightMap;
}

/** False for a packed checkpoint, which holds the buffers themselves. */
export const isFamilySources = (sources: WeightSources): sources is FamilySources => 'map' in sources;

/**
 * Resolves names and checks that nothing is missing, misshapen or left over. Reads no weights.
 * @throws RelufyError `checkpoint`.
 */
export function locateWeights(name: string, family: Family, map: WeightMap, checkpoint: Checkpoint): FamilySources {
  const resolved = new Map<string, readonly WeightPart[]>();
  const used = new Set<string>();
  for (const [buffer, parts] of map) {
    resolved.set(
      buffer,
      parts.map((part) => {
        const tensor = resolve(name, family, part.tensor, checkpoint);
        used.add(tensor.name);
        return { ...part, tensor: tensor.name };
      }),
    );
  }
  for (const tensor of checkpoint.tensors.keys())
    if (!used.has(tensor) && /(^|\.)(layers|h|blocks)\.\d+\./.test(tensor) && !family.ignored.test(tensor))
      throw new RelufyError(
        'checkpoint',
        `${name} tensor "${tensor}": expected no such tensor in this model, got one. Its config.json belongs to another model, or its arithmetic is not supported.`,
      );
  const info = (part: WeightPart) => checkpoint.tensors.get(part.tensor) as TensorInfo;
  return {
    map: resolved,
    load: (options) => loadWeights(checkpoint, resolved, options),
    storedDType: (buffer, transposed) => storedDType((resolved.get(buffer) ?? []).map(info), transposed),
  };
}

function storedDType(tensors: readonly TensorInfo[], transposed: boolean): DType {
  const dtypes = new Set(tensors.map(({ blockDType, floatDType }) => blockDType ?? floatDType));
  const [dtype] = dtypes;
  if (dtypes.size === 1 && dtype === 'bf16') return dtype;
  if (tensors.some(({ blockDType }) => blockDType === undefined)) return 'f32';
  return dtypes.size === 1 && dtype !== undefined && !transposed ? dtype : 'int8';
}

/** A tensor by its family's name, with or without the prefix that names may lack. */
export function tensorOf(family: Family, tensor: string, checkpoint: Checkpoint): TensorInfo | undefined {
  const bare = tensor.startsWith(family.optionalPrefix) ? tensor.slice(family.optionalPrefix.length) : tensor;
  return checkpoint.tensors.get(tensor) ?? checkpoint.tensors.get(bare);
}

function resolve(name: string, family: Family, tensor: string, checkpoint: Checkpoint): TensorInfo {
  const found = tensorOf(family, tensor, checkpoint);
  if (found !== undefined) return found;
  const { size } = checkpoint.tensors;
  const names = size === 0 ? '' : ` (${showNames(checkpoint.tensors.keys(), 3)})`;
  throw new RelufyError(
    'checkpoint',
    `${name} tensor "${tensor}": expected it among the ${size} tensors of the checkpoint${names}, got none. The download is incomplete, or config.json belongs to another model.`,
  );
}

export interface LoadWeightsOptions extends FillOptions {
  readonly session: Session;
  readonly buffers: readonly BufferDecl[];
}

async function loadWeights(checkpoint: Checkpoint, map: WeightMap, options: LoadWeightsOptions): Promise<void> {
  const decls = new Map(options.buffers.map((buffer) => [buffer.name, buffer]));
  const declOf = (buffer: string): BufferDecl => {
    const decl = decls.get(buffer);
    if (decl === undefined) throw new Error(`internal: the decoder has no buffer "${buffer}"`);
    return decl;
  };
  for (const { name, kind } of options.buffers)
    if (kind === 'weight' && !map.has(name))
      throw new Error(`internal: no tensor of the checkpoint fills the buffer "${name}"`);
  for (const [buffer, parts] of map) checkShapes(options.name, parts, declOf(buffer), checkpoint);
  for (const [buffer, parts] of map) {
    const { session } = options;
    const decl = declOf(buffer);
    // into the memory itself where it is shown; elsewhere a buffer is put together here
    const staged = session.view ? undefined : new viewTypes[decl.dtype](viewLength(decl, noSteps));
    const target = () => staged ?? (session as HostSession).view(buffer);
    await fillBuffer(checkpoint, parts, decl, target, options);
    if (staged) await session.write(buffer, staged);
  }
}

/** What filling a buffer reports to. */
export interface FillOptions {
  readonly name: string;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: ((file: string, bytes: number) => void) | undefined;
  /** By buffer, how much the error of each input's weights counts where they are cut into blocks (importance.ts). */
  readonly importance?: ReadonlyMap<string, Float32Array> | undefined;
}

/** Fills one buffer from its parts. `target` is asked anew after every read, since memory may have moved. */
export async function fillBuffer(
  checkpoint: Checkpoint,
  parts: readonly WeightPart[],
  decl: BufferDecl,
  target: () => BufferView,
  options: FillOptions,
): Promise<void> {
  const { dtype, transposed } = decl;
  // blocks run along stored rows, so a transposed matrix must be whole before it can be cut into blocks
  const staging = isBlockDType(dtype) && transposed ? new Float32Array(elementCount(decl, noSteps)) : undefined;
  let toRow = 0;
  for (const part of parts) {
    if (part.shape !== undefined || checkpoint.tensors.get(part.tensor)?.shape.length === 1) {
      const values = await readVector(checkpoint, part, dtype, options);
      target().set(values, toRow);
    } else if (
      transposed ||
      !isBlockDType(dtype) ||
      !(await keepBlocks(checkpoint, part, dtype, target, toRow, options))
    )
      for await (const { values, rows, width, firstRow } of readChunks(checkpoint, part, dtype, options)) {
        const row = toRow + firstRow;
        if (transposed) transpose(values, rows, width, staging ?? target(), row, decl.shape[1] as number);
        else if (isBlockDType(dtype))
          quantizeRows(
            dtype,
            values as Float32Array,
            width,
            target() as Uint8Array,
            row,
            whereOf(options.name, [part]),
            options.importance?.get(decl.name),
          );
        else target().set(values, row * width);
      }
    toRow += part.rows;
  }
  if (staging && isBlockDType(dtype))
    quantizeRows(dtype, staging, decl.shape[1] as number, target() as Uint8Array, 0, whereOf(options.name, parts));
}

/** Blocks that the file has as memory will have them: no number changes. False where there are none such. */
async function keepBlocks(
  checkpoint: Checkpoint,
  part: WeightPart,
  dtype: BlockDType,
  target: () => BufferView,
  toRow: number,
  { name, signal, onBytes }: FillOptions,
): Promise<boolean> {
  const info = checkpoint.tensors.get(part.tensor) as TensorInfo;
  const width = info.shape[1] as number;
  const stride = rowBytes(dtype, width);
  const chunkRows = Math.max(1, Math.floor(chunkBytes / stride));
  for (let row = 0; row < part.rows; row += chunkRows) {
    const rows = Math.min(chunkRows, part.rows - row);
    const bytes = await checkpoint.readBlocks(part.tensor, dtype, part.firstRow + row, rows, signal);
    if (bytes === undefined) return false;
    checkFinite(name, part.tensor, dtype, bytes, width);
    (target() as Uint8Array).set(bytes, (toRow + row) * stride);
    onBytes?.(info.file, Math.round((info.byteLength / part.tensorRows) * rows));
  }
  return true;
}

const noSteps = { maxRows: 0, maxOutputs: 0 };

const whereOf = (name: string, parts: readonly WeightPart[]): string =>
  `${name} tensor ${[...new Set(parts.map(({ tensor }) => `"${tensor}"`))].join(' or ')}`;

function quantizeRows(
  dtype: BlockDType,
  values: Float32Array,
  width: number,
  target: Uint8Array,
  toRow: number,
  where: string,
  importance?: Float32Array,
): void {
  const bytes = rowBytes(dtype, width);
  for (let row = 0; row * width < values.length; row++) {
    const to = (toRow + row) * bytes;
    quantizeRow(
      dtype,
      values.subarray(row * width, (row + 1) * width),
      target.subarray(to, to + bytes),
      where,
      importance,
    );
  }
}

export function checkShapes(
  name: string,
  parts: readonly WeightPart[],
  decl: BufferDecl,
  checkpoint: Checkpoint,
): void {
  const columns = decl.shape[decl.transposed ? 0 : 1] as number;
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  // a buffer of one number a row is a vector, and so is [heads, headDim] that is made of vectors
  const vectors = decl.shape.length === 1 || rows === elementCount(decl, noSteps);
  for (const { tensor, tensorRows, shape: stored } of parts) {
    const { shape } = checkpoint.tensors.get(tensor) as TensorInfo;
    const expected = stored ?? (vectors ? [tensorRows] : [tensorRows, columns]);
    if (shape.length !== expected.length || shape.some((size, axis) => size !== expected[axis]))
      throw new RelufyError(
        'checkpoint',
        `${name} tensor "${tensor}": expected [${expected.join(', ')}], got [${shape.join(', ')}]. config.json and weights do not belong together.`,
      );
  }
}

/** A bias or a norm: one "row" to the checkpoint, however long; ours may want a slice of it. */
async function readVector(
  checkpoint: Checkpoint,
  part: WeightPart,
  to: DType,
  { name, signal, onBytes }: FillOptions,
): Promise<Float32Array | Uint16Array> {
  const { dtype, data } = await checkpoint.readRows(part.tensor, 0, 1, signal);
  const values = convert(dtype, data, to).slice(part.firstRow, part.firstRow + part.rows);
  checkFinite(name, part.tensor, to === 'bf16' ? to : 'f32', values);
  if (part.plus !== undefined) for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) + part.plus;
  onBytes?.((checkpoint.tensors.get(part.tensor) as TensorInfo).file, data.byteLength);
  return values;
}

interface Chunk {
  readonly values: Float32Array | Uint16Array;
  readonly rows: number;
  readonly width: number;
  /** Counted from the part's first row. */
  readonly firstRow: number;
}

/** The rows of a part, some at a time: bf16 bits for a bf16 buffer, f32 for all others. */
async function* readChunks(
  checkpoint: Checkpoint,
  part: WeightPart,
  to: DType,
  { name, signal, onBytes }: FillOptions,
): AsyncGenerator<Chunk> {
  const info = checkpoint.tensors.get(part.tensor) as TensorInfo;
  const width = info.shape[1] as number;
  const chunkRows = Math.max(1, Math.floor(chunkBytes / (4 * width)));
  for (let firstRow = 0; firstRow < part.rows; firstRow += chunkRows) {
    const rows = Math.min(chunkRows, part.rows - firstRow);
    const { dtype, data } = await checkpoint.readRows(part.tensor, part.firstRow + firstRow, rows, signal);
    const values = convert(dtype, data, to);
    checkFinite(name, part.tensor, to === 'bf16' ? to : 'f32', values);
    yield { values, rows, width, firstRow };
    onBytes?.(info.file, Math.round((info.byteLength / part.tensorRows) * rows));
  }
}

/** Numbers in the format of the buffer: Float32Array, or bf16 bits. */
export function convert(dtype: FloatDType, data: Uint8Array, to: DType): Float32Array | Uint16Array {
  if (to === 'bf16' && dtype === 'bf16')
    return data.byteOffset % 2 === 0
      ? new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2)
      : new Uint16Array(Uint8Array.prototype.slice.call(data).buffer);
  if (to !== 'bf16' && dtype === 'f32' && data.byteOffset % 4 === 0)
    return new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
  const wide = widen(dtype, data);
  return to === 'bf16' ? narrowToBf16(wide) : wide;
}

/** `columns`: of a row, where the numbers lie in blocks. */
export function checkFinite(name: string, tensor: string, dtype: DType, values: BufferView, columns = 0): void {
  if (!isFiniteBuffer(dtype, values, columns))
    throw new RelufyError(
      'checkpoint',
      `${name} tensor "${tensor}": expected finite numbers, got NaN or infinity. The checkpoint is damaged, or too large for its format.`,
    );
}

/** target[c][toRow + r] = values[r][c], in tiles that stay in the cache. */
function transpose(
  values: Float32Array | Uint16Array,
  rows: number,
  columns: number,
  target: ArrayLike<number> & { [index: number]: number },
  toRow: number,
  targetColumns: number,
): void {
  const tile = 32;
  for (let firstRow = 0; firstRow < rows; firstRow += tile)
    for (let firstColumn = 0; firstColumn < columns; firstColumn += tile) {
      const lastRow = Math.min(rows, firstRow + tile);
      const lastColumn = Math.min(columns, firstColumn + tile);
      for (let c = firstColumn; c < lastColumn; c++) {
        const to = c * targetColumns + toRow;
        for (let r = firstRow; r < lastRow; r++) target[to + r] = values[r * columns + c] as number;
      }
    }
}
