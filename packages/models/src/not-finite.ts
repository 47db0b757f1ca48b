// The error of a step whose result is not finite: which layer, which op, which token. The layer is looked for only then,
// by running the step again op by op (findNotFinite). Does not own the check itself (steps.ts, @relufy/train).
import { findNotFinite, type LoadedProgram, RelufyError, type Session, type Step, show } from '@relufy/tensor';
import type { DecoderProgram } from './decoder-program.js';

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
