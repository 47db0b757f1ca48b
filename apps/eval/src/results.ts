// The results of an evaluation: what there is to tell, as lm-evaluation-harness's JSON and as its table.
// Does not own how they came about (evaluate.ts) or where they are written (result-files.ts).
import type { Aggregate } from './aggregation.js';
import type { TaskConfig } from './task-file.js';
import type { GroupConfig } from './task-registry.js';

export interface MetricResult extends Aggregate {
  readonly name: string;
  readonly filter: string;
  readonly higherIsBetter: boolean;
}

export interface TaskResult {
  readonly task: TaskConfig;
  /** The split that was scored. */
  readonly split: string;
  readonly numFewshot: number;
  readonly original: number;
  readonly effective: number;
  /** Requests that were cut on the left to fit the context. */
  readonly truncated: number;
  readonly computedRequests: number;
  readonly computedTokens: number;
  /** Of what was asked: equal for runs that can be compared document by document. */
  readonly hash: string;
  readonly metrics: readonly MetricResult[];
}

export interface GroupResult {
  readonly group: GroupConfig;
  readonly members: readonly string[];
  readonly metrics: readonly MetricResult[];
}

export interface EvalResults {
  readonly model: { readonly name: string; readonly args: Readonly<Record<string, unknown>> };
  readonly tasks: readonly TaskResult[];
  readonly groups: readonly GroupResult[];
  readonly config: Readonly<Record<string, unknown>>;
  readonly configs: Readonly<Record<string, unknown>>;
  /** What a reader must know: tasks that were left out, labels that no choice has. */
  readonly warnings: readonly string[];
  /** Seconds since 1970. */
  readonly date: number;
  readonly elapsedMs: number;
}

/** What an answer costs: measured by decoding behind contexts of the tasks. */
export interface CostResult {
  readonly tokens: number;
  readonly tokensPerSecond: number;
  readonly weightBytesPerToken: number;
  readonly denseWeightBytesPerToken: number;
  /** Site -> mean over layers. */
  readonly density: Readonly<Record<string, number>>;
  readonly macsPerToken: number;
  readonly denseMacsPerToken: number;
}

/** The schema that lm-evaluation-harness writes, with `relufy` added to it. */
export function toLmEvalJson(results: EvalResults, cost?: CostResult): Record<string, unknown> {
  const entry = (alias: string, metrics: readonly MetricResult[]) => ({
    alias,
    ...Object.fromEntries(
      metrics.flatMap(({ name, filter, value, stderr }) => [
        [`${name},${filter}`, value],
        [`${name}_stderr,${filter}`, stderr ?? 'N/A'],
      ]),
    ),
  });
  const perTask = <T>(of: (result: TaskResult) => T) =>
    Object.fromEntries(results.tasks.map((result) => [result.task.task, of(result)]));
  const perGroup = <T>(of: (result: GroupResult) => T) =>
    Object.fromEntries(results.groups.map((result) => [result.group.group, of(result)]));
  const requests = results.tasks.reduce((sum, { computedRequests }) => sum + computedRequests, 0);
  return {
    results: {
      ...perGroup(({ group, metrics }) => entry(group.alias, metrics)),
      ...perTask(({ task, metrics }) => entry(task.task_alias ?? task.task, metrics)),
    },
    ...(results.groups.length > 0 && { groups: perGroup(({ group, metrics }) => entry(group.alias, metrics)) }),
    group_subtasks: { ...perGroup(({ members }) => members), ...perTask(() => []) },
    configs: results.configs,
    versions: { ...perGroup(({ group }) => group.version), ...perTask(({ task }) => task.version) },
    'n-shot': perTask(({ numFewshot }) => numFewshot),
    higher_is_better: perTask(({ metrics }) =>
      Object.fromEntries(metrics.map(({ name, higherIsBetter }) => [name, higherIsBetter])),
    ),
    'n-samples': perTask(({ original, effective }) => ({ original, effective })),
    config: { model: 'relufy', model_args: results.model.args, ...results.config },
    date: results.date,
    model_source: 'relufy',
    model_name: results.model.name,
    total_evaluation_time_seconds: String(results.elapsedMs / 1000),
    relufy: {
      splits: perTask(({ split }) => split),
      ...(results.warnings.length > 0 && { warnings: results.warnings }),
      truncated: perTask(({ truncated }) => truncated),
      requests,
      requests_per_second: results.elapsedMs > 0 ? requests / (results.elapsedMs / 1000) : 0,
      ...(cost && { cost }),
    },
  };
}

interface Row {
  readonly name: string;
  readonly version: string | number;
  readonly numFewshot: number | '';
  readonly metrics: readonly MetricResult[];
}

/** lm-evaluation-harness's table: groups first, their tasks below them, indented. */
export function toTable(results: EvalResults): string {
  const rows: Row[] = [];
  const shown = new Set<string>();
  const show = (name: string, depth: number) => {
    if (shown.has(name)) return;
    shown.add(name);
    const indent = depth === 0 ? '' : `${' '.repeat(depth)}- `;
    const group = results.groups.find((result) => result.group.group === name);
    if (group) {
      rows.push({
        name: indent + group.group.alias,
        version: group.group.version,
        numFewshot: '',
        metrics: group.metrics,
      });
      for (const member of group.members) show(member, depth + 1);
      return;
    }
    const result = results.tasks.find(({ task }) => task.task === name);
    if (result === undefined) return;
    const { task, numFewshot, metrics } = result;
    rows.push({
      name: indent + (depth > 0 ? (task.task_alias ?? task.task) : task.task),
      version: task.version,
      numFewshot,
      metrics,
    });
  };
  for (const { group } of results.groups) show(group.group, 0);
  for (const { task } of results.tasks) show(task.task, 0);
  const cells = rows.flatMap(({ name, version, numFewshot, metrics }) =>
    metrics.map((metric, at) => [
      at === 0 ? name : '',
      at === 0 ? String(version) : '',
      metric.filter,
      String(numFewshot),
      metric.name,
      metric.higherIsBetter ? '↑' : '↓',
      metric.value.toFixed(4),
      '±',
      metric.stderr === undefined ? 'N/A' : metric.stderr.toFixed(4),
    ]),
  );
  return markdownTable(
    ['Tasks', 'Version', 'Filter', 'n-shot', 'Metric', '', 'Value', '', 'Stderr'],
    cells,
    [1, 3, 6, 8],
  );
}

/** A Markdown table whose source is a table too; `right`: columns of numbers. Headings are centred. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[],
): string {
  const widths = head.map((name, column) => Math.max(3, name.length, ...rows.map((row) => [...row[column]!].length)));
  const center = (text: string, width: number) => {
    const left = Math.floor((width - text.length) / 2);
    return ' '.repeat(left) + text + ' '.repeat(width - text.length - left);
  };
  const isRight = (column: number) => right.includes(column);
  const line = (texts: readonly string[]) => `|${texts.join('|')}|`;
  const pad = (text: string, column: number) => {
    const space = ' '.repeat(widths[column]! - [...text].length);
    return isRight(column) ? space + text : text + space;
  };
  return [
    line(head.map((name, column) => center(name, widths[column]!))),
    line(widths.map((width, column) => (isRight(column) ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width)))),
    ...rows.map((row) => line(row.map(pad))),
  ].join('\n');
}
