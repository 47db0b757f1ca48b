// What a method is, and the one that most are made of: thresholds that are quantiles of the dense model's magnitudes. Does not own
// which methods there are (methods.ts) nor where shares come from (allocation.ts).
import type { PlanDraft } from './calibration.js';
import type { MagnitudeSketch } from './magnitude-sketch.js';
import type { CalibrationOptions } from './options.js';
import { type Shares, type Site, thresholdMask, thresholdTensors } from './sites.js';
import { collectMagnitudes, type Hear, useOpenMasks } from './statistics.js';
import type { Subject } from './subject.js';

export interface Method {
  readonly sites: readonly Site[];
  /** Its masks are thresholds and nothing besides: what they leave out follows from numbers that may change at any time. */
  readonly isThreshold: boolean;
  /** Share of a site's energy (the sum of squared scores) that is left out with a share of its channels. */
  energy?(layer: number, site: number, share: number): number;
  draft(shares: Shares): PlanDraft;
  /** What evolution may look for besides shares. */
  readonly search?: MethodSearch;
}

/** Numbers from 0 to 1 that a method can be given, beside shares that are the same everywhere. */
export interface MethodSearch {
  readonly size: number;
  /** So many change together. */
  readonly group: number;
  /** What they are for, as a plan says it. */
  readonly options: (numbers: readonly number[]) => Readonly<Record<string, unknown>>;
  with(numbers: readonly number[]): Pick<Method, 'draft'>;
}

export interface MethodContext {
  readonly subject: Subject;
  readonly windows: readonly (readonly number[])[];
  readonly options: CalibrationOptions;
  readonly hear: (what: string) => Hear;
}

/** TEAL (2408.14690), CATS (2404.08763): what is not above the quantile of the dense model's magnitudes is left out. */
export async function thresholdMethod(context: MethodContext, sites: readonly Site[]): Promise<Method> {
  const { subject, windows, hear, options } = context;
  await useOpenMasks(subject, sites, options.denseTokens ?? 0);
  const sketches = await collectMagnitudes(subject, windows, sites, hear('reading the text'));
  return {
    sites,
    isThreshold: true,
    energy: (layer, site, share) => {
      const sketch = sketches[layer]?.[site] as MagnitudeSketch;
      return sketch.energyBelow(sketch.quantile(share));
    },
    draft: (shares) => ({
      plan: { method: options.method, masks: sites.map(thresholdMask) },
      tensors: thresholdTensors(sites, sketches.length, barsOf(sketches, shares)),
    }),
  };
}

const barsOf =
  (sketches: readonly (readonly MagnitudeSketch[])[], shares: Shares) =>
  (layer: number, site: number): number => {
    const share = shares[layer]?.[site] as number;
    const sketch = sketches[layer]?.[site] as MagnitudeSketch;
    // all of it: whatever comes at run time
    return share >= 1 ? Number.POSITIVE_INFINITY : sketch.quantile(Math.max(0, share));
  };
