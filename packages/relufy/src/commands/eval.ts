// `relufy eval`: scores a model on tasks as lm-evaluation-harness does, into a folder; compares two such folders.
// Does not own tasks, scores or files (@relufy/eval).
import { wholeFrom } from '@relufy/chat';
import {
  compareRuns,
  comparisonTable,
  evalFiles,
  parseSplits,
  readRun,
  runEvaluation,
  TaskRegistry,
} from '@relufy/eval';
import type { LoadOptions } from '@relufy/models';
import type { Command } from 'commander';
import { usageError } from '../failure.js';
import { modelHelp, numeric } from '../options.js';
import { print, tell } from '../output.js';
import { addStudyOptions, type StudyValues, studyArgsOf, studyOptionsOf } from '../study-options.js';
import { sweep, work } from '../sweep-command.js';
import { withModel } from '../with-model.js';
import { workLine } from '../work-line.js';
import { makeFolder, writeReport } from '../write-report.js';

const examples = `
Examples:
  $ relufy eval llama-tales --tasks lambada_openai,arc_easy --data ./eval-data --out ./runs/tales
  $ relufy eval ./model --tasks mmlu --num-fewshot 5 --data ./eval-data --out ./runs/mmlu --resume
  $ relufy eval ./model --tasks ./my-task.yaml --limit 50 --log-samples --out ./runs/mine
  $ relufy eval --compare ./runs/dense ./runs/sparse --out ./runs/both
  $ relufy eval --sweep ./sweep.yaml --out ./runs/sweep --workers 2
  $ relufy eval --list`;

interface EvalValues extends StudyValues {
  readonly tasks?: readonly string[];
  readonly data?: string;
  readonly out?: string;
  readonly limit?: number;
  readonly numFewshot?: number;
  readonly fewshotSeed?: number;
  readonly split?: readonly string[];
  readonly includePath?: readonly string[];
  readonly bootstrapIters?: number;
  readonly parallel?: number;
  readonly bos: boolean;
  readonly resume?: true;
  readonly logSamples?: true;
  readonly compare?: readonly string[];
  readonly force?: true;
  readonly list?: true;
  readonly sweep?: string;
  readonly worker?: string;
  readonly queue?: string;
  readonly workers: number;
}

const positive = { fits: (value: number) => value > 0, expected: 'a number > 0' };

export function define(command: Command): void {
  command
    .usage('MODEL --tasks NAMES --out FOLDER [options]')
    .argument('[model]', modelHelp)
    .option('-t, --tasks <names>', 'tasks, groups, patterns or YAML files, separated by commas', collectNames)
    .option('-o, --out <folder>', 'where the log and the results go')
    .option('-d, --data <folder>', 'where the data of the tasks lies')
    .addOption(numeric('--limit <n>', 'the first n documents of each task; below 1 a fraction of them', positive))
    .addOption(numeric('--num-fewshot <n>', 'solved examples before each question', wholeFrom(0)))
    .addOption(numeric('--fewshot-seed <n>', 'which examples are drawn (default: 1234)', wholeFrom(0)))
    .option(
      '--split <names>',
      "score this split instead of the task's own; for some tasks: sciq=validation,mmlu=test",
      collectNames,
    )
    .option('--include-path <path...>', 'more task files, or folders of them')
    .addOption(numeric('--bootstrap-iters <n>', 'resamples for standard errors (default: 100000)', wholeFrom(0)))
    .addOption(
      numeric(
        '--parallel <n>',
        'continuations that are computed together; each takes a KV cache (default: 12, or what fits in 1 GiB)',
        wholeFrom(1),
      ),
    )
    .option('--no-bos', 'never begin with a BOS token (default: as the tokenizer does)')
    .option('--resume', 'go on with the run that is in the folder')
    .option('--log-samples', 'write every document with its requests and answers')
    .option(
      '--compare <folders...>',
      'compare finished runs with the first, and nothing else; --out: as a page and charts',
    )
    .option('--force', 'with --compare: write over the report that the folder holds')
    .option('--list', 'list the tasks, and nothing else')
    .option('--sweep <file>', 'run the models x settings x tasks of a YAML file')
    .addOption(numeric('--workers <n>', 'with --sweep or --worker: jobs at a time', wholeFrom(1)).default(1))
    .option('--queue <url>', 'with --sweep: give the jobs to the workers of a Redis server')
    .option('--worker <url>', 'take jobs of a Redis server, such as redis://host:6379, until Ctrl-C');
  addStudyOptions(command);
  command.addHelpText('after', examples).action(evaluateModel);
}

