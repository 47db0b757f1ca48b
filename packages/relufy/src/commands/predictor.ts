// `relufy predictor`: `fit` makes a plan of predictors from a text, `import` one of PowerInfer's files, `report` says how good a
// plan's predictors are. Does not own fits, thresholds or statistics (@relufy/predictor).
import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { wholeFrom } from '@relufy/chat';
import { folderFiles, writeFolder } from '@relufy/checkpoint/node';
import { type LoadOptions, type PredictorDType, partialDTypes, predictorDTypes } from '@relufy/models';
import {
  checkFitOptions,
  evaluatePredictors,
  type FitOptions,
  fitPredictors,
  type PredictorReport,
  powerInferPlan,
  predictorCharts,
  predictorInputs,
  predictorKinds,
  predictorPage,
  predictorText,
  predictorTotals,
} from '@relufy/predictor';
import { jsonText, type WeightDType, weightDTypes } from '@relufy/tensor';
import type { Command } from 'commander';
import { withJournal } from '../calibration-journal.js';
import { addBackendOptions, type BackendValues, choice, modelHelp, numberOf, numeric, planHelp } from '../options.js';
import { print, printJson } from '../output.js';
import { fingerprintOf, firstTokenIds, percentOf, refuseExisting, writePlan } from '../plan-output.js';
import { untilInterrupted } from '../signals.js';
import { openText } from '../text-ids.js';
import { openShown } from '../with-model.js';
import { workLine } from '../work-line.js';
import { makeFolder, writeReport } from '../write-report.js';

const fitExamples = `
The text is cut in three: tokens to fit to, tokens to set thresholds by, and tokens to try the plan on.

Examples:
  $ relufy predictor fit ./model --data wiki.txt --out ./plan
  $ relufy predictor fit ./model --data wiki.txt --rank auto --budget 6% --recall 0.98 --dtype int8 --out ./plan
  $ relufy predictor fit ./model --data wiki.txt --rank 64 --hot 0.5 --out ./plan
  $ relufy predictor fit ./model --kind signs --recall 0.95 --data wiki.txt --out ./plan
  $ relufy predictor fit ./model --kind partial --inputs 0.5 --data wiki.txt --out ./plan
  $ relufy chat ./model --plan ./plan`;

const reportExamples = `
Examples:
  $ relufy predictor report ./model --plan ./plan --data wiki.txt --out ./judged
  $ relufy predictor report ./model --plan ./plan --data wiki.txt --json`;

const importExamples = `
Example:
  $ relufy predictor import ./ReluLLaMA-7B-Predictor --model ./ReluLLaMA-7B --out ./plan`;

interface TextValues extends BackendValues {
  readonly data: string;
  readonly window: number;
  readonly cett?: number;
  readonly dtype?: 'auto' | WeightDType;
  readonly revision?: string;
  readonly json?: true;
}

interface FitValues extends TextValues {
  readonly out: string;
  readonly kind: NonNullable<FitOptions['kind']>;
  readonly rank?: number | 'auto';
  readonly budget?: number;
  readonly recall: number;
  readonly hot?: number;
  readonly perNeuron?: true;
  readonly relu?: true;
  readonly weigh?: FitOptions['weigh'];
  readonly predictorDtype?: FitOptions['predictorDType'];
  readonly inputs?: number;
  readonly input?: FitOptions['input'];
  readonly keepAll?: true;
  readonly pays?: FitOptions['pays'];
  readonly tokens: number;
  readonly heldOutTokens: number;
  readonly trialTokens: number;
  readonly epochs?: number;
  readonly learningRate?: number;
  readonly seed: number;
}

interface ReportValues extends TextValues {
  readonly plan: string;
  readonly tokens: number;
  readonly out?: string;
  readonly force?: true;
}

interface ImportValues {
  readonly model: string;
  readonly out: string;
  readonly predictorDtype?: PredictorDType;
  readonly threshold?: number;
  readonly revision?: string;
}

const share = { fits: (value: number) => value > 0 && value <= 1, expected: 'a number above 0, at most 1' };
const above0 = { fits: (value: number) => value > 0, expected: 'a number above 0' };
const finite = { fits: Number.isFinite, expected: 'a number' };

