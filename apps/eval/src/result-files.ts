// The files of a run's folder: results.json (lm-evaluation-harness's schema), scores.json (a number a document, no text),
// table.md, samples on request. Each appears whole or not at all. Does not own the log (request-log.ts).
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { readNamedFile, writeAtomically } from '@relufy/checkpoint/node';
import { figure, firstIssue, listOf, mapOf } from '@relufy/sparsity';
import { jsonText, RelufyError } from '@relufy/tensor';
import { z } from 'zod';
import { decodeText } from './data-files.js';
import type { Evaluation, Sample } from './evaluate.js';
import { filtered } from './metrics.js';
import { type CostResult, toLmEvalJson, toTable } from './results.js';
import type { TaskConfig } from './task-file.js';

/**
 * Whoever reads the folder never sees half a file.
 * @throws RelufyError `io` when the disk is full, or the folder may not be written to.
 */
export async function writeWhole(path: string, text: string): Promise<void> {
  await writeAtomically(path, text).catch((cause: Error) => {
    const done = 'What was scored is in the log: go on with --resume.';
    throw new RelufyError('io', `${cause.message} ${done}`, { cause });
  });
}

/** @throws RelufyError `io` when the folder cannot be made. */
export function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw new RelufyError(
      'io',
      `${folder}: expected a folder to write to, got ${(error as Error).message}. Name another with --out.`,
      { cause: error },
    );
  }
}

/** What a finished report is known by, an evaluation's or a measurement's. */
const reportFiles = ['report.html', 'measurement.json', 'results.json'] as const;

/** @throws RelufyError `option` when the folder holds a report, which would be written over. `except`: files that may be there. */
export function refuseReport(
  folder: string,
  { remedy, except = [] }: { readonly remedy: string; readonly except?: readonly string[] },
): void {
  const found = reportFiles.filter((name) => !except.includes(name) && existsSync(join(folder, name)));
  if (found.length === 0) return;
  throw new RelufyError(
    'option',
    `--out: expected a folder without an earlier report, got ${folder} with ${found.join(' and ')}. ${remedy}`,
  );
}

export async function writeResults(
  folder: string,
  { results, samples }: Evaluation,
  { cost, logSamples = false }: { readonly cost?: CostResult; readonly logSamples?: boolean } = {},
): Promise<void> {
  for (const { task } of logSamples ? results.tasks : []) {
    const lines = (samples.get(task.task) ?? []).map((sample) => jsonText(sampleJson(task, sample)));
    await writeWhole(join(folder, `samples_${task.task}.jsonl`), `${lines.join('\n')}\n`);
  }
  const scores = {
    format: 1,
    model: results.model.name,
    tasks: Object.fromEntries(
      results.tasks.map(({ task, hash, metrics }) => {
        const scored = samples.get(task.task) ?? [];
        const values = metrics.map(({ name }) => [name, scored.map((sample) => sample.metrics[name])]);
        return [task.task, { hash, metrics: Object.fromEntries(values) }];
      }),
    ),
  };
  await writeWhole(join(folder, 'scores.json'), `${jsonText(scores)}\n`);
  await writeWhole(join(folder, 'table.md'), `${[toTable(results), ...results.warnings].join('\n\n')}\n`);
  // last: a folder that holds it is finished
  await writeWhole(join(folder, 'results.json'), `${jsonText(toLmEvalJson(results, cost), 2)}\n`);
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** A line of lm-evaluation-harness's samples file. */
function sampleJson(task: TaskConfig, { item, responses, metrics }: Sample): Record<string, unknown> {
  const args = item.requests.map((request) => {
    if (request.kind === 'loglikelihood') return { arg_0: request.context, arg_1: request.continuation };
    if (request.kind === 'rolling') return { arg_0: request.text };
    const { until, maxNewTokens, temperature } = request.settings;
    return { arg_0: request.context, arg_1: { until, max_gen_toks: maxNewTokens, do_sample: false, temperature } };
  });
  const said = responses.map(({ logprob, isGreedy, text }) =>
    text === undefined ? [String(logprob), isGreedy ? 'True' : 'False'] : text,
  );
  const kept = task.output_type === 'generate_until' ? said.map((text) => filtered(task, String(text))) : said;
  return {
    doc_id: item.docId,
    doc: item.doc,
    target: typeof item.target === 'object' ? item.target : String(item.target),
    arguments: Object.fromEntries(args.map((arg, at) => [`gen_args_${at}`, arg])),
    resps: said.map((response) => [response]),
    filtered_resps: kept,
    filter: task.filter_list?.[0]?.name ?? 'none',
    metrics: Object.keys(metrics),
    doc_hash: sha256(JSON.stringify(item.doc)),
    prompt_hash: sha256(String(args[0]?.arg_0)),
    target_hash: sha256(String(item.target)),
    ...metrics,
  };
}

const metricValue = z.union([figure, z.tuple([figure, figure])]);

const scoresSchema = z.object({
  format: z.literal(1),
  model: z.string(),
  tasks: mapOf(z.object({ hash: z.string(), metrics: mapOf(listOf(metricValue)) })),
});

const resultsSchema = z.looseObject({
  model_name: z.string(),
  results: mapOf(mapOf(z.union([figure, z.string(), z.null()]))),
  higher_is_better: mapOf(mapOf(z.boolean())),
  configs: mapOf(z.looseObject({})),
  config: z.looseObject({ model_args: z.looseObject({ weights: z.string().optional() }).optional() }).optional(),
  'n-samples': mapOf(z.looseObject({ effective: z.number() })).optional(),
  'n-shot': mapOf(z.number()).optional(),
  /** Groups with their members; tasks with none. */
  group_subtasks: mapOf(listOf(z.string())).optional(),
  relufy: z.looseObject({
    requests_per_second: z.number(),
    splits: mapOf(z.string()).optional(),
    warnings: listOf(z.string()).optional(),
    cost: z
      .object({
        tokens: figure,
        tokensPerSecond: figure,
        weightBytesPerToken: figure,
        denseWeightBytesPerToken: figure,
        density: mapOf(figure),
        macsPerToken: figure,
        denseMacsPerToken: figure,
      })
      .optional(),
  }),
});

/** The format of a run's weights in memory; runs of old did not note it. */
export const weightsOf = ({ results }: FinishedRun): string | undefined => results.config?.model_args?.weights;

/** A finished run, as another reads it. */
export interface FinishedRun {
  readonly folder: string;
  readonly scores: z.output<typeof scoresSchema>;
  readonly results: z.output<typeof resultsSchema>;
}

/** Of a file of a run: a number for each document of all of MMLU is a hundredth of it. */
export const mostRunBytes = 2 ** 26;

/** @throws RelufyError `io` when the folder holds no finished run. */
export async function readRun(folder: string): Promise<FinishedRun> {
  const read = async <T>(file: string, schema: z.ZodType<T>): Promise<T> => {
    const path = join(folder, file);
    const refuse = (got: string, cause: unknown) =>
      new RelufyError('io', `${path}: expected a file of a finished run, got ${got}. Name its folder.`, { cause });
    const bytes = await readNamedFile(path, { limitBytes: mostRunBytes, onlyFiles: true, refuse });
    try {
      return schema.parse(JSON.parse(decodeText(bytes)));
    } catch (error) {
      throw refuse(error instanceof z.ZodError ? firstIssue(error).message : (error as Error).message, error);
    }
  };
  return {
    folder,
    scores: await read('scores.json', scoresSchema),
    results: await read('results.json', resultsSchema),
  };
}
