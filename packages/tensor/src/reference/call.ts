// What a reference kernel sees: operands by name, whatever their format, the op's numbers, and the rows of the step.
// Does not own any op (kernels.ts, training-kernels.ts) or memory (executor.ts).
import type { BufferView } from '../backend.js';
import { blockElement, blockInteger, blockMinimum, blockScale, blockSize, isBlockDType } from '../block-format.js';
import type { BufferDecl } from '../buffer.js';
import { rowBytes } from '../buffer.js';
import { bf16ToF32, type DType, f16ToF32, f32ToF16 } from '../dtype.js';
import type { OpFields } from '../program.js';
import type { StoredPlace } from '../stored-rows.js';

/** An operand: its numbers whatever the format, and its own storage. */
export class Operand {
  readonly storage: BufferView;
  readonly dtype: DType;
  /** Numbers in a row. */
  readonly columns: number;
  readonly #place: StoredPlace | undefined;

  /** `place`: where its rows lie, of a buffer that has no storage. */
  constructor(decl: BufferDecl, storage: BufferView, place?: StoredPlace) {
    this.storage = storage;
    this.#place = place;
    this.dtype = decl.dtype;
    const columns = decl.shape.at(-1);
    this.columns = typeof columns === 'number' ? columns : 1;
  }

  get(index: number): number {
    if (isBlockDType(this.dtype)) {
      const [row, column] = [Math.floor(index / this.columns), index % this.columns];
      return blockElement(this.dtype, this.row(row), this.columns, column);
    }
    const value = this.storage[index] as number;
    return this.dtype === 'bf16' ? bf16ToF32(value) : this.dtype === 'f16' ? f16ToF32(value) : value;
  }

  /** `count` numbers from a row's beginning on, each as `get` gives it. To be read only: it may be the storage. */
  run(from: number, count: number): ArrayLike<number> {
    if (isBlockDType(this.dtype)) {
      const row = this.row(from / this.columns);
      const values = new Float64Array(count);
      for (let block = 0; block * blockSize < count; block++) {
        const scale = blockScale(this.dtype, row, this.columns, block);
        const minimum = blockMinimum(this.dtype, row, this.columns, block);
        for (let i = block * blockSize; i < Math.min((block + 1) * blockSize, count); i++)
          values[i] = scale * blockInteger(this.dtype, row, i) + minimum;
      }
      return values;
    }
    const stored = this.storage.subarray(from, from + count);
    if (this.dtype !== 'bf16' && this.dtype !== 'f16') return stored;
    const widened = this.dtype === 'bf16' ? bf16ToF32 : f16ToF32;
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) values[i] = widened(stored[i] as number);
    return values;
  }

  set(index: number, value: number): void {
    this.storage[index] = this.dtype === 'f16' ? f32ToF16(value) : value;
  }

  /** Puts a stored row into a row of another operand of the same format. */
  fetch(row: number, to: Operand, toRow: number): void {
    if (this.#place === undefined) throw new Error('internal: rows are fetched from stored buffers');
    const bytes = rowBytes(this.dtype, this.columns);
    const { buffer, byteOffset } = to.storage;
    this.#place.file.read(
      this.#place.firstByte + row * (this.#place.stride ?? bytes),
      new Uint8Array(buffer, byteOffset + toRow * bytes, bytes),
    );
  }

  /** The bytes of one row of a block format. */
  row(index: number): Uint8Array {
    const bytes = rowBytes(this.dtype, this.columns);
    return (this.storage as Uint8Array).subarray(index * bytes, (index + 1) * bytes);
  }
}

/** What a kernel sees: operands by name (absent ones undefined), the op's numbers, and the rows of this step. */
export interface OpCall {
  readonly operands: Readonly<Record<string, Operand | undefined>>;
  readonly fields: OpFields;
  readonly count: number;
}

export type Kernel = (call: OpCall) => void;

export function operand(call: OpCall, name: string): Operand {
  const found = call.operands[name];
  if (found === undefined) throw new Error(`internal: reference kernel needs operand "${name}"`);
  return found;
}

export function field(call: OpCall, name: string): number {
  return call.fields[name] as number;
}

/** Where position p of a kv head lies in the cache. */
export function cacheRow(call: OpCall, slot: number, kvHead: number, position: number): number {
  const [layers, kvHeads] = [field(call, 'layers'), field(call, 'kvHeads')];
  const head = (slot * layers + field(call, 'layer')) * kvHeads + kvHead;
  return (head * field(call, 'capacity') + position) * field(call, 'headDim');
}