export function define(command: Command, prepare: (command: Command) => Command): void {
  command.usage('fit | report | import [options]');
  const add = (name: string, summary: string) => prepare(command.command(name).description(summary));
  defineFit(add('fit', 'fit predictors to a model on a text, as a plan'));
  defineReport(add('report', "how good a plan's predictors are on a text"));
  defineImport(add('import', "a plan of PowerInfer's predictor files"));
}

function addTextOptions(command: Command): void {
  command
    .requiredOption('-d, --data <file>', 'the text, plain or gzipped')
    .addOption(numeric('--window <n>', 'tokens of a sequence; each begins without context', wholeFrom(2)).default(512))
    .addOption(
      numeric(
        '--cett <error>',
        'of a model without ReLU: what leaving out inactive neurons may make (default: 0.2)',
        share,
      ),
    )
    .addOption(
      choice('--dtype <dtype>', 'format of the weights: take what will be run (default: auto)', [
        'auto',
        ...weightDTypes,
      ]),
    )
    .option('--revision <revision>', 'branch, tag or commit of a model on the hub')
    .option('--json', 'print one JSON object');
  addBackendOptions(command);
}

const predictorDTypeOption = (dtypes: readonly string[], standard: string) =>
  choice('--predictor-dtype <dtype>', `format of the predictors' matrices (default: ${standard})`, dtypes);

function defineFit(command: Command): void {
  command
    .usage('MODEL --data TEXT --out PLAN [options]')
    .argument('<model>', modelHelp)
    .requiredOption('-o, --out <folder>', 'where the plan goes, with a report')
    .addOption(
      choice(
        '--kind <kind>',
        'trained matrices, sign bits of the weights, or the gate over the largest inputs',
        predictorKinds,
      ).default('low-rank'),
    )
    .option('--rank <n>', 'of every layer, or auto: as each layer gains by it (default: auto)', rankOf)
    .option('--budget <percent>', 'with --rank auto: predictors over FFN bytes (default: 6%)', percentOf('--budget'))
    .addOption(numeric('--recall <share>', 'of the active neurons that are proposed', share).default(0.95))
    .addOption(numeric('--hot <share>', 'neurons active in more of the tokens are always computed', share))
    .option('--per-neuron', 'of sign bits: a threshold a neuron instead of an alpha a layer')
    .addOption(
      choice('--weigh <how>', 'active neurons in the fit, by what they add or each as 1 (default: contribution)', [
        'contribution',
        'count',
      ]),
    )
    .option('--relu', 'a ReLU between the two matrices; needs a --rank')
    .addOption(
      numeric(
        '--inputs <share>',
        'of partial scores: the share of the inputs that are multiplied (default: 0.5)',
        share,
      ),
    )
    .addOption(
      predictorDTypeOption([...new Set([...predictorDTypes, ...partialDTypes])], 'bf16; of partial scores int4'),
    )
    .addOption(
      choice(
        '--input <what>',
        'what predictors are fed: what the norm of the FFN gives, what it is given, or what that of the layer before is given (default: normed)',
        predictorInputs,
      ),
    )
    .addOption(
      choice(
        '--pays <how>',
        'layers keep a predictor by which a token reads less, or takes less time here (default: bytes)',
        ['bytes', 'time'],
      ),
    )
    .option('--keep-all', 'keep predictors that read more than they save')
    .addOption(numeric('--tokens <n>', 'tokens to fit to', wholeFrom(2)).default(65_536))
    .addOption(numeric('--held-out-tokens <n>', 'tokens after them that set thresholds', wholeFrom(2)).default(4096))
    .addOption(numeric('--trial-tokens <n>', 'tokens after those to try the plan on', wholeFrom(2)).default(4096))
    .addOption(numeric('--epochs <n>', 'passes over the tokens (default: 8)', wholeFrom(1)))
    .addOption(numeric('--learning-rate <x>', 'at the start (default: 0.002)', above0))
    .addOption(numeric('--seed <n>', 'of the order of tokens', wholeFrom(0)).default(1));
  addTextOptions(command);
  command.addHelpText('after', fitExamples).action(fit);
}

