// Finished runs as rows for other tools: a row a score, with what the run costs and the format of its weights beside it, as
// CSV or JSON. Does not own the page (eval-report.ts) nor what is in a run's folder (result-files.ts).
import { type Cell, csv } from '@relufy/sparsity';
import { type FinishedRun, weightsOf } from './result-files.js';

export interface Score {
  readonly task: string;
  readonly metric: string;
  readonly filter: string;
  readonly value: number;
  readonly stderr: number | undefined;
}

/** The scores of a run, in the order of its results file. */
export function scoresOf({ results }: FinishedRun): Score[] {
  return Object.entries(results.results).flatMap(([task, entries]) =>
    Object.entries(entries).flatMap(([key, value]) => {
      const [metric, filter] = key.split(',') as [string, string | undefined];
      if (filter === undefined || metric.endsWith('_stderr') || typeof value !== 'number') return [];
      const stderr = entries[`${metric}_stderr,${filter}`];
      return [{ task, metric, filter, value, stderr: typeof stderr === 'number' ? stderr : undefined }];
    }),
  );
}

/** A row a score; `more` says which run it is, where there are several. */
export function scoreRows<More extends Readonly<Record<string, string>>>(run: FinishedRun, more: More) {
  const { results } = run;
  const { cost, splits } = results.relufy;
  return scoresOf(run).map(({ task, metric, filter, value, stderr }) => ({
    ...more,
    model: results.model_name,
    weights: weightsOf(run),
    task,
    split: splits?.[task],
    documents: results['n-samples']?.[task]?.effective,
    numFewshot: results['n-shot']?.[task],
    metric,
    filter,
    value,
    stderr,
    activeFfnNeurons: cost && (cost.density.down ?? 1),
    macsPerToken: cost?.macsPerToken,
    denseMacsPerToken: cost?.denseMacsPerToken,
    weightBytesPerToken: cost?.weightBytesPerToken,
    denseWeightBytesPerToken: cost?.denseWeightBytesPerToken,
    /** One timing, in passing. */
    tokensPerSecond: cost?.tokensPerSecond,
  }));
}

/** A column a key; what is not known is an empty cell. */
export function rowsCsv(rows: readonly Readonly<Record<string, Cell>>[]): string {
  const [first] = rows;
  if (first === undefined) return '';
  const columns = Object.keys(first);
  return csv(
    columns,
    rows.map((row) => columns.map((column) => row[column])),
  );
}
