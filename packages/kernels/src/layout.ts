// Where everything of a session lies in its memory. Pure arithmetic in units of 64 bytes; session.ts owns the memory.
//
//   unit 0: reserved, so that offset 0 means "absent" | barrier | buffers (do not move) | programs | scratch | shared | arena
//
// What follows the buffers is laid out anew at each load: every program has its own records, all share one scratch (the
// largest need, a part for each thread), what threads share in an op, and one arena of activations (the largest plan).
import {
  type BufferDecl,
  blockDTypes,
  byteCount,
  dtypeCodes,
  type OpFields,
  type OpKind,
  opFields,
  type Program,
  recordWords,
  type StepLimits,
  scratchFloats,
  toUnits,
  trainingOpTable,
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
/** A panel, and lists of 128 lines with their lengths (assembly/training/sparse-tiles.ts). */
const listsBytes = 16384 + 128 * 2048 + 512;
/** Sums of 129 rows and 512 columns (assembly/training/product.ts), in every program that trains. */
const productBytes = listsBytes + 129 * 512 * 4;
/** Sums of two lines, and a turned block of 256 rows and 129 lines (assembly/training/linear-gradient.ts). */
const gradientBytes = listsBytes + 128 + 129 * 256 * 4;
/** Rows of a block of assembly/training/attention-*.ts, one more for padding; and rows that attend at a time. */
const [attentionRows, attentionRun] = [33, 64];

/** What a prepared row of x takes in assembly/block-dot.ts: groups of four blocks. */
const preparedBytes = (inWidth: number): number => Math.ceil(inWidth / 128) * 288;
/** What assembly/block-gemm.ts and block-dot.ts keep before the cursors and the prepared rows. */
const blockRowsAt = 18432;
/** Coefficients and cursors of assembly/block-transposed.ts; a row's sums of 512 columns; the panel's f32, scales and rows. */
const blockColumnsAt = 2112 + 64 * 4;
const sumBytes = 512 * 4;
const [blockPanelBytes, blockPanelRows] = [16384 + 512, 129];
/** Parts of the inputs of a transposed weight in a block format (assembly/parts.ts), and the levels that join them. */
const partsOf = (inWidth: number): number => (inWidth < 1024 ? 1 : 8);
const levelsOf = (inWidth: number): number => Math.log2(partsOf(inWidth));

const blockCodes: readonly number[] = blockDTypes.map((dtype) => dtypeCodes[dtype]);

const upTo = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

/** Bytes of scratch that one of `threads` threads needs for an op, in a program that trains or not. */
function scratchBytes(kind: OpKind, fields: OpFields, maxRows: number, threads: number, training: boolean): number {
  const of = (name: string) => fields[name] as number;
  const sumsOf = (columns: number) => Math.min(maxRows, axpyRows) * upTo(Math.ceil(columns / threads), columnUnit) * 4;
  const attention = (sums: number): number => {
    const headDim = of('headDim');
    return Math.max(256, upTo(headDim, 4)) * 64 + sums * attentionRows * upTo(headDim, 16) * 4;
  };
  const cursors = upTo(maxRows * 4, unitBytes);
  // of weights in block formats: by columns of a transposed matrix, or by its rows
  const byColumns = () => {
    const own = upTo(Math.ceil(of('outWidth') / threads), columnUnit) * 4;
    const sets = 1 + levelsOf(of('inWidth'));
    const few = blockColumnsAt + Math.max(own, Math.min(maxRows, 64) * sumBytes) * sets;
    return Math.max(few, blockPanelBytes + Math.min(maxRows + 1, blockPanelRows) * columnUnit * 4 * sets);
  };
  const byRows = () => blockRowsAt + cursors + maxRows * preparedBytes(of('inWidth'));
  const inBlocks = blockCodes.includes(of('dtype'));
  const scores = () => attentionRows * (upTo(of('capacity'), 16) + 16) * 4;
  switch (kind) {
    case 'linear':
      if (inBlocks) return of('transposed') === 1 ? byColumns() : byRows();
      return sumsOf(of('outWidth'));
    case 'gemvRows':
      // two words a row of the step, and a weight row widened
      return inBlocks ? byRows() : panelBytes + 2 * cursors + of('inWidth') * 4;
    case 'axpyRows':
      return inBlocks ? byColumns() : Math.max(sumsOf(of('outWidth')), axpyBlockBytes);
    case 'keepTop':
      // counts of a digit, and the scores of a stretch (assembly/top.ts)
      return 8192 + 64 + ((of('within') || of('width')) / of('groupSize')) * 4;
    case 'linearBackward':
      return sumsOf(of('inWidth'));
    case 'linearGradient':
      return gradientBytes;
    case 'attention':
      return training ? attention(1) + scores() : 0;
    case 'attentionBackwardQuery':
      return attention(1) + 2 * scores();
    case 'attentionBackwardKeyValue':
      return attention(2) + (2 * attentionRows + 3) * attentionRun * 4;
    case 'crossEntropy':
      return of('teacherCount') * 4;
    default:
      return 0;
  }
}

/** Units of scratch that one of `threads` threads needs for a program. */
export function scratchUnits(program: Program, threads: number): number {
  let bytes = Math.max(panelBytes, scratchFloats(program) * 4);
  const training = program.ops.some(({ kind }) => kind in trainingOpTable);
  if (training) bytes = Math.max(bytes, productBytes);
  program.ops.forEach((op, index) => {
    const need = scratchBytes(op.kind, opFields(program, op, index), program.maxRows, threads, training);
    bytes = Math.max(bytes, need);
  });
  // one unit more, so that the last line of one thread and the first of the next are never prefetched as a pair
  return toUnits(bytes) + 1;
}

/** Units that the threads share for a program: the sums of every part of one row (assembly/block-transposed.ts). */
export function sharedUnits(program: Program): number {
  const needs = program.ops.map((op, index) => {
    if (op.kind !== 'linear' && op.kind !== 'axpyRows') return 0;
    const fields = opFields(program, op, index);
    const of = (name: string) => fields[name] as number;
    if (!blockCodes.includes(of('dtype')) || (op.kind === 'linear' && of('transposed') === 0)) return 0;
    const parts = partsOf(of('inWidth'));
    return parts === 1 ? 0 : toUnits(parts * upTo(of('outWidth'), columnUnit) * 4);
  });
  return Math.max(0, ...needs);
}

export const pagesOf = (units: number): number => Math.ceil((units * unitBytes) / pageBytes);
