// The numbers of a sparsity plan: opens `sparsity_model.safetensors`, checks its tensors against the spec that the plan
// gives, and fills a session's buffers. Does not own the description (plan.ts) nor which buffers there are
// (decoder-buffers.ts).
import { type Checkpoint, type ModelFiles, openPlanWeights, planWeightsFile } from '@relufy/checkpoint';
import { isFiniteBuffer, RelufyError, type Session, show, widen } from '@relufy/tensor';
import { planBuffers } from '../decoder/decoder-buffers.js';
import { fingerprint, formatFreeFingerprint } from '../loading/fingerprint.js';
import type { ModelSpec } from '../spec.js';
import { applyPlan, parsePlan, planConfigFile, type SparsityPlan } from './plan.js';
import { planValues } from './plan-values.js';

/** A list of numbers a layer for each place, of the deepest model, is a tenth of this. */
const maxConfigBytes = 1 << 20;

/** A plan that is open; whoever opened it closes it. */
export interface OpenedPlan {
  readonly name: string;
  readonly plan: SparsityPlan;
  /** Absent where the plan needs no numbers. */
  readonly weights?: Checkpoint;
}

/** @throws RelufyError for a folder without a plan, or one that cannot be read. */
export async function openPlan(files: ModelFiles, signal?: AbortSignal): Promise<OpenedPlan> {
  const text = await files.readText(planConfigFile, { limitBytes: maxConfigBytes, signal });
  if (text === undefined)
    throw new RelufyError(
      'io',
      `plan ${files.name}: expected a ${planConfigFile}, found none. Name the folder of a sparsity plan.`,
    );
  const plan = parsePlan(files.name, text);
  const weights = await openPlanWeights(files, signal);
  return { name: files.name, plan, ...(weights && { weights }) };
}

/**
 * The spec with the plan, checked against the plan's tensors and the model's fingerprint.
 * @throws RelufyError `option` for a plan of another model, `checkpoint` for tensors that do not fit.
 */
export async function usePlan(
  opened: OpenedPlan,
  model: { readonly name: string; readonly spec: ModelSpec; readonly checkpoint: Checkpoint },
  signal?: AbortSignal,
): Promise<ModelSpec> {
  const { name, plan, weights } = opened;
  const spec = applyPlan(`plan ${name}`, model.spec, plan);
  const { fingerprint: own, anyFormat, name: base } = plan.baseModel ?? {};
  for (const [wanted, of] of [[own, fingerprint] as const, [anyFormat, formatFreeFingerprint] as const]) {
    const got = wanted === undefined ? undefined : await of(model.spec, model.checkpoint, signal);
    if (got !== wanted)
      throw new RelufyError(
        'option',
        `plan ${name}: expected the model that it was made for${base ? `, ${show(base)}` : ''} (fingerprint ${show(wanted).slice(1, -1)}), got ${model.name} (${got}). Calibrate a plan for this model.`,
      );
  }
  checkTensors(name, spec, weights);
  return spec;
}

function checkTensors(name: string, spec: ModelSpec, weights: Checkpoint | undefined): void {
  const fail = (tensor: string, expected: string, got: string): never => {
    throw new RelufyError(
      'checkpoint',
      `plan ${name} ${planWeightsFile} tensor ${show(tensor)}: expected ${expected}, got ${got}. The two files do not belong together, or not to this model.`,
    );
  };
  const buffers = planBuffers(spec);
  const known = new Set<string>();
  for (const { name: tensor, shape, dtype } of buffers) {
    known.add(tensor);
    const info = weights?.tensors.get(tensor);
    const expected = `F32 [${shape.join(', ')}]`;
    const stored = info?.dtype === 'F32' || (dtype !== 'f32' && info?.dtype === 'BF16');
    if (!stored || info.shape.join() !== shape.join())
      fail(tensor, expected, info ? `${info.dtype} [${info.shape.join(', ')}]` : 'none');
  }
  const other = [...(weights?.tensors.keys() ?? [])].find((tensor) => !known.has(tensor));
  if (other !== undefined) fail(other, 'no such tensor', 'one');
}

/**
 * Writes the plan's numbers into the session's buffers.
 * @throws RelufyError `checkpoint` for NaN, or for a threshold that keeps everything whatever its size.
 */
export async function fillPlan(
  { name, weights }: OpenedPlan,
  spec: ModelSpec,
  session: Session,
  signal?: AbortSignal,
): Promise<void> {
  for (const buffer of planBuffers(spec)) {
    const { name: tensor, shape } = buffer;
    const rows = shape.length === 1 ? 1 : (shape[0] as number);
    const { dtype, data } = await (weights as Checkpoint).readRows(tensor, 0, rows, signal);
    const values = widen(dtype, data);
    // an infinite threshold keeps nothing; a NaN would keep everything
    const fits = tensor.endsWith('.threshold') ? !values.some(Number.isNaN) : isFiniteBuffer('f32', values, 0);
    if (!fits)
      throw new RelufyError(
        'checkpoint',
        `plan ${name} tensor ${show(tensor)}: expected numbers, got NaN${tensor.endsWith('.threshold') ? '' : ' or infinity'}. Make the plan again.`,
      );
    const held = planValues(buffer, values);
    // what is finite in f32 may round to infinity in bf16
    if (buffer.dtype === 'bf16' && !isFiniteBuffer('bf16', held as Uint16Array, 0))
      throw new RelufyError(
        'checkpoint',
        `plan ${name} tensor ${show(tensor)}: expected numbers below 3.39e38, the largest of bf16, got a larger one. Make the plan again, or hold its predictor in f32.`,
      );
    await session.write(tensor, held);
  }
}
