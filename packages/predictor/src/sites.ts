// Where a method may leave something out: lists of places that share a mask, with what a zero there saves and what a number
// there weighs. Does not own thresholds (methods.ts) nor what stands where in a model (@relufy/models).
import {
  hasNormRelu,
  headRows,
  type InputPlace,
  inputPlaces as inputPlacesOf,
  type Mask,
  type MaskPlace,
  type ModelSpec,
  placesName,
  placeWidth,
} from '@relufy/models';
import { RelufyError } from '@relufy/tensor';
import type { PlanTensor } from './calibration.js';
import type { Subject } from './subject.js';

export interface Site {
  readonly at: readonly MaskPlace[];
  readonly width: number;
  /** Share of a block's weights that are skipped where all of its channels are left out. */
  readonly share: number;
  /** A magnitude counts times this, a layer each: [width]. */
  readonly scale?: readonly Float32Array[];
  /** Scores at the threshold are kept. */
  readonly keepsTies?: true;
}

/** Share left out, by layer and site. */
export type Shares = readonly (readonly number[])[];

export const tapOf = ({ at }: Pick<Site, 'at'>, layer: number): string => `${placesName(at)}.${layer}`;

const matricesOf = (place: MaskPlace): readonly InputPlace[] => (place === 'neurons' ? ['up', 'down'] : [place]);

/** [out, in] of a linear layer. */
export function matrixShape(spec: ModelSpec, place: InputPlace): { readonly rows: number; readonly columns: number } {
  return { rows: outputs(spec, place), columns: placeWidth(spec, place) };
}

function outputs(spec: ModelSpec, place: InputPlace): number {
  const { hiddenSize, intermediateSize, mixer } = spec;
  if (place === 'gate' || place === 'up') return intermediateSize;
  if (place === 'o' || place === 'down' || place === 'ffnReceptance') return hiddenSize;
  if (mixer.kind !== 'attention') return mixer.width;
  const { q, kv } = headRows(spec);
  return place === 'q' ? q : kv;
}

export function siteAt(spec: ModelSpec, at: readonly MaskPlace[], more: Pick<Site, 'scale' | 'keepsTies'> = {}): Site {
  const weights = (places: readonly InputPlace[]) =>
    places.reduce((sum, place) => {
      const { rows, columns } = matrixShape(spec, place);
      return sum + rows * columns;
    }, 0);
  const own = weights(at.flatMap(matricesOf));
  const all = weights(inputPlacesOf(spec).flat());
  return { at, width: placeWidth(spec, at[0] as MaskPlace), share: own / all, ...more };
}

/** The inputs of linear layers, of all that read the same numbers together or each by itself. What a ReLU of the model's own
 * makes sparse is left to it. */
export function inputPlaces(spec: ModelSpec, apart = false): readonly (readonly MaskPlace[])[] {
  const own = hasNormRelu(spec);
  const places = inputPlacesOf(spec).filter(([first]) => !own || first === 'o' || first === 'down');
  return apart ? places.flatMap((at) => at.map((place) => [place])) : places;
}

/** @throws RelufyError `option` where the model has no gate whose neurons a method could mask. */
export function checkGate(method: string, spec: ModelSpec): void {
  if (spec.ffn.kind !== 'gated')
    throw new RelufyError(
      'option',
      `calibrate: expected a model with a gated FFN for the method ${method}, got one without a gate. Take teal, wina, top or cett.`,
    );
}

/** ||W[:, i]|| of every input of a site, over the rows of all its matrices together. */
export function columnNorms(subject: Subject, layer: number, at: readonly MaskPlace[]): Float32Array {
  let sums: Float64Array | undefined;
  for (const place of at.flatMap(matricesOf)) {
    const { rows, columns, values } = subject.weight(layer, place);
    sums ??= new Float64Array(columns);
    for (let row = 0, i = 0; row < rows; row++)
      for (let column = 0; column < columns; column++, i++) sums[column]! += values[i]! * values[i]!;
  }
  return Float32Array.from(sums as Float64Array, Math.sqrt);
}

export const everyLayer = <Value>({ numHiddenLayers }: ModelSpec, each: (layer: number) => Value): Value[] =>
  Array.from({ length: numHiddenLayers }, (_, layer) => each(layer));

/** A threshold mask at a site. */
export const thresholdMask = ({ at, scale, keepsTies }: Site): Mask => ({
  at,
  kind: 'magnitude',
  ...(scale && { perChannel: true }),
  ...(keepsTies && { keepsTies }),
});

/** The numbers of a threshold mask: a bar a layer, over a channel's scale where it has one. */
export function thresholdTensors(
  sites: readonly Site[],
  layers: number,
  barOf: (layer: number, site: number) => number,
): Map<string, PlanTensor> {
  const tensors = new Map<string, PlanTensor>();
  for (let layer = 0; layer < layers; layer++)
    for (const [index, { at, scale, width }] of sites.entries()) {
      const bar = barOf(layer, index);
      const values = scale
        ? // a channel that weighs nothing is left out, unless nothing is
          Float32Array.from(scale[layer] as Float32Array, (weight) => (bar === 0 ? 0 : bar / weight))
        : Float32Array.of(bar);
      tensors.set(`layers.${layer}.${placesName(at)}.threshold`, { shape: [scale ? width : 1], values });
    }
  return tensors;
}
