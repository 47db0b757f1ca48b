// `relufy measure`: what a model's neurons do over a text, into a folder: JSON, CSV, one HTML report, and each of its
// charts as SVG and PNG; or several such measurements in one report. Does not own the statistics, thresholds or charts
// (@relufy/sparsity).
import { basename } from 'node:path';
import { wholeFrom } from '@relufy/chat';
import { readNamedFile } from '@relufy/checkpoint/node';
import { createBackend, isSparse, type LoadOptions, type Model } from '@relufy/models';
import {
  type Criterion,
  defaultCriterion,
  firstIssue,
  type Measurement,
  measure,
  measureFlash,
  measurementFiles,
  measurementSchema,
  measureSpeculation,
  NeuronObserver,
  neuronNorms,
  reusePerplexity,
  ThresholdSearch,
} from '@relufy/sparsity';
import { decodeWhole, jsonText, parseBytes, RelufyError } from '@relufy/tensor';
import type { Command } from 'commander';
import { usageError } from '../failure.js';
import { modelHelp, numberOf, numeric, speculationOf } from '../options.js';
import { print } from '../output.js';
import { addStudyOptions, type StudyValues, studyOptionsOf } from '../study-options.js';
import { openText, sequencesOf, textIds, whileWanted } from '../text-ids.js';
import { openModel, withModel } from '../with-model.js';
import { workLine } from '../work-line.js';
import { makeFolder, writeReport } from '../write-report.js';

const examples = `
Examples:
  $ relufy measure llama-tales --data story.txt --out ./measured
  $ relufy measure ./model --data wiki.txt --tokens 20000 --ppl 1 --out ./measured
  $ relufy measure ./model --data wiki.txt --reuse 1,2,4,8,16,32 --out ./measured
  $ relufy measure llama-tales --data story.txt --speculate prompt --draft-tokens 1,2,4 --out ./measured
  $ relufy measure ./converted --data story.txt --context-length 256 --memory-budgets 21MB,24MB --out ./measured
  $ relufy measure ./silu-model --data wiki.txt --cett 0.2 --out ./measured
  $ relufy measure --report ./dense/measurement.json ./sparse/measurement.json --out ./both`;

interface MeasureValues extends StudyValues {
  readonly data?: string;
  readonly out: string;
  readonly tokens: number;
  readonly window: number;
  readonly decodeTokens: number;
  readonly threshold?: number;
  readonly cett?: number;
  readonly ppl?: number;
  readonly reuse?: readonly number[];
  readonly speculate?: string;
  readonly draftTokens: readonly number[];
  readonly memoryBudgets?: readonly number[];
  readonly calibrationTokens: number;
  readonly name?: string;
  readonly report?: readonly string[];
  readonly force?: true;
}

const notNegative = { fits: (value: number) => value >= 0, expected: 'a number >= 0' };

export function define(command: Command): void {
  command
    .usage('MODEL --data TEXT --out FOLDER [options]')
    .argument('[model]', modelHelp)
    .option('-d, --data <file>', 'the text, plain or gzipped')
    .requiredOption('-o, --out <folder>', 'where JSON, CSV, charts and the report go')
    .addOption(numeric('--tokens <n>', 'tokens of the text to look at', wholeFrom(2)).default(4096))
    .addOption(numeric('--window <n>', 'tokens of a sequence; each begins without context', wholeFrom(2)).default(256))
    .addOption(numeric('--decode-tokens <n>', 'tokens to decode for bytes and speed', wholeFrom(0)).default(64))
    .addOption(numeric('--threshold <x>', 'a neuron is active where |h| >= x (default: where h is not 0)', notNegative))
    .addOption(
      numeric(
        '--cett <target>',
        'active above the threshold of this error (default for SiLU and GELU: 0.2)',
        notNegative,
      ),
    )
    .addOption(numeric('--ppl <p>', 'search the sparsity at which perplexity rises by p %', notNegative))
    .option(
      '--reuse <gammas>',
      'perplexity when the neurons of gamma tokens are all that the next gamma use, such as 1,4,16',
      numbersOf('--reuse'),
    )
    .option(
      '--speculate <draft>',
      'speculative decoding, timed beside its formulas: prompt (drafts from the text), reuse (by the neurons in use) or plan:PLAN',
    )
    .option(
      '--draft-tokens <gammas>',
      'with --speculate: tokens drafted at a time',
      numbersOf('--draft-tokens'),
      [1, 2, 4, 8],
    )
    .option(
      '--memory-budgets <sizes>',
      'what answers read of a converted model whose neurons stay in its file, for each of these budgets, such as 21MB,30MB',
      sizesOf,
    )
    .addOption(
      numeric('--calibration-tokens <n>', 'tokens that --cett, --ppl and --reuse look at', wholeFrom(2)).default(512),
    )
    .option('--name <name>', 'what the report calls this run')
    .option('--report <files...>', 'put finished measurements into one report, and nothing else')
    .option('--force', 'write over the report that the folder holds');
  addStudyOptions(command);
  command.addHelpText('after', examples).action(measureModel);
}

