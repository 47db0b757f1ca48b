// Where everything of a session lies in its memory. Pure arithmetic in units of 64 bytes; session.ts owns the memory.
//
//   unit 0: reserved, so that offset 0 means "absent" | barrier | buffers (do not move) | programs | scratch | arena
//
// What follows the buffers is laid out anew at each load: every program has its own records, all share one scratch (the
// largest need, a part for each thread) and one arena of activations (the largest plan).
import {
  type BufferDecl,
  byteCount,
  dtypeCodes,
  opFields,
  type Program,
  recordWords,
  type StepLimits,
  scratchFloats,
  toUnits,
  unitBytes,
} from '@relufy/tensor';

export const pageBytes = 65536;
export const maxPages = 65536;

/** The barrier's block: three cache lines, and one to keep the buffers away. */
const barrierUnits = 4;

export interface BufferLayout {
  readonly barrierUnit: number;
  readonly offsets: ReadonlyMap<string, number>;
  readonly totalUnits: number;
}

export function layOutBuffers(buffers: readonly BufferDecl[], limits: StepLimits): BufferLayout {
  const offsets = new Map<string, number>();
  let unit = 1 + barrierUnits;
  for (const buffer of buffers) {
    offsets.set(buffer.name, unit);
    unit += toUnits(byteCount(buffer, limits));
  }
  return { barrierUnit: 1, offsets, totalUnits: unit };
}

/** Units of the records of a program with so many ops. */
export const recordUnits = (ops: number): number => toUnits(ops * recordWords * 4);

/** Panels and running sums of assembly/gemm.ts and gemm-transposed.ts; assembly/sparse.ts keeps its own behind them. */
const panelBytes = 40960;
/** Rows of a step whose sums `linear` over transposed weights keeps at once (assembly/linear.ts). */
const axpyRows = 8;
/** What assembly/sparse.ts keeps for blocks of rows and columns: sums, and a cursor a row. */
const axpyBlockBytes = 64 * 512 * 4 + 64 * 4;
/** Columns are dealt to the threads in this unit. */
const columnUnit = 32;

/** What a prepared row of x takes in assembly/block-dot.ts: groups of four blocks. */
const preparedBytes = (inWidth: number): number => Math.ceil(inWidth / 128) * 288;
/** What assembly/block-gemm.ts and block-dot.ts keep before the cursors and the prepared rows. */
const blockRowsAt = 18432;
/** Coefficients, cursors and sums of assembly/block-transposed.ts for several rows. */
const blockColumnsBytes = 2048 + 64 * 4 + 64 * 512 * 4;

/** Units of scratch that one of `threads` threads needs for a program. */
export function scratchUnits(program: Program, threads: number): number {
  const blockCodes: readonly number[] = [dtypeCodes.int8, dtypeCodes.int4];
  let bytes = Math.max(panelBytes, scratchFloats(program) * 4);
  program.ops.forEach((op, index) => {
    if (op.kind !== 'linear' && op.kind !== 'axpyRows' && op.kind !== 'gemvRows') return;
    const fields = opFields(program, op, index) as Record<'inWidth' | 'outWidth' | 'dtype' | 'transposed', number>;
    const { inWidth, outWidth, dtype } = fields;
    const columns = Math.ceil(Math.ceil(outWidth / columnUnit) / threads) * columnUnit;
    const cursors = toUnits(program.maxRows * 4) * unitBytes;
    if (blockCodes.includes(dtype)) {
      const byColumns = op.kind === 'axpyRows' || (op.kind === 'linear' && fields.transposed === 1);
      const rows = blockRowsAt + cursors + program.maxRows * preparedBytes(inWidth);
      bytes = Math.max(bytes, byColumns ? blockColumnsBytes + columns * 4 : rows);
      return;
    }
    // two words a row of the step, and a weight row widened
    const gemvRows = panelBytes + 2 * cursors + inWidth * 4;
    const linear = Math.min(program.maxRows, axpyRows) * columns * 4;
    const need = { linear, gemvRows, axpyRows: Math.max(linear, axpyBlockBytes) };
    bytes = Math.max(bytes, need[op.kind]);
  });
  // one unit more, so that the last line of one thread and the first of the next are never prefetched as a pair
  return toUnits(bytes) + 1;
}

export const pagesOf = (units: number): number => Math.ceil((units * unitBytes) / pageBytes);
