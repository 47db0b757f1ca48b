// An evaluation: tasks in order on one model, with a log that survives the process, to results in
// lm-evaluation-harness's schema. Does not own files of results (result-files.ts) or what a command prints.
import { performance } from 'node:perf_hooks';
import { RelufyError, showNames } from '@relufy/tensor';
import { aggregate, aggregateGroup, metricKind } from './aggregation.js';
import type { EvalModel } from './eval-model.js';
import { defaultFewshotSeed, fewshotContext } from './few-shot.js';
import { type ItemMetrics, itemMetrics, labelWarning, type Response } from './metrics.js';
import { type EvalItem, makeItem } from './requests.js';
import type { EvalResults, GroupResult, TaskResult } from './results.js';
import { type AnswerStore, type RunProgress, runTask } from './run-task.js';
import { type DataSource, evaluatedSplit, fewshotSplit, loadDocs, MissingSplitError, type Split } from './task-data.js';
import { describeTask, type TaskConfig } from './task-file.js';
import type { TaskSelection } from './task-registry.js';
import { chosenSplits, type SplitChoice } from './task-splits.js';

export interface EvaluateOptions extends SplitChoice {
  /** The folder that the data lies in. */
  readonly dataFolder?: string;
  /** How the hub's data sets are fetched where no folder is named; `false`: not at all. */
  readonly hub?: NonNullable<DataSource['hub']>;
  /** The first n documents of each task; below 1 a share of them. */
  readonly limit?: number;
  /** Instead of what a task says. */
  readonly numFewshot?: number;
  readonly fewshotSeed?: number;
  /** Resamples for standard errors that need them. Default 100,000, as in lm-evaluation-harness; 0 leaves them out. */
  readonly bootstrapIterations?: number;
  readonly log?: AnswerStore;
  readonly signal?: AbortSignal;
  /** Hears what the results say as `warnings`, before anything is computed. */
  readonly onWarning?: (warning: string) => void;
  /** Hears what is done while no request is answered, in words such as "reading arc_easy". */
  readonly onStage?: (stage: string) => void;
  readonly onProgress?: (progress: RunProgress & { readonly elapsedMs: number; readonly etaMs: number }) => void;
}

/** One scored document. */
export interface Sample {
  readonly item: EvalItem;
  readonly responses: readonly Response[];
  readonly metrics: ItemMetrics;
}

export interface Evaluation {
  readonly results: EvalResults;
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
}

/** What a run must have in common with one that it resumes; the first line of the log. */
export function logHeader(
  model: EvalModel,
  { tasks }: TaskSelection,
  options: EvaluateOptions,
): Record<string, unknown> {
  return {
    format: 1,
    model: model.name,
    ...Object.fromEntries(Object.entries(model.description).map(([key, value]) => [`model.${key}`, value])),
    tasks: tasks.map(({ task, version }) => `${task}@${version}`).join(),
    limit: options.limit ?? null,
    num_fewshot: options.numFewshot ?? null,
    fewshot_seed: options.fewshotSeed ?? defaultFewshotSeed,
    split: options.split ?? null,
    ...(options.splits && { splits: options.splits }),
  };
}

/**
 * A task whose split is in no file is left out, with a warning, as long as others are left.
 * @throws RelufyError, saying which task and document; what was computed until then is in the log.
 */
