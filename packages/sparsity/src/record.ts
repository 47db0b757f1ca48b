// The record of a measurement: what measurement.json holds, as a schema that old files are read by.
import { z } from 'zod';
import { listOf, mapOf } from './first-wrong.js';

/** A number; one that is not finite stands in JSON by its name (`jsonText`). */
export const figure = z.union([z.number(), z.enum(['NaN', 'Infinity', '-Infinity']).transform(Number)]);

const numbers = listOf(figure);
const spread = z.object({ mean: figure, deviation: figure, min: figure, max: figure });
const histogram = z.object({
  low: figure,
  high: figure,
  bins: numbers,
  below: figure,
  above: figure,
  notPositive: figure,
});
const macs = z.object({ blocks: figure, withHead: figure });

const layerSchema = z.object({
  layer: z.number().int(),
  /** Share of a layer input's entries that are not zero, over tokens. */
  density: z.object({ qkv: spread, o: spread, upGate: spread, down: spread }),
  /** Share that each mask keeps, by the places at which it stands, as `kv`, `gateUp`, `neurons`. */
  masks: mapOf(spread).optional(),
  preActivation: histogram,
  use: z.object({
    neurons: z.number().int(),
    density: figure,
    dead: z.number().int(),
    rare: z.number().int(),
    alwaysOn: z.number().int(),
    hotShare80: figure,
    hotCurve: numbers,
    aggregatedUnused: numbers,
    randomUnused: numbers,
    windowUnion: numbers,
    reuseNext: figure,
  }),
  /** |h_i| * ||w_i||, what a neuron adds: quantiles over those that are not zero. Absent where norms were not given. */
  magnitude: z
    .object({
      zero: figure,
      mean: figure,
      max: figure,
      /** [share, size that this share lies below] */
      quantiles: listOf(z.tuple([figure, figure]).readonly()),
    })
    .optional(),
  /** At the CETT target; absent where it was not asked for. */
  cett: z
    .object({
      threshold: figure,
      cett: figure,
      sparsity: figure,
      /** [threshold on |h| ||w||, CETT, share of neurons below]: the last is how magnitudes are distributed. */
      curve: listOf(z.tuple([figure, figure, figure])),
    })
    .optional(),
});

/** `qkv`: of a recurrent mixer the inputs of keys, receptances and values together. */
export const measuredSites = ['qkv', 'o', 'upGate', 'down'] as const;
export type MeasuredSite = (typeof measuredSites)[number];

export const measurementSchema = z.object({
  format: z.literal(1),
  model: z.string(),
  text: z.string(),
  /** Tokens looked at, in sequences of at most `window`. */
  tokens: z.number().int(),
  window: z.number().int(),
  /** What "active" means for a neuron. */
  criterion: z.object({ kind: z.enum(['nonzero', 'absolute', 'cett']), value: figure }),
  backend: z.string(),
  /** Formats of the matrices in memory, such as `bf16`. Absent in old files. */
  weights: z.string().optional(),
  sparsity: z.string(),
  activation: z.string(),
  layers: listOf(layerSchema),
  /** Per layer: the density at `down` of the first tokens, one after the other. */
  series: listOf(numbers),
  /** The same of the other sites; a site whose inputs never have a zero there is absent. */
  inputSeries: z.partialRecord(z.enum(['qkv', 'o', 'upGate']), listOf(numbers)).optional(),
  macs: z.object({ dense: macs, measured: macs }),
  perplexity: figure,
  /** Share of all weights that none of gamma consecutive tokens reads, gamma = 1..32. */
  unreadWeights: numbers,
  /** Decoding, by the runtime's own counters. */
  decode: z.object({
    tokens: z.number().int(),
    tokensPerSecond: figure,
    weightBytesPerToken: figure,
    denseWeightBytesPerToken: figure,
    density: mapOf(numbers),
  }),
  /** Neurons that gamma tokens loaded are all that the next gamma tokens use. Over `tokens` behind prompts. */
  reuse: z
    .object({
      prompt: z.number().int(),
      tokens: z.number().int(),
      /** Whether what was loaded before stays loaded. */
      carry: z.boolean(),
      densePerplexity: figure,
      points: listOf(
        z.object({
          gamma: z.number().int(),
          perplexity: figure,
          /** With random sets as large. */
          randomPerplexity: figure,
          /** Mean share of neurons that are loaded when they are reused. */
          kept: figure,
        }),
      ),
    })
    .optional(),
  /** Drafts that a step verifies, as it ran: greedy answers of `tokens`, medians of `rounds`. */
  speculation: z
    .object({
      draft: z.string(),
      tokens: z.number().int(),
      rounds: z.number().int(),
      points: listOf(
        z.object({
          /** Tokens drafted at a time. */
          gamma: z.number().int(),
          /** Of a drafted token whose predecessors were accepted. */
          acceptance: figure,
          /** Tokens of a step that verified. */
          tokensPerStep: figure,
          /** Time of a drafted token over that of a dense step. */
          c: figure,
          /** Shares of all weights that one token, the tokens of a step together, and independent sets as large leave unread. */
          unreadOne: figure,
          unread: figure,
          unreadRandom: figure,
          /** Bytes of weights a token over those without drafts. */
          bytesRatio: figure,
          /** By the formulas of ReLU Strikes Back 5.2: over a dense target that speculates, a dense and the sparse target by itself. */
          predicted: z.object({ overDenseSpeculation: figure, overDense: figure, overSparse: figure }),
          /** The same as it was timed; what cannot run with a dense target has no first one. */
          timed: z.object({ overDenseSpeculation: figure.optional(), overDense: figure, overSparse: figure }),
        }),
      ),
    })
    .optional(),
  /** Neurons that stay in a file, within budgets of memory: `tokens` of answers, beside their speed in memory. */
  flash: z
    .object({
      tokens: z.number().int(),
      tokensPerSecond: figure,
      points: listOf(
        z.object({
          /** Bytes. */
          budget: figure,
          /** Neurons that there is room for, and that there are; 0 where all weights fit. */
          slots: z.number().int(),
          neurons: z.number().int(),
          /** Of the neurons that tokens of answers needed: how many were in memory. */
          hitShare: figure,
          neededPerToken: figure,
          rowsPerToken: figure,
          bytesPerToken: figure,
          /** Read for the prompts. */
          promptBytes: figure,
          tokensPerSecond: figure,
        }),
      ),
    })
    .optional(),
  /** The CETT target at which perplexity rises by `p` %, and the sparsity there. */
  cettPpl: z
    .object({
      p: figure,
      target: figure,
      sparsity: figure,
      perplexity: figure,
      densePerplexity: figure,
      thresholds: numbers,
    })
    .optional(),
});

export type Measurement = z.infer<typeof measurementSchema>;
export type LayerMeasurement = Measurement['layers'][number];
