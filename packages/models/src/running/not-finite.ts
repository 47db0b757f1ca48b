// Whether what a step gave is finite, and if not, the error: which layer, which op, which token. The layer is looked for
// only then, by running the step again op by op (findNotFinite).
import {
  elementsOf,
  findNotFinite,
  isFiniteBuffer,
  type LoadedProgram,
  RelufyError,
  type Session,
  type Step,
  show,
} from '@relufy/tensor';
import type { DecoderProgram } from '../decoder/decoder-program.js';
import type { StepParts } from './steps.js';

/**
 * Whether every output is; where there are rows without one, also the first number of each row's key in the last layer, or
 * of what its slot's last row left there: whatever is not finite before makes all of it so. A decoded token is one view and
 * one pass over its logits.
 */
export async function isFiniteStep(
  { session, spec, cache }: Pick<StepParts, 'session' | 'spec' | 'cache'>,
  loaded: LoadedProgram,
  rows: readonly { readonly slot: number; readonly position: number }[],
  outputs: number,
): Promise<boolean> {
  const isScored = loaded.program.buffers.has('logprob');
  const count = isScored ? outputs : outputs * spec.vocabSize;
  if (!isFiniteBuffer('f32', await elementsOf(loaded, isScored ? 'logprob' : 'logits', 0, count), 0)) return false;
  if (outputs === rows.length) return true;
  const { numHiddenLayers, mixer, hiddenSize } = spec;
  if (mixer.kind !== 'attention') {
    const last = [...new Set(rows.map(({ slot }) => slot * hiddenSize))];
    const left = last.map((at) => elementsOf(session, `layers.${numHiddenLayers - 1}.shift`, at, at + 1));
    return (await Promise.all(left)).every((first) => isFiniteBuffer('f32', first, 0));
  }
  const keys = rows.map(({ slot, position }) => {
    const head = ((slot + 1) * numHiddenLayers - 1) * mixer.numKeyValueHeads;
    const at = (head * cache.contextLength + position) * mixer.headDim;
    return elementsOf(session, 'kCache', at, at + 1);
  });
  return (await Promise.all(keys)).every((key) => isFiniteBuffer(key instanceof Float32Array ? 'f32' : 'f16', key, 0));
}

/** Says which token a row of the step is, for people. */
export type DescribeRow = (dim: 'rows' | 'outputs', row: number) => string;

/** To be thrown. The session's inputs are those of the step still. */
export async function notFiniteError(
  session: Session,
  loaded: LoadedProgram,
  { layers }: Pick<DecoderProgram, 'layers'>,
  step: Step,
  describeRow: DescribeRow,
): Promise<RelufyError> {
  const found = await findNotFinite(session, loaded, step);
  if (found === undefined)
    return new RelufyError('backend', 'step: expected finite numbers, got some that are not. Run it again.');
  const { index, op, value } = found;
  const layer = layers.findIndex(([from, to]) => index >= from && index < to);
  const first = layers[0]?.[0] ?? 0;
  const where = layer >= 0 ? `layer ${layer}` : index < first ? 'embedding' : 'head';
  const { w: weight } = op.operands;
  const what = weight === undefined ? op.kind : `${op.kind} with ${show(weight)}`;
  const expected = op.kind === 'storeKv' ? 'keys and values within f16' : 'finite numbers';
  const remedy =
    op.kind === 'storeKv'
      ? 'Load the model with kvCache "f32".'
      : 'The model leaves f32 on this input: check that its weights and its config belong together.';
  return new RelufyError(
    'backend',
    `${where}: ${what}: expected ${expected}, got ${value} at ${describeRow(found.dim, found.row)}. ${remedy}`,
  );
}