function defineReport(command: Command): void {
  command
    .usage('MODEL --plan PLAN --data TEXT [--out FOLDER] [options]')
    .argument('<model>', modelHelp)
    .requiredOption('--plan <plan>', planHelp)
    .addOption(numeric('--tokens <n>', 'tokens of the text to look at', wholeFrom(2)).default(4096))
    .option('-o, --out <folder>', 'where charts and the report go')
    .option('--force', 'write over the report that the folder holds');
  addTextOptions(command);
  command.addHelpText('after', reportExamples).action(report);
}

function defineImport(command: Command): void {
  command
    .usage('FOLDER --model MODEL --out PLAN [options]')
    .argument('<folder>', 'model_0.pt and so on, fc1.weight and fc2.weight in each')
    .requiredOption('-m, --model <model>', modelHelp)
    .requiredOption('-o, --out <folder>', 'where the plan goes')
    .addOption(predictorDTypeOption(predictorDTypes, 'bf16'))
    .addOption(
      numeric('--threshold <logit>', 'least logit of a neuron that is computed (default: config.json, or 0)', finite),
    )
    .option('--revision <revision>', 'branch, tag or commit of a model on the hub');
  command.addHelpText('after', importExamples).action(importPredictors);
}

const rankOf = (text: string): number | 'auto' => (text === 'auto' ? text : numberOf('--rank', text, wholeFrom(1)));

const loadOf = ({ dtype, threads, backend }: TextValues): NonNullable<FitOptions['load']> & LoadOptions => ({
  ...(dtype && { dtype }),
  ...(threads !== undefined && { threads }),
  ...(backend && { backend }),
});

function fitOptionsOf(values: FitValues): FitOptions {
  const { kind, rank, budget, recall, hot, perNeuron, relu, weigh, predictorDtype, keepAll, cett, inputs } = values;
  const { input, pays } = values;
  const { tokens, heldOutTokens, trialTokens, window, epochs, learningRate, seed, data } = values;
  return {
    ...{ kind, recall, tokens, heldOutTokens, trialTokens, window, seed, text: basename(data), load: loadOf(values) },
    ...(rank !== undefined && { rank }),
    ...(budget !== undefined && { budget }),
    ...(hot !== undefined && { hot }),
    ...(perNeuron && { perNeuron }),
    ...(relu && { relu }),
    ...(weigh && { weigh }),
    ...(predictorDtype && { predictorDType: predictorDtype }),
    ...(inputs !== undefined && { inputs }),
    ...(input && { input }),
    ...(pays && { pays }),
    ...(keepAll && { keepAll }),
    ...(cett !== undefined && { cett }),
    ...(epochs !== undefined && { epochs }),
    ...(learningRate !== undefined && { learningRate }),
  };
}

async function fit(source: string, values: FitValues): Promise<void> {
  const options = fitOptionsOf(values);
  checkFitOptions(options);
  const text = await openText(values.data);
  await refuseExisting(values.out);
  await untilInterrupted(async (signal) => {
    const line = workLine(process.stderr);
    const onProgress = (what: string, share: number) => line.hear({ what, share });
    const files = await openShown(source, { signal, ...(values.revision && { revision: values.revision }) });
    const wanted = values.tokens + values.heldOutTokens + values.trialTokens;
    const tokenIds = await firstTokenIds(files, text, wanted, signal);
    // what an earlier run has fitted is not fitted again
    const { load: _, ...asked } = options;
    const model = await fingerprintOf(files, signal);
    const inputs = { model, tokenIds, options: { ...asked, dtype: values.dtype, backend: values.backend } };
    await withJournal(values.out, inputs, signal, async (journal, whileAlone) => {
      const run = { ...options, signal: whileAlone, onProgress, journal };
      const made = await fitPredictors(files, [tokenIds], run).finally(line.clear);
      const { plan, layers, trial, densePerplexity, rankCurves } = made;
      const { perplexity, sparsity } = trial;
      const shown = { layers, perplexity, densePerplexity, sparsity, ...(rankCurves && { rankCurves }) };
      const title = `${plan.baseModel?.name ?? 'A model'}: ${plan.method}`;
      await writeFolder(
        values.out,
        async (staging) => {
          await writePlan(staging, made);
          await writeFile(join(staging, 'report.json'), `${jsonText(shown)}\n`);
          await writeFile(join(staging, 'report.html'), predictorPage({ title, ...shown }));
        },
        { what: 'the plan' },
      );
      if (values.json) printJson({ out: values.out, ...shown, totals: predictorTotals(layers) });
      else print(`${told({ title, ...shown })}\n${values.out}`);
    });
  });
}

