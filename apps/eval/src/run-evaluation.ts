// `relufy eval` from a loaded model to a folder of results: log, resume, cost, files, table.
// Does not own the command line (the relufy package) or loading.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { inLockedFolder } from '@relufy/checkpoint/node';
import type { Model } from '@relufy/models';
import { printable } from '@relufy/tensor';
import { measureCost } from './cost.js';
import { evalModel } from './eval-model.js';
import { evalPage } from './eval-report.js';
import { type EvaluateOptions, evaluate, logHeader } from './evaluate.js';
import { RequestLog } from './request-log.js';
import { makeFolder, readRun, refuseReport, writeResults, writeWhole } from './result-files.js';
import { rowsCsv, scoreRows } from './result-rows.js';
import { type EvalResults, toTable } from './results.js';
import type { TaskSelection } from './task-registry.js';

export interface RunOptions extends Omit<EvaluateOptions, 'log'> {
  /** The folder for the log and the results; made when it is not there. */
  readonly out: string;
  /** Go on with the run that is in the folder. */
  readonly resume?: boolean;
  /** Write every document with its requests and answers. */
  readonly logSamples?: boolean;
  readonly addBosToken?: boolean;
  /** Instead of the model's own name. */
  readonly modelName?: string;
  /** What else the model was loaded with; it must be equal when a run is resumed. */
  readonly modelArgs?: Readonly<Record<string, unknown>>;
}

export interface FinishedEvaluation {
  readonly results: EvalResults;
  /** What a person reads: lm-evaluation-harness's table, then the cost. */
  readonly text: string;
}

/** @throws RelufyError `state` while another process works in the folder. */
export async function runEvaluation(
  model: Model,
  selection: TaskSelection,
  options: RunOptions,
): Promise<FinishedEvaluation> {
  makeFolder(options.out);
  return inLockedFolder(options.out, options.signal, (signal) =>
    evaluateInto(model, selection, { ...options, signal }),
  );
}

async function evaluateInto(
  model: Model,
  selection: TaskSelection,
  { out, resume = false, logSamples = false, addBosToken, modelName, modelArgs, ...options }: RunOptions,
): Promise<FinishedEvaluation> {
  // with a log, it says whether this run goes on
  if (!existsSync(join(out, 'log.jsonl'))) refuseReport(out, { remedy: 'Name another folder.' });
  const wrapped = evalModel(model, addBosToken === undefined ? {} : { addBosToken });
  const asked = {
    ...wrapped,
    name: modelName ?? wrapped.name,
    description: { ...wrapped.description, ...modelArgs },
  };
  let log: RequestLog | undefined;
  try {
    log = await RequestLog.open(join(out, 'log.jsonl'), logHeader(asked, selection, options), resume);
    const evaluation = await evaluate(asked, selection, { ...options, log });
    options.onStage?.('decoding for the cost');
    const cost = await measureCost(model, evaluation.samples, options.signal);
    await writeResults(out, evaluation, { cost, logSamples });
    const finished = await readRun(out);
    await writeWhole(join(out, 'results.csv'), rowsCsv(scoreRows(finished, {})));
    await writeWhole(join(out, 'report.html'), evalPage([finished]));
    const { results } = evaluation;
    const cut = results.tasks.filter(({ truncated }) => truncated > 0);
    const text = [
      toTable(results),
      '',
      `active FFN neurons ${percent(cost.density.down)}; ${mega(cost.macsPerToken)} MACs and ${mega(cost.weightBytesPerToken)}B of weights a token (dense ${mega(cost.denseMacsPerToken)}, ${mega(cost.denseWeightBytesPerToken)}B); ${cost.tokensPerSecond.toFixed(1)} tokens/s decoded; weights in ${asked.description.weights}`,
      ...results.warnings.map((warning) => printable(warning)),
      ...cut.map(
        ({ task, truncated }) =>
          `${task.task}: ${truncated} requests were longer than the context and lost their beginning`,
      ),
    ].join('\n');
    return { results, text };
  } finally {
    log?.close();
  }
}

const percent = (share = 1): string => `${(100 * share).toFixed(1)} %`;
const mega = (value: number): string => `${(value / 1e6).toFixed(2)} M`;
