// From a session's buffers back to the tensors of a family: undoes fusing, transposition and offsets, the way back of
// load-weights.ts. Serves trained weights and their gradients. Does not own files (checkpoint) or where a family keeps
// its tensors (families).
import { type BufferDecl, type MaybePromise, RelufyError } from '@relufy/tensor';
import type { WeightMap, WeightPart } from '../families/family.js';

export interface FamilyTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export interface GatherOptions {
  readonly map: WeightMap;
  readonly buffers: readonly BufferDecl[];
  /** The f32 numbers of a buffer as they lie in memory. */
  readonly values: (buffer: string) => MaybePromise<Float32Array>;
  /** Numbers of tensors or rows that no buffer holds, such as the positions that OPT never uses. Default: zeros. */
  readonly remainder?: (tensor: string) => Float32Array | undefined;
  /** The values are gradients: constants that weights are stored less do not count. */
  readonly gradients?: boolean;
}

/** Every tensor of the family, in the order of the map; produced one at a time. */
export async function* gatherTensors(options: GatherOptions): AsyncGenerator<FamilyTensor> {
  const { map, buffers, values, remainder, gradients = false } = options;
  const decls = new Map(buffers.map((decl) => [decl.name, decl]));
  for (const [tensor, pieces] of piecesByTensor(map)) {
    const [first] = pieces as [Piece, ...Piece[]];
    const decl = decls.get(first.buffer) as BufferDecl;
    const columns = columnsOf(decl, map.get(first.buffer) as readonly WeightPart[]);
    const size = first.part.tensorRows * columns;
    const out = new Float32Array(size);
    const rest = remainder?.(tensor);
    if (rest !== undefined) out.set(rest);
    for (const { buffer, part, firstRow } of pieces) {
      const source = await values(buffer);
      const { transposed, shape } = decls.get(buffer) as BufferDecl;
      const stride = shape[1] as number;
      const less = gradients ? 0 : (part.plus ?? 0);
      for (let row = 0; row < part.rows; row++)
        for (let c = 0; c < columns; c++) {
          const at = transposed ? c * stride + firstRow + row : (firstRow + row) * columns + c;
          const to = (part.firstRow + row) * columns + c;
          // what a buffer repeats has a gradient in each place
          out[to] = (source[at] as number) - less + (gradients ? (out[to] as number) : 0);
        }
    }
    const isVector = columns === 1 && (decl.shape.length === 1 || decl.name.includes('headNorm'));
    const rows = first.part.tensorRows;
    yield { name: tensor, shape: first.part.shape ?? (isVector ? [rows] : [rows, columns]), values: out };
  }
}

/** A run of a tensor's rows, and where they lie in a buffer. */
interface Piece {
  readonly buffer: string;
  readonly part: WeightPart;
  readonly firstRow: number;
}

function piecesByTensor(map: WeightMap): Map<string, Piece[]> {
  const tensors = new Map<string, Piece[]>();
  for (const [buffer, parts] of map) {
    let firstRow = 0;
    for (const part of parts) {
      const pieces = tensors.get(part.tensor) ?? [];
      tensors.set(part.tensor, [...pieces, { buffer, part, firstRow }]);
      firstRow += part.rows;
    }
  }
  return tensors;
}

/** A buffer of one number a row is a vector, and so is [heads, headDim] that is made of vectors. */
function columnsOf(decl: BufferDecl, parts: readonly WeightPart[]): number {
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const size = (decl.shape as readonly number[]).reduce((product, dim) => product * dim, 1);
  return size / rows;
}

/**
 * Training moves every buffer by itself, so no number of a checkpoint may stand in two places.
 * @throws RelufyError `option` naming the tensor that does.
 */
export function refuseRepeated(name: string, map: WeightMap): void {
  for (const [tensor, pieces] of piecesByTensor(map)) {
    const sorted = pieces.map(({ part }) => part).sort((a, b) => a.firstRow - b.firstRow);
    sorted.forEach((part, i) => {
      const before = sorted[i - 1];
      if (before && before.firstRow + before.rows > part.firstRow)
        throw new RelufyError(
          'option',
          `${name} tensor "${tensor}": expected each row to be used once, got rows that several heads share, which cannot be trained yet. Choose a model without shared head norms.`,
        );
    });
  }
}
