// How much each input of each weight matters: the mean square of what it is over a text. Weights cut into blocks of 4 bits
// with these errs less where it counts (llama.cpp's importance matrix). Does not own the search (@relufy/tensor) or
// conversion (convert.ts).
import { RelufyError } from '@relufy/tensor';
import { projections } from '../decoder/projections.js';
import type { Model } from '../model.js';

/** Tokens of one pass. */
const passTokens = 512;

export interface ImportanceOptions {
  readonly signal?: AbortSignal | undefined;
  /** Hears the share that is done, 0 to 1. */
  readonly onProgress?: ((share: number) => void) | undefined;
}

/**
 * The mean square of each input channel of each matrix of a model, by the matrix' buffer, f32 [inputs], over sequences of
 * tokens. The head is among them, and with it the embedding where the two are one.
 * @throws RelufyError `input` where there is no token.
 */
export async function inputMeanSquares(
  model: Pick<Model, 'spec' | 'forward' | 'contextLength'>,
  sequences: readonly (readonly number[])[],
  { signal, onProgress }: ImportanceOptions = {},
): Promise<ReadonlyMap<string, Float32Array>> {
  const { spec } = model;
  const linears = projections(spec);
  const tapOf = new Map<string, string>();
  for (let layer = 0; layer < spec.numHiddenLayers; layer++)
    for (const { role, site } of linears) tapOf.set(`layers.${layer}.${role}.weight`, `${site}.${layer}`);
  tapOf.set(spec.tieWordEmbeddings ? 'embedTokens' : 'lmHead', `hidden.${spec.numHiddenLayers}`);
  const taps = [...new Set(tapOf.values())];
  const sums = new Map<string, Float64Array>();
  let rows = 0;
  const passes = sequences.flatMap((ids) => passesOf(ids, Math.min(passTokens, model.contextLength)));
  for (const [at, ids] of passes.entries()) {
    signal?.throwIfAborted();
    onProgress?.(at / passes.length);
    const { captured } = await model.forward(ids, { capture: taps, logits: 'all' });
    for (const tap of taps) addSquares(sums, tap, captured[tap] as Float32Array, ids.length);
    rows += ids.length;
  }
  if (rows === 0) throw new RelufyError('input', 'importance: expected a text of at least one token, got none.');
  return new Map(
    [...tapOf].map(([buffer, tap]) => [buffer, Float32Array.from(sums.get(tap) as Float64Array, (sum) => sum / rows)]),
  );
}

function passesOf(ids: readonly number[], length: number): number[][] {
  return Array.from({ length: Math.ceil(ids.length / length) }, (_, i) => ids.slice(i * length, (i + 1) * length));
}

function addSquares(sums: Map<string, Float64Array>, tap: string, values: Float32Array, rows: number): void {
  const width = values.length / rows;
  const sum = sums.get(tap) ?? new Float64Array(width);
  sums.set(tap, sum);
  for (let at = 0; at < values.length; at += width)
    for (let i = 0; i < width; i++) sum[i] = (sum[i] as number) + (values[at + i] as number) ** 2;
}