async function evaluateModel(source: string | undefined, values: EvalValues): Promise<void> {
  if (values.compare) return printComparison(values.compare, values);
  if (values.sweep !== undefined || values.worker !== undefined) return sweepOrWork(values);
  const registry = await TaskRegistry.open(values.includePath);
  if (values.list) return printTasks(registry);
  const { tasks, out } = values;
  if (source === undefined) throw usageError('MODEL: expected one, got none. Try relufy eval --help.');
  if (tasks === undefined) throw usageError('--tasks: expected names, got none. relufy eval --list tells them.');
  if (out === undefined) throw usageError('--out: expected a folder, got none.');
  const load = studyOptionsOf(values);
  const splits = parseSplits('--split', values.split ?? []);
  const selection = await registry.select(tasks);
  const { data, limit, numFewshot, fewshotSeed, bootstrapIters, resume, logSamples } = values;
  await withModel(source, { ...load, slots: slotsOf(values.parallel) }, async (model, signal) => {
    const line = workLine(process.stderr);
    const run = runEvaluation(model, selection, {
      out,
      signal,
      onStage: (what) => line.hear({ what }),
      onProgress: ({ task, tokens, totalTokens, etaMs }) =>
        line.hear({
          what: task,
          share: tokens / Math.max(1, totalTokens),
          leftMs: etaMs,
        }),
      onWarning: (warning) => {
        line.clear();
        tell(warning);
      },
      modelArgs: studyArgsOf(source, values),
      addBosToken: values.bos,
      ...(data !== undefined && { dataFolder: data }),
      ...(limit !== undefined && { limit }),
      ...(numFewshot !== undefined && { numFewshot }),
      ...(fewshotSeed !== undefined && { fewshotSeed }),
      ...splits,
      ...(bootstrapIters !== undefined && { bootstrapIterations: bootstrapIters }),
      ...(resume && { resume }),
      ...(logSamples && { logSamples }),
    });
    const { text } = await run.finally(line.clear).catch((error: unknown) => {
      if (signal.aborted) tell(`Stopped. What was scored is in ${out}; go on with --resume.`);
      throw error;
    });
    print(text);
  });
}

/** One keeps what contexts have in common. Steps hold 128 tokens, which 12 continuations with their contexts fill. */
function slotsOf(parallel: number | undefined): NonNullable<LoadOptions['slots']> {
  return parallel === undefined ? { most: 13, kvBytes: 2 ** 30 } : parallel + 1;
}

async function sweepOrWork({ sweep: file, worker, queue, out, workers }: EvalValues): Promise<void> {
  if (out === undefined) throw usageError('--out: expected a folder, got none.');
  if (file !== undefined && worker !== undefined) throw usageError('--sweep: expected it without --worker, got both.');
  if (worker !== undefined) return work(worker, out, workers);
  return sweep(file as string, out, workers, queue);
}

/** The first run against each other one; with a folder, as a page and its charts too. */
async function printComparison(folders: readonly string[], { out, force }: EvalValues): Promise<void> {
  const [first, ...others] = await Promise.all(folders.map((folder) => readRun(folder)));
  if (first === undefined || others.length === 0)
    throw usageError(`--compare: expected two folders or more, got ${folders.length}.`);
  if (out !== undefined) await makeFolder(out, { force: force === true });
  for (const other of others) print(`${comparisonTable(compareRuns(first, other), first, other)}\n`);
  if (out === undefined) return;
  await writeReport(out, evalFiles([first, ...others]));
}

/** The members of large groups go without saying. */
function printTasks(registry: TaskRegistry): void {
  const { groupNames, taskNames } = registry;
  const inGroup = (task: string) => groupNames.some((group) => task.startsWith(`${group}_`));
  print(`tasks:  ${taskNames.filter((task) => !inGroup(task)).join(', ')}`);
  print(`groups: ${groupNames.join(', ')}`);
}

function collectNames(text: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, ...text.split(',').filter((name) => name !== '')];
}
