// Thresholds of masks that follow a schedule of densities while a model is trained: after each batch they become quantiles
// of what was just computed. Owns where a training program holds what a mask compares, the buffers beside it, and the
// choice. Does not own masks (@relufy/models), their gradients (@relufy/tensor) or schedules (schedules.ts).
import { type Mask, type MaskPlace, type ModelSpec, placesName, placeWidth, type SparsityPlan } from '@relufy/models';
import type { BufferDecl, BufferView, MaybePromise, Op } from '@relufy/tensor';
import type { RisingMask } from './config.js';
import { densityAt } from './schedules.js';

/** Rows of a part that thresholds are made from, in each layer. */
const sampledRows = 64;

/** The share that the mean size of `up x` keeps of itself from one step to the next. */
const meanDecay = 0.9;

/** A mask of one layer in a program. */
export interface MaskedActivation {
  readonly mask: RisingMask;
  /** Buffer f32, [1] or [width]. */
  readonly threshold: string;
  readonly width: number;
  /** Activation [rows, width] that is compared with it. */
  readonly x: string;
  /** Where the mask is weighted: activation [rows, width] of `up`, and buffer f32 [width], the mean of its sizes. */
  readonly up?: { readonly x: string; readonly mean: string };
}

/** The masks as a plan says them. */
export function risingPlan(masks: readonly RisingMask[]): SparsityPlan {
  return {
    method: 'trained',
    masks: masks.map(
      ({ at, weighted }): Mask => ({ at, kind: 'magnitude', ...(weighted && { perChannel: true as const }) }),
    ),
  };
}

const meanName = (layer: number): string => `layers.${layer}.up.mean`;

/** Buffers that no program reads, kept for the thresholds of weighted masks. */
export function thresholdState(spec: ModelSpec, masks: readonly RisingMask[]): BufferDecl[] {
  if (!masks.some(({ weighted }) => weighted)) return [];
  return Array.from({ length: spec.numHiddenLayers }, (_, layer) => ({
    name: meanName(layer),
    kind: 'constant',
    dtype: 'f32',
    shape: [placeWidth(spec, 'neurons')],
  }));
}

/** Where the ops of a forward pass compare with the thresholds of masks. */
export function maskedActivations(
  spec: ModelSpec,
  ops: readonly Op[],
  masks: readonly RisingMask[],
): MaskedActivation[] {
  return masks.flatMap((mask) =>
    Array.from({ length: spec.numHiddenLayers }, (_, layer): MaskedActivation => {
      const threshold = `layers.${layer}.${placesName(mask.at)}.threshold`;
      const compared = ops.find(({ operands }) => operands.thresholds === threshold);
      if (compared === undefined) throw new Error(`internal: no op compares with "${threshold}"`);
      const { x, out } = compared.operands as { x: string; out: string };
      const width = placeWidth(spec, mask.at[0] as MaskPlace);
      if (!mask.weighted) return { mask, threshold, width, x };
      const product = ops.find(({ kind, operands }) => kind === 'multiply' && operands.a === out);
      return { mask, threshold, width, x, up: { x: product?.operands.b as string, mean: meanName(layer) } };
    }),
  );
}

/** How the host finds what a step has left: buffers of the session, and activations that are kept. */
export interface ThresholdViews {
  readonly buffer: (name: string) => MaybePromise<BufferView>;
  readonly kept: (name: string) => MaybePromise<BufferView>;
  readonly write: (name: string, values: Float32Array) => MaybePromise<void>;
}

/**
 * Sets the thresholds for a step from the part that ran last: in each layer the quantile of the sizes at which the step's
 * density is kept. Weighted ones compare |a_i| m_i, where m_i is the mean of |up x|_i, each counted |a_i| times: what a
 * neuron is expected to pass on, known before `up` is computed.
 */
export async function raiseThresholds(
  masked: readonly MaskedActivation[],
  { buffer, kept, write }: ThresholdViews,
  rows: number,
  step: number,
): Promise<void> {
  for (const { mask, threshold, width, x, up } of masked) {
    const values = ((await kept(x)) as Float32Array).subarray(0, rows * width);
    const sampled = Array.from({ length: Math.min(rows, sampledRows) }, (_, i) =>
      Math.floor(((i + 0.5) * rows) / Math.min(rows, sampledRows)),
    );
    const mean = up && Float32Array.from(await buffer(up.mean));
    if (up && mean) {
      followMean(mean, values, (await kept(up.x)) as Float32Array, sampled);
      await write(up.mean, mean);
    }
    const sizes = new Float32Array(sampled.length * width);
    for (const [i, row] of sampled.entries())
      for (let j = 0; j < width; j++)
        sizes[i * width + j] = Math.abs(values[row * width + j] as number) * (mean ? (mean[j] as number) : 1);
    const bound = thresholdAt(sizes, densityAt(mask.density, step));
    await write(threshold, mean ? mean.map((size) => bound / Math.max(size, smallestMean)) : Float32Array.of(bound));
  }
}

/** So that a neuron whose `up` is always 0 has a finite threshold. */
const smallestMean = 1e-12;

/** The largest size that is left out when so large a share is kept; sorts in place. */
function thresholdAt(sizes: Float32Array, density: number): number {
  const out = Math.floor(sizes.length * (1 - density));
  return out === 0 ? 0 : (sizes.sort()[out - 1] as number);
}

/** Moves the means of |up|, weighted by |a|, toward those of the sampled rows; where there are none yet, onto them. */
function followMean(mean: Float32Array, a: Float32Array, up: Float32Array, sampled: readonly number[]): void {
  const width = mean.length;
  for (let j = 0; j < width; j++) {
    let sum = 0;
    let weight = 0;
    for (const row of sampled) {
      const size = Math.abs(a[row * width + j] as number);
      sum += size * Math.abs(up[row * width + j] as number);
      weight += size;
    }
    const now = weight === 0 ? 0 : sum / weight;
    const before = mean[j] as number;
    mean[j] = before === 0 ? now : meanDecay * before + (1 - meanDecay) * now;
  }
}