export async function evaluate(
  model: EvalModel,
  selection: TaskSelection,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const { groups } = selection;
  // whatever is wrong with a task is said before the first one runs
  const { prepared, warnings } = await prepareTasks(selection, options);
  for (const warning of warnings) options.onWarning?.(warning);
  const start = performance.now();
  const date = Date.now() / 1000;
  const log = options.log ?? { entries: [], append: () => {} };
  const progress = progressOf(prepared, start, options);
  const results = new Map<string, TaskResult>();
  const samples = new Map<string, readonly Sample[]>();
  for (const { task, split, items, numFewshot, original } of prepared) {
    options.onStage?.(`encoding ${task.task}`);
    const run = await runTask(task.task, items, model, log, {
      ...(options.signal && { signal: options.signal }),
      ...(progress && { onProgress: progress }),
    });
    const scored = items.map((item, at): Sample => {
      const responses = run.responses[at] as readonly Response[];
      return { item, responses, metrics: itemMetrics(task, item, responses) };
    });
    samples.set(task.task, scored);
    options.onStage?.(`scoring ${task.task}`);
    results.set(task.task, {
      task,
      split,
      numFewshot,
      original,
      effective: items.length,
      truncated: run.truncated,
      computedRequests: run.computed,
      computedTokens: run.computedTokens,
      hash: run.hash,
      metrics: aggregateTask(task, scored, options.bootstrapIterations ?? 100_000),
    });
  }
  const elapsedMs = performance.now() - start;
  return {
    results: {
      model: { name: model.name, args: model.description },
      tasks: [...results.values()],
      groups: groups.flatMap((group) => aggregateMembers(group, selection, results)),
      config: {
        limit: options.limit ?? null,
        bootstrap_iters: options.bootstrapIterations ?? 100_000,
        fewshot_seed: options.fewshotSeed ?? defaultFewshotSeed,
        split: options.split ?? null,
      },
      configs: Object.fromEntries(prepared.map(({ task }) => [task.task, describeTask(task)])),
      warnings,
      date,
      elapsedMs,
    },
    samples,
  };
}

interface PreparedTask {
  readonly task: TaskConfig;
  readonly split: Split;
  readonly items: readonly EvalItem[];
  readonly numFewshot: number;
  /** Documents before `limit`. */
  readonly original: number;
}

async function prepareTasks(
  selection: TaskSelection,
  options: EvaluateOptions,
): Promise<{ prepared: readonly PreparedTask[]; warnings: readonly string[] }> {
  const splits = chosenSplits(selection, options);
  const prepared: PreparedTask[] = [];
  const missing = new Map<string, MissingSplitError>();
  for (const [at, task] of selection.tasks.entries())
    try {
      options.onStage?.(`reading ${task.task} (${at + 1} of ${selection.tasks.length})`);
      prepared.push(await prepareTask(task, splits.get(task.task), options));
    } catch (error) {
      if (!(error instanceof MissingSplitError)) throw error;
      missing.set(task.task, error);
    }
  if (prepared.length === 0) throw noData([...missing.values()]);
  const incomplete = selection.groups.filter(({ members }) =>
    leavesOf(members, selection.groups).some((name) => missing.has(name)),
  );
  return {
    prepared,
    warnings: [
      ...Array.from(missing, ([task, { message }]) => `Not scored: ${task}. ${message}`),
      ...incomplete.map(({ group }) => `${group}: no mean, since not all of its tasks are scored.`),
      ...prepared.flatMap(({ task, items }) => labelWarning(task, items) ?? []),
    ],
  };
}

function noData(errors: readonly MissingSplitError[]): RelufyError {
  const [first, ...others] = errors as [MissingSplitError, ...MissingSplitError[]];
  if (others.length === 0) return first;
  const also = others.map(({ message }) => message.split(':')[0] ?? '');
  return new RelufyError(first.code, `${first.message} The same of ${showNames(also)}.`, { cause: first });
}

/** The tasks of a group, those of the groups in it too. */
const leavesOf = (names: readonly string[], groups: TaskSelection['groups']): string[] =>
  names.flatMap((name) => {
    const inner = groups.find(({ group }) => group === name);
    return inner ? leavesOf(inner.members, groups) : [name];
  });