async function report(source: string, values: ReportValues): Promise<void> {
  const text = await openText(values.data);
  const { out } = values;
  if (out !== undefined) await makeFolder(out, values);
  await untilInterrupted(async (signal) => {
    const line = workLine(process.stderr);
    const onProgress = (what: string, share: number) => line.hear({ what, share });
    const files = await openShown(source, { signal, ...(values.revision && { revision: values.revision }) });
    const plan = await openShown(values.plan, { signal });
    const tokenIds = await firstTokenIds(files, text, values.tokens, signal);
    const { tokens, window, cett } = values;
    const judged = await evaluatePredictors(files, plan, [tokenIds], {
      ...{ tokens, window, load: loadOf(values), signal, onProgress },
      ...(cett !== undefined && { cett }),
    }).finally(line.clear);
    const { layers, totals, densePerplexity, trial } = judged;
    const { perplexity, sparsity } = trial;
    const shown = { layers, perplexity, densePerplexity, sparsity };
    const title = `${judged.plan.baseModel?.name ?? files.name}: ${judged.plan.method}`;
    if (values.json) printJson({ tokens: judged.tokens, totals, ...shown });
    else print(told({ title, ...shown }));
    if (out === undefined) return;
    const pages = new Map([
      ['report.json', `${jsonText({ tokens: judged.tokens, totals, ...shown })}\n`],
      ['report.html', predictorPage({ title, ...shown })],
      ...predictorCharts({ title, ...shown }),
    ]);
    await writeReport(out, pages);
  });
}

async function importPredictors(folder: string, values: ImportValues): Promise<void> {
  await refuseExisting(values.out);
  await untilInterrupted(async (signal) => {
    const model = await openShown(values.model, { signal, ...(values.revision && { revision: values.revision }) });
    const draft = await powerInferPlan(await folderFiles(folder), model, {
      ...(values.predictorDtype && { predictorDType: values.predictorDtype }),
      ...(values.threshold !== undefined && { threshold: values.threshold }),
      signal,
    });
    await writeFolder(values.out, (staging) => writePlan(staging, draft), { what: 'the plan' });
  });
  print(values.out);
}

const percent = (value: number, digits = 1): string => `${(100 * value).toFixed(digits)} %`;

/** A line a layer, and one for all. */
function told({ title, layers, perplexity, densePerplexity, sparsity }: PredictorReport): string {
  const rows = layers.map((one) => {
    const { layer, hasPredictor, active, proposed, recall, missed } = one;
    const at = `layer ${String(layer).padStart(2)}`;
    if (!hasPredictor) return `${at}  none`;
    return `${at}  ${predictorText(one).padEnd(12)}  active ${percent(active).padStart(6)}  proposed ${percent(proposed).padStart(6)}  recall ${percent(recall, 2).padStart(8)}  missed ${percent(missed, 2)}`;
  });
  const totals = predictorTotals(layers);
  return [
    title,
    ...rows,
    `recall ${percent(totals.recall, 2)}, ${percent(totals.proposed)} proposed for ${percent(totals.active)} active, predictors ${percent(totals.share, 2)} of the FFNs' bytes`,
    `${percent(sparsity)} of the blocks' weights skipped, perplexity ${perplexity.toFixed(3)} (without the plan ${densePerplexity.toFixed(3)}, ${percent(perplexity / densePerplexity - 1, 2)} more)`,
  ].join('\n');
}
