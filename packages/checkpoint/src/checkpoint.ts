// What a checkpoint is to the rest of Relufy: named tensors, read row by row, whatever the format.
// Owns: the interfaces, joining the files of one checkpoint, the checks on a caller's request.
// Does not own: any format (each format's folder gives `OpenedFile`s), nor what tensors a model needs (models does).
import { type BlockDType, type FloatDType, RelufyError, type RowFile, show } from '@relufy/tensor';
import type { ByteSource } from './byte-source.js';
import type { GgufValue } from './gguf/metadata.js';
import { malformed } from './malformed.js';

export interface TensorInfo {
  readonly name: string;
  /** As stored, for example 'BF16' or 'Q4_K'. */
  readonly dtype: string;
  /** What `readRows` gives; of no meaning for a dtype that it refuses (integers, bool, fp8). */
  readonly floatDType: FloatDType;
  readonly shape: readonly number[];
  /** Of a quantised tensor: the block format of memory that is nearest to it in quality and size. */
  readonly blockDType?: BlockDType;
  /** The file of the checkpoint that holds it. */
  readonly file: string;
  /** Bytes as stored. */
  readonly byteLength: number;
  /** Where they lie as one run in a file of this machine. Only safetensors files say it. */
  readonly place?: {
    readonly firstByte: number;
    /** For whoever maps the file; absent in a browser. */
    readonly path?: string;
    /** Opens the file for reads in steps, where its place can. */
    readonly openRows?: () => RowFile;
  };
}

export interface Rows {
  readonly dtype: FloatDType;
  /** Contiguous rows, little endian. It may be a view of the source at any byte offset: do not write into it. */
  readonly data: Uint8Array;
}

/** The tensors of a checkpoint whatever its format. Opening reads headers only. */
export interface Checkpoint {
  readonly format: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Of a GGUF: its metadata, with their types. */
  readonly ggufMetadata?: ReadonlyMap<string, GgufValue>;
  /** The sum of the tensors' bytes as stored. */
  readonly totalBytes: number;
  /**
   * Rows [firstRow, firstRow + rowCount) of a tensor seen as [rows, columns]: the last dimension is the columns, the
   * others are folded into rows; a tensor of one dimension is one row. Memory used: the rows asked for.
   */
  readRows(name: string, firstRow: number, rowCount: number, signal?: AbortSignal): Promise<Rows>;
  /** The same rows as they are stored, whatever the dtype. Only safetensors files give them. `into`: see `ByteSource.read`. */
  readStored(
    name: string,
    firstRow: number,
    rowCount: number,
    signal?: AbortSignal,
    into?: Uint8Array,
  ): Promise<Uint8Array>;
  /**
   * The same rows as rows of a block format in memory, where that holds every number as it is stored (int8 and Q8_0, for
   * example); undefined where it would have to round.
   */
  readBlocks(
    name: string,
    dtype: BlockDType,
    firstRow: number,
    rowCount: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

/** A tensor with the way to its rows; `read` may trust its arguments. */
export interface StoredTensor extends TensorInfo {
  read(firstRow: number, rowCount: number, signal?: AbortSignal): Promise<Rows>;
  /** Undefined where a row is no run of bytes of its own. */
  readonly readStored?: (
    firstRow: number,
    rowCount: number,
    signal?: AbortSignal,
    into?: Uint8Array,
  ) => Promise<Uint8Array>;
  /** Undefined where no block format holds its numbers as they are. */
  readonly blocks?: StoredBlocks;
}

export interface StoredBlocks {
  readonly keptBy: (dtype: BlockDType) => boolean;
  readonly read: (dtype: BlockDType, firstRow: number, rowCount: number, signal?: AbortSignal) => Promise<Uint8Array>;
}

/** One file of a checkpoint, its headers read and checked. */
export interface OpenedFile {
  readonly source: ByteSource;
  readonly tensors: readonly StoredTensor[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** A shape as `readRows` sees it. */
export function asMatrix(shape: readonly number[]): { rows: number; columns: number } {
  const columns = shape.at(-1) ?? 1;
  return { rows: shape.slice(0, -1).reduce((product, size) => product * size, 1), columns };
}

/** The product of a shape, or undefined where it is no exact integer. */
export function elementCount(shape: readonly number[]): number | undefined {
  let product = 1;
  for (const size of shape) {
    product *= size;
    if (product > Number.MAX_SAFE_INTEGER) return undefined;
  }
  return product;
}

/** One checkpoint over its files. The same tensor in two files is an error. */
export function joinFiles(format: string, name: string, files: readonly OpenedFile[]): Checkpoint {
  const tensors = new Map<string, StoredTensor>();
  // fromEntries defines even "__proto__" as an ordinary key
  const metadata = Object.fromEntries(files.flatMap((file) => Object.entries(file.metadata)));
  let totalBytes = 0;
  for (const file of files) {
    for (const tensor of file.tensors) {
      const other = tensors.get(tensor.name);
      if (other)
        throw malformed(
          name,
          `tensor ${show(tensor.name)}, expected in one file, got it in ${show(other.file)} and ${show(tensor.file)}`,
          'Remove the file that does not belong to this checkpoint.',
        );
      tensors.set(tensor.name, tensor);
      totalBytes += tensor.byteLength;
    }
  }
  let closed = false;
  const tensorOf = (call: string, tensorName: string, firstRow: number, rowCount: number): StoredTensor => {
    if (closed) throw new RelufyError('state', `${name}: ${call}() after close(). Open the checkpoint again.`);
    const tensor = tensors.get(tensorName);
    if (!tensor)
      throw malformed(
        name,
        `tensor ${show(tensorName)}, expected among its ${tensors.size} tensors, got none of that name`,
        'The checkpoint is incomplete, or belongs to another model.',
      );
    const { rows } = asMatrix(tensor.shape);
    if (!isCount(firstRow) || !isCount(rowCount) || firstRow + rowCount > rows)
      throw new RelufyError(
        'option',
        `${call} ${show(tensorName)}: rows ${firstRow} to ${firstRow + rowCount}, expected within 0 to ${rows} for its shape [${tensor.shape}].`,
      );
    return tensor;
  };
  return {
    format,
    tensors,
    metadata,
    totalBytes,
    async readRows(tensorName, firstRow, rowCount, signal) {
      signal?.throwIfAborted();
      return tensorOf('readRows', tensorName, firstRow, rowCount).read(firstRow, rowCount, signal);
    },
    async readStored(tensorName, firstRow, rowCount, signal, into) {
      signal?.throwIfAborted();
      const { readStored } = tensorOf('readStored', tensorName, firstRow, rowCount);
      if (readStored) return readStored(firstRow, rowCount, signal, into);
      throw malformed(name, `stored rows, expected a safetensors file, got ${format}`, 'Use readRows.');
    },
    async readBlocks(tensorName, dtype, firstRow, rowCount, signal) {
      signal?.throwIfAborted();
      const { blocks } = tensorOf('readBlocks', tensorName, firstRow, rowCount);
      return blocks?.keptBy(dtype) ? blocks.read(dtype, firstRow, rowCount, signal) : undefined;
    },
    async close() {
      closed = true;
      await Promise.all(files.map((file) => file.source.close()));
    },
  };
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