async function measureModel(source: string | undefined, values: MeasureValues): Promise<void> {
  if (values.report) {
    const runs = await Promise.all(values.report.map(readMeasurement));
    await makeFolder(values.out, values);
    await writeMeasurements(values.out, runs);
    return;
  }
  if (source === undefined) throw usageError('MODEL: expected one, got none. Try relufy measure --help.');
  if (values.data === undefined) throw usageError('--data: expected a text file, got none.');
  if (values.threshold !== undefined && values.cett !== undefined)
    throw usageError('--threshold: expected it without --cett, got both.');
  const text = await openText(values.data);
  await makeFolder(values.out, values);
  const load = studyOptionsOf(values);
  const observer = new NeuronObserver((await createBackend(load)).backend);
  try {
    await withModel(source, { ...withoutBackend(load), backend: observer.backend }, async (model, signal) => {
      const line = workLine(process.stderr);
      const hear: Hear = (what) => (share) => line.hear({ what, ...(share !== undefined && { share }) });
      const asked = { signal, hear };
      const run = await measureText(model, observer, text, values, asked)
        .then(async (measured) => ({ ...measured, ...(await measureLoaded(source, model, text, values, asked)) }))
        .finally(line.clear);
      await writeMeasurements(values.out, [{ ...run, model: values.name ?? model.name }]);
    });
  } finally {
    await observer.backend.dispose();
  }
}

const withoutBackend = ({ backend: _, threads: __, ...others }: LoadOptions): LoadOptions => others;

/** What is being done, then the share of it that is done. */
type Hear = (what: string) => (share?: number) => void;

async function measureText(
  model: Model,
  observer: NeuronObserver,
  text: Awaited<ReturnType<typeof openText>>,
  values: MeasureValues,
  { signal, hear }: { readonly signal: AbortSignal; readonly hear: Hear },
): Promise<Measurement> {
  const criterion = criterionOf(model, values);
  const window = Math.min(values.window, model.contextLength);
  hear('reading the weights of neurons')();
  const search =
    criterion.kind === 'cett' || values.ppl !== undefined ? new ThresholdSearch(model, observer) : undefined;
  const sequences = (most: number) =>
    sequencesOf(
      textIds(whileWanted(text(), signal), (...asked) => model.encode(...asked)),
      window,
      Math.min(most, values.tokens),
    );
  const calibration: (readonly number[])[] = [];
  if (search || values.reuse)
    for await (const ids of sequences(values.calibrationTokens)) if (ids.length > 1) calibration.push(ids);
  const calibrating = hear('calibrating');
  for (const [at, sequence] of (search ? calibration : []).entries()) {
    calibrating(at / calibration.length);
    await search?.add(sequence, signal);
  }
  const target = criterion.kind === 'cett' ? criterion.value : 0.2;
  const thresholds = search?.thresholds(target);
  const { numHiddenLayers, intermediateSize } = model.spec;
  const norms =
    thresholds?.map((threshold) => threshold.norms) ??
    Array.from({ length: numHiddenLayers }, (_, layer) => neuronNorms(observer.downWeight(layer), intermediateSize));
  const reuse =
    values.reuse &&
    (await reusePerplexity(model, observer, calibration, {
      criterion,
      gammas: values.reuse,
      ...(thresholds && { thresholds }),
      signal,
      onProgress: hear('reusing neurons'),
    }));
  const measuring = hear('measuring');
  const result = await measure(model, sequences(values.tokens), {
    text: basename(values.data as string),
    window,
    criterion,
    decodeTokens: values.decodeTokens,
    norms,
    ...(thresholds && { thresholds }),
    signal,
    onProgress: ({ tokens }) => measuring(tokens / values.tokens),
  });
  return {
    ...result,
    ...(reuse && { reuse }),
    ...(search &&
      values.ppl !== undefined && {
        cettPpl: await search.atPerplexity(calibration, {
          p: values.ppl,
          signal,
          onProgress: hear('searching thresholds by perplexity'),
        }),
      }),
  };
}

