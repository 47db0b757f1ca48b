// The record of a measurement: what measurement.json holds, as a schema that old files are read by.
import { z } from 'zod';

const numbers = z.array(z.number()).readonly();
const spread = z.object({ mean: z.number(), deviation: z.number(), min: z.number(), max: z.number() });
const histogram = z.object({
  low: z.number(),
  high: z.number(),
  bins: numbers,
  below: z.number(),
  above: z.number(),
  notPositive: z.number(),
});
const macs = z.object({ blocks: z.number(), withHead: z.number() });

const layerSchema = z.object({
  layer: z.number().int(),
  /** Share of a layer input's entries that are not zero, over tokens. */
  density: z.object({ qkv: spread, o: spread, upGate: spread, down: spread }),
  /** Share that each mask keeps, by the places at which it stands, as `kv`, `gateUp`, `neurons`. */
  masks: z.record(z.string(), spread).optional(),
  preActivation: histogram,
  use: z.object({
    neurons: z.number().int(),
    density: z.number(),
    dead: z.number().int(),
    rare: z.number().int(),
    alwaysOn: z.number().int(),
    hotShare80: z.number(),
    hotCurve: numbers,
    aggregatedUnused: numbers,
    randomUnused: numbers,
    windowUnion: numbers,
    reuseNext: z.number(),
  }),
  /** |h_i| * ||w_i||, what a neuron adds: quantiles over those that are not zero. Absent where norms were not given. */
  magnitude: z
    .object({
      zero: z.number(),
      mean: z.number(),
      max: z.number(),
      /** [share, size that this share lies below] */
      quantiles: z.array(z.tuple([z.number(), z.number()]).readonly()).readonly(),
    })
    .optional(),
  /** At the CETT target; absent where it was not asked for. */
  cett: z
    .object({
      threshold: z.number(),
      cett: z.number(),
      sparsity: z.number(),
      /** [threshold on |h| ||w||, CETT, share of neurons below]: the last is how magnitudes are distributed. */
      curve: z.array(z.tuple([z.number(), z.number(), z.number()])).readonly(),
    })
    .optional(),
});

export const measurementSchema = z.object({
  format: z.literal(1),
  model: z.string(),
  text: z.string(),
  /** Tokens looked at, in sequences of at most `window`. */
  tokens: z.number().int(),
  window: z.number().int(),
  /** What "active" means for a neuron. */
  criterion: z.object({ kind: z.enum(['nonzero', 'absolute', 'cett']), value: z.number() }),
  backend: z.string(),
  /** Formats of the matrices in memory, such as `bf16`. Absent in old files. */
  weights: z.string().optional(),
  sparsity: z.string(),
  activation: z.string(),
  layers: z.array(layerSchema).readonly(),
  /** Per layer: the density at `down` of the first tokens, one after the other. */
  series: z.array(numbers).readonly(),
  /** The same of the other sites; a site whose inputs never have a zero there is absent. */
  inputSeries: z.partialRecord(z.enum(['qkv', 'o', 'upGate']), z.array(numbers).readonly()).optional(),
  macs: z.object({ dense: macs, measured: macs }),
  perplexity: z.number(),
  /** Share of all weights that none of gamma consecutive tokens reads, gamma = 1..32. */
  unreadWeights: numbers,
  /** Decoding, by the runtime's own counters. */
  decode: z.object({
    tokens: z.number().int(),
    tokensPerSecond: z.number(),
    weightBytesPerToken: z.number(),
    denseWeightBytesPerToken: z.number(),
    density: z.record(z.string(), numbers),
  }),
  /** Neurons that gamma tokens loaded are all that the next gamma tokens use. Over `tokens` behind prompts. */
  reuse: z
    .object({
      prompt: z.number().int(),
      tokens: z.number().int(),
      /** Whether what was loaded before stays loaded. */
      carry: z.boolean(),
      densePerplexity: z.number(),
      points: z
        .array(
          z.object({
            gamma: z.number().int(),
            perplexity: z.number(),
            /** With random sets as large. */
            randomPerplexity: z.number(),
            /** Mean share of neurons that are loaded when they are reused. */
            kept: z.number(),
          }),
        )
        .readonly(),
    })
    .optional(),
  /** The CETT target at which perplexity rises by `p` %, and the sparsity there. */
  cettPpl: z
    .object({
      p: z.number(),
      target: z.number(),
      sparsity: z.number(),
      perplexity: z.number(),
      densePerplexity: z.number(),
      thresholds: numbers,
    })
    .optional(),
});

export type Measurement = z.infer<typeof measurementSchema>;
export type LayerMeasurement = Measurement['layers'][number];
