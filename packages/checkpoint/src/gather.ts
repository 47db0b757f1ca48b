// Reads what lies scattered in a storage (a transposed view, rows in another order) into contiguous rows.
// Owns: doing so in bounded pieces: what is read at once is at most `windowBytes`, whatever the strides, and where the
// elements lie far apart, little more than the elements themselves.
// Does not own: the file; `read` gives elements of the storage by index.

export interface StridedView {
  readonly offset: number;
  readonly shape: readonly number[];
  /** In elements, one a dimension. */
  readonly strides: readonly number[];
  readonly bytesPerElement: number;
}

const windowBytes = 2 ** 22;
/** A piece may hold this many times the bytes that are wanted of it before it is split further. */
const waste = 8;
const smallBytes = 2 ** 16;

/** Whether the elements of the view follow one another in the storage. */
export function isContiguous({ shape, strides }: StridedView): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] === 0) return true;
    if (shape[i] !== 1 && strides[i] !== expected) return false;
    expected *= shape[i] as number;
  }
  return true;
}

/** Rows [firstRow, firstRow + rowCount) of the view, with its leading dimensions folded into rows. */
export async function gatherRows(
  view: StridedView,
  firstRow: number,
  rowCount: number,
  read: ReadElements,
): Promise<Uint8Array> {
  const columns = view.shape.at(-1) ?? 1;
  const columnStride = view.strides.at(-1) ?? 1;
  const bases = Float64Array.from({ length: rowCount }, (_, i) => rowOffset(view, firstRow + i));
  return gather(bases, columns, columnStride, view.bytesPerElement, read);
}

/** Gives `count` elements of the storage from `index` on, as bytes. */
export type ReadElements = (index: number, count: number) => Promise<Uint8Array>;

/** Rows that begin at `bases` in the storage, each of `columns` elements `columnStride` apart, one after the other. */
export async function gather(
  bases: Float64Array,
  columns: number,
  columnStride: number,
  bytesPerElement: number,
  read: ReadElements,
): Promise<Uint8Array> {
  const size = bytesPerElement;
  const out = new Uint8Array(bases.length * columns * size);

  // A block of rows and columns is read at once where its span is small, and halved along its longer side elsewhere.
  const block = async (row0: number, row1: number, column0: number, column1: number): Promise<void> => {
    let low = Number.POSITIVE_INFINITY;
    let high = 0;
    for (let row = row0; row < row1; row++) {
      low = Math.min(low, bases[row] as number);
      high = Math.max(high, bases[row] as number);
    }
    const across = (column1 - column0 - 1) * columnStride;
    const span = high - low + across + 1;
    const wanted = (row1 - row0) * (column1 - column0);
    const fits = span * size <= smallBytes || (span * size <= windowBytes && span <= waste * wanted);
    if (fits || wanted === 1) {
      const bytes = await read(low + column0 * columnStride, span);
      for (let row = row0; row < row1; row++)
        copyRow(
          bytes,
          (bases[row] as number) - low,
          columnStride,
          column1 - column0,
          out,
          row * columns + column0,
          size,
        );
    } else if (row1 - row0 > 1 && (high - low >= across || column1 - column0 === 1)) {
      const middle = (row0 + row1) >> 1;
      await block(row0, middle, column0, column1);
      await block(middle, row1, column0, column1);
    } else {
      const middle = (column0 + column1) >> 1;
      await block(row0, row1, column0, middle);
      await block(row0, row1, middle, column1);
    }
  };
  if (bases.length > 0 && columns > 0) await block(0, bases.length, 0, columns);
  return out;
}

function rowOffset({ offset, shape, strides }: StridedView, row: number): number {
  let index = offset;
  let rest = row;
  for (let i = shape.length - 2; i >= 0; i--) {
    const size = shape[i] as number;
    index += (rest % size) * (strides[i] as number);
    rest = Math.floor(rest / size);
  }
  return index;
}

function copyRow(
  from: Uint8Array,
  first: number,
  stride: number,
  count: number,
  to: Uint8Array,
  target: number,
  size: number,
): void {
  if (stride === 1 || count === 1) {
    to.set(from.subarray(first * size, (first + count) * size), target * size);
    return;
  }
  for (let i = 0; i < count; i++) {
    const source = (first + i * stride) * size;
    for (let byte = 0; byte < size; byte++) to[(target + i) * size + byte] = from[source + byte] as number;
  }
}