/** Tokens of a prompt and of an answer, where the context has room. */
const [promptTokens, answerTokens] = [64, 96];

/** What is measured on models of its own: drafts, and neurons in a file. Nothing watches their steps, which are timed. */
async function measureLoaded(
  source: string,
  model: Model,
  text: Awaited<ReturnType<typeof openText>>,
  values: MeasureValues,
  { signal, hear }: { readonly signal: AbortSignal; readonly hear: Hear },
): Promise<Pick<Measurement, 'speculation' | 'flash'>> {
  if (values.speculate === undefined && values.memoryBudgets === undefined) return {};
  const load = studyOptionsOf(values);
  const { spec, contextLength } = model;
  const length = Math.min(promptTokens, Math.floor(contextLength / 2));
  const tokens = Math.min(answerTokens, contextLength - length);
  const prompts: (readonly number[])[] = [];
  const ids = textIds(whileWanted(text(), signal), (...asked) => model.encode(...asked));
  for await (const sequence of sequencesOf(ids, length, 4 * length)) if (sequence.length > 1) prompts.push(sequence);
  const [prompt] = prompts;
  if (prompt === undefined) return {};
  const drafts = speculationOf({ ...(values.speculate !== undefined && { speculate: values.speculate }) });
  if (drafts.model !== undefined)
    throw usageError(`--speculate: expected prompt, reuse or plan:PLAN, got ${JSON.stringify(values.speculate)}.`);
  const { speculate, ...ofDrafts } = drafts.options;
  const speculation =
    speculate === undefined
      ? undefined
      : await withModel(source, { ...load, ...ofDrafts, ...(isSparse(spec) && { reuse: true }) }, (drafting) =>
          measureSpeculation(drafting, {
            draft: (speculate as { readonly draft: 'prompt' | 'reuse' | 'plan' }).draft,
            gammas: values.draftTokens,
            ...{ prompt, tokens, signal, onProgress: hear('drafting') },
          }),
        );
  const flash =
    values.memoryBudgets &&
    (await measureFlash(
      (memoryBudget) => openModel(source, { ...load, signal, ...(memoryBudget !== undefined && { memoryBudget }) }),
      { budgets: values.memoryBudgets, prompts, signal, onProgress: hear('reading neurons from the file') },
    ));
  return { ...(speculation && { speculation }), ...(flash && { flash }) };
}

const numbersOf =
  (option: string) =>
  (text: string): number[] =>
    text.split(',').map((gamma) => numberOf(option, gamma, wholeFrom(1)));

const sizesOf = (text: string): number[] =>
  text.split(',').map((size) => {
    const bytes = parseBytes(size);
    if (bytes === undefined)
      throw usageError(`--memory-budgets: expected sizes such as 600MB, got ${JSON.stringify(size)}.`);
    return bytes;
  });

function criterionOf(model: Model, { threshold, cett }: MeasureValues): Criterion {
  if (threshold !== undefined) return { kind: 'absolute', value: threshold };
  return cett === undefined ? defaultCriterion(model) : { kind: 'cett', value: cett };
}

async function writeMeasurements(folder: string, runs: readonly Measurement[]): Promise<void> {
  const files = measurementFiles(runs);
  if (runs.length === 1) files.set('measurement.json', `${jsonText(runs[0])}\n`);
  for (const { model, layers, macs, tokens } of runs) {
    const density = layers.reduce((sum, { use }) => sum + use.density, 0) / layers.length;
    print(
      `${model}: ${(100 * density).toFixed(2)} % of neurons active over ${tokens} tokens, ${(macs.measured.withHead / 1e6).toFixed(2)} M of ${(macs.dense.withHead / 1e6).toFixed(2)} M MACs a token`,
    );
  }
  await writeReport(folder, files);
}

async function readMeasurement(path: string): Promise<Measurement> {
  const refuse = (got: string, cause: unknown): RelufyError =>
    new RelufyError('io', `${path}: expected a measurement.json of relufy measure, got ${got}. Check the path.`, {
      cause,
    });
  const text = await decodeWhole(path, [await readNamedFile(path, { refuse })]);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refuse('no JSON', error);
  }
  const parsed = measurementSchema.safeParse(value);
  if (!parsed.success) throw refuse(firstIssue(parsed.error).message, parsed.error);
  return parsed.data;
}
