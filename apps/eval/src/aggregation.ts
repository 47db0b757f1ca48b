// From the values of documents to a number and its standard error, as lm-evaluation-harness computes both: sample standard
// deviations, and bootstraps drawn as Python draws them. Does not own the values (metrics.ts).
import { RelufyError, show } from '@relufy/tensor';
import { PythonRandom } from './python-random.js';

/** A plain value, or [log-likelihood, weight]. */
export type MetricValue = number | readonly [logprob: number, weight: number];

interface Aggregation {
  readonly value: (values: readonly MetricValue[]) => number;
  /** undefined: lm-evaluation-harness gives none ("N/A"). */
  readonly stderr?: (values: readonly MetricValue[], iterations: number) => number;
}

const numbers = (values: readonly MetricValue[]): readonly number[] => values as readonly number[];

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

export function sampleDeviation(values: readonly number[]): number {
  const mu = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mu) ** 2, 0) / (values.length - 1));
}

const meanStderr = (values: readonly number[]): number => sampleDeviation(values) / Math.sqrt(values.length);

function weightedMean(values: readonly MetricValue[]): number {
  const pairs = values as readonly (readonly [number, number])[];
  return pairs.reduce((sum, [logprob]) => sum + logprob, 0) / pairs.reduce((sum, [, weight]) => sum + weight, 0);
}

/** Rounds of at most 1,000 resamples, each round with its number as the seed. */
function bootstrapStderr(
  statistic: (values: readonly number[]) => number,
  values: readonly number[],
  iterations: number,
): number {
  if (iterations === 0) return Number.NaN;
  const round = Math.min(1000, iterations);
  const results: number[] = [];
  const resample = new Array<number>(values.length);
  for (let seed = 0; seed < Math.floor(iterations / round); seed++) {
    const random = new PythonRandom(seed);
    for (let i = 0; i < round; i++) {
      for (let j = 0; j < values.length; j++) resample[j] = values[Math.floor(random.random() * values.length)]!;
      results.push(statistic(resample));
    }
  }
  return sampleDeviation(results);
}

const perplexity = (values: readonly number[]): number => Math.exp(-mean(values));

const aggregations: Readonly<Record<string, Aggregation>> = {
  mean: { value: (values) => mean(numbers(values)), stderr: (values) => meanStderr(numbers(values)) },
  perplexity: {
    value: (values) => perplexity(numbers(values)),
    stderr: (values, iterations) => bootstrapStderr(perplexity, numbers(values), iterations),
  },
  weighted_perplexity: { value: (values) => Math.exp(-weightedMean(values)) },
  bits_per_byte: { value: (values) => -weightedMean(values) / Math.LN2 },
};

export interface MetricKind {
  readonly aggregation: string;
  readonly higherIsBetter: boolean;
}

/** What a metric is aggregated by where its task does not say. */
const metricKinds: Readonly<Record<string, MetricKind>> = {
  acc: { aggregation: 'mean', higherIsBetter: true },
  acc_norm: { aggregation: 'mean', higherIsBetter: true },
  acc_bytes: { aggregation: 'mean', higherIsBetter: true },
  exact_match: { aggregation: 'mean', higherIsBetter: true },
  perplexity: { aggregation: 'perplexity', higherIsBetter: false },
  word_perplexity: { aggregation: 'weighted_perplexity', higherIsBetter: false },
  byte_perplexity: { aggregation: 'weighted_perplexity', higherIsBetter: false },
  token_perplexity: { aggregation: 'weighted_perplexity', higherIsBetter: false },
  bits_per_byte: { aggregation: 'bits_per_byte', higherIsBetter: false },
};

/** @throws RelufyError `option` for a metric or an aggregation that there is not. */
export function metricKind(
  where: string,
  {
    metric,
    aggregation,
    higher_is_better: higherIsBetter,
  }: {
    readonly metric: string;
    readonly aggregation?: string | undefined;
    readonly higher_is_better?: boolean | undefined;
  },
): MetricKind {
  const known = metricKinds[metric];
  if (known === undefined)
    throw new RelufyError(
      'option',
      `${where} "metric": expected one of ${Object.keys(metricKinds).join(', ')}, got ${show(metric)}. Correct the task file.`,
    );
  const chosen = aggregation ?? known.aggregation;
  if (!(chosen in aggregations))
    throw new RelufyError(
      'option',
      `${where} "aggregation": expected one of ${Object.keys(aggregations).join(', ')}, got ${show(chosen)}. Correct the task file.`,
    );
  return { aggregation: chosen, higherIsBetter: higherIsBetter ?? known.higherIsBetter };
}

export interface Aggregate {
  readonly value: number;
  /** undefined: not defined for the metric, or for a single document. */
  readonly stderr: number | undefined;
}

/** `iterations`: of a bootstrap, where the standard error needs one. */
export function aggregate({ aggregation }: MetricKind, values: readonly MetricValue[], iterations: number): Aggregate {
  const { value, stderr } = aggregations[aggregation] as Aggregation;
  const error = values.length > 1 && iterations > 0 ? stderr?.(values, iterations) : undefined;
  return { value: value(values), stderr: error };
}

/** The score of a group: a mean over documents, or over tasks; its standard error pools the tasks' variances. */
export function aggregateGroup(
  tasks: readonly { readonly value: number; readonly stderr: number | undefined; readonly size: number }[],
  weightBySize: boolean,
): Aggregate {
  const weights = tasks.map(({ size }) => (weightBySize ? size : 1));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const value = tasks.reduce((sum, task, i) => sum + task.value * weights[i]!, 0) / total;
  if (tasks.some(({ stderr }) => stderr === undefined)) return { value, stderr: undefined };
  const documents = tasks.reduce((sum, { size }) => sum + size, 0);
  const pooled =
    tasks.reduce((sum, { size, stderr }) => sum + (size - 1) * size * (stderr as number) ** 2, 0) /
    (documents - tasks.length);
  return { value, stderr: Math.sqrt(pooled / documents) };
}