async function prepareTask(
  task: TaskConfig,
  chosen: Split | undefined,
  options: EvaluateOptions,
): Promise<PreparedTask> {
  const source: DataSource = {
    ...(options.dataFolder !== undefined && { folder: options.dataFolder }),
    ...(options.hub !== undefined && { hub: options.hub }),
  };
  const split = chosen ?? evaluatedSplit(task);
  const docs = await loadDocs(task, split, source);
  // BLiMP says 0 for itself and is left alone, as in lm-evaluation-harness
  const numFewshot = task.num_fewshot === 0 ? 0 : (options.numFewshot ?? task.num_fewshot ?? 0);
  const examples =
    numFewshot === 0
      ? []
      : (task.fewshot_config?.samples ??
        (fewshotSplit(task) === split ? docs : await loadDocs(task, fewshotSplit(task), source, 'few-shot')));
  const fewshot = fewshotContext(task, examples, numFewshot, options.fewshotSeed ?? defaultFewshotSeed);
  for (const { metric, ...rest } of task.metric_list ?? []) metricKind(task.task, { metric, ...rest });
  const limited = docs.slice(0, limitOf(options.limit, docs.length));
  if (limited.length === 0)
    throw new RelufyError('option', `${task.task}: expected a limit of at least one document, got none. Raise it.`);
  const items = limited.map((doc, docId) => {
    try {
      return makeItem(task, docId, doc, fewshot);
    } catch (error) {
      if (!RelufyError.is(error)) throw error;
      throw new RelufyError(error.code, `document ${docId}: ${error.message}`, { cause: error });
    }
  });
  return { task, split, items, numFewshot, original: docs.length };
}

const limitOf = (limit: number | undefined, documents: number): number =>
  limit === undefined ? documents : limit < 1 ? Math.ceil(limit * documents) : limit;

function aggregateTask(task: TaskConfig, samples: readonly Sample[], iterations: number): TaskResult['metrics'] {
  const listed = task.metric_list ?? Object.keys(samples[0]?.metrics ?? {}).map((metric) => ({ metric }));
  return listed.map((entry) => {
    const kind = metricKind(task.task, entry);
    const values = samples.map(({ metrics }) => metrics[entry.metric]);
    if (values.some((value) => value === undefined))
      throw new RelufyError(
        'option',
        `${task.task} "metric_list": expected metrics of ${task.output_type}, got ${JSON.stringify(entry.metric)}. Correct the task file.`,
      );
    return {
      name: entry.metric,
      filter: task.filter_list?.[0]?.name ?? 'none',
      higherIsBetter: kind.higherIsBetter,
      ...aggregate(kind, values as never, iterations),
    };
  });
}

function aggregateMembers(
  group: TaskSelection['groups'][number],
  { groups }: TaskSelection,
  results: ReadonlyMap<string, TaskResult>,
): GroupResult[] {
  const tasks = leavesOf(group.members, groups).map((name) => results.get(name));
  const [first] = tasks;
  // a mean over some of them is not the group's
  if (!first || !tasks.every((task) => task !== undefined)) return [{ group, members: group.members, metrics: [] }];
  const metrics = first.metrics.flatMap((metric) => {
    const members = tasks.map(({ metrics: own, effective }) => {
      const found = own.find(({ name }) => name === metric.name);
      return found && { value: found.value, stderr: found.stderr, size: effective };
    });
    if (members.some((member) => member === undefined)) return [];
    return [{ ...metric, ...aggregateGroup(members as never, group.weightBySize) }];
  });
  return [{ group, members: group.members, metrics }];
}

/** From tokens of one task to time left of all: tasks that did not begin count as this one, by their documents. */
function progressOf(
  prepared: readonly PreparedTask[],
  start: number,
  { onProgress }: EvaluateOptions,
): ((progress: RunProgress) => void) | undefined {
  if (onProgress === undefined) return undefined;
  const requests = prepared.map(({ items }) => items.reduce((sum, item) => sum + item.requests.length, 0));
  const total = requests.reduce((sum, count) => sum + count, 0);
  return (progress) => {
    const elapsedMs = performance.now() - start;
    const at = prepared.findIndex(({ task }) => task.task === progress.task);
    const before = requests.slice(0, at).reduce((sum, count) => sum + count, 0);
    const share = (before + requests[at]! * (progress.tokens / Math.max(1, progress.totalTokens))) / total;
    onProgress({ ...progress, elapsedMs, etaMs: share > 0 ? (elapsedMs / share) * (1 - share) : Number.NaN });
  };
}
