// `relufy relufy`: a model -> the same weights as a ReLU model, and what to expect of it before any fine-tuning.
// Does not own relufication (@relufy/models) or measuring (@relufy/train).
import { wholeFrom } from '@relufy/chat';
import { perplexity, type RelufyOptions } from '@relufy/models';
import type { Command } from 'commander';
import { addBackendOptions, type BackendValues, choice, loadOptionsOf, modelHelp, numeric } from '../options.js';
import { print, printJson } from '../output.js';
import { readTextFile } from '../read-text.js';
import { untilInterrupted } from '../signals.js';
import { openModel, openShown } from '../with-model.js';
import { workLine } from '../work-line.js';

const examples = `
Stages (ReLU Strikes Back, arXiv 2310.04564):
  1  the activation of the FFN becomes ReLU
  2  and a ReLU follows every norm that feeds attention or an FFN

The sparsity is predicted from the unmodified model: the fraction of its pre-activations at or below the threshold. The
perplexity right after relufication is that of a model that needs fine-tuning: relufy train --from FOLDER.

Examples:
  $ relufy relufy ./llama --stage 1 --out ./llama-relu
  $ relufy relufy ./llama --stage 1 --shift 0.1 --out ./llama-shifted
  $ relufy relufy ./falcon --stage 2 --text validation.txt --out ./falcon-relu`;

interface RelufyValues extends BackendValues, Omit<RelufyOptions, 'activateUp'> {
  readonly text?: string;
  readonly out: string;
  readonly json?: true;
}

const notNegative = { fits: (value: number) => value >= 0, expected: 'a number >= 0' };

export function define(command: Command): void {
  command
    .usage('MODEL --stage N --out FOLDER [options]')
    .argument('<model>', modelHelp)
    .addOption(numeric('--stage <n>', '1 or 2', wholeFrom(1)).makeOptionMandatory())
    .addOption(numeric('--shift <b>', 'max(0, x - b) as activation', notNegative))
    .addOption(choice('--activation <name>', 'what the FFN gets', ['relu', 'relu2', 'fatrelu']))
    .addOption(numeric('--threshold <t>', 'the threshold of fatrelu: x where x > t, else 0', notNegative))
    .option('--text <file>', 'the text to measure on (default: a page of prose)')
    .requiredOption('-o, --out <folder>', 'the folder to write')
    .option('--json', 'print one JSON object');
  addBackendOptions(command);
  command.addHelpText('after', examples).action(relufy);
}

async function relufy(source: string, values: RelufyValues): Promise<void> {
  const { predictSparsity, relufyModel, sampleSequences, sampleText } = await import('@relufy/train');
  const { text: file, out, json, backend, threads, ...given } = values;
  const runs = loadOptionsOf({ ...(backend && { backend }), ...(threads && { threads }) });
  const options: RelufyOptions = given;
  const text = file === undefined ? sampleText : await readTextFile('--text', file);
  await untilInterrupted(async (signal) => {
    const line = workLine(process.stderr);
    const hear = (what: string) => (share: number) => line.hear({ what, share });
    const files = await openShown(source, { signal });
    line.hear({ what: 'writing the model' });
    await relufyModel(files, { relufy: options, out, signal }).finally(line.clear);
    const before = await openModel(source, { ...runs, signal });
    const sequences = await sampleSequences(before, text);
    const threshold = options.threshold ?? options.shift ?? 0;
    const sparsity = await predictSparsity(before, sequences, threshold, hear('predicting sparsity'));
    const perplexityBefore = await perplexity(before, sequences, {
      signal,
      onProgress: hear('perplexity before'),
    }).finally(line.clear);
    await before.dispose();
    const after = await openModel(out, { ...runs, signal });
    const perplexityAfter = await perplexity(after, sequences, {
      signal,
      onProgress: hear('perplexity after'),
    }).finally(line.clear);
    await after.dispose();
    const tokens = sequences.reduce((sum, sequence) => sum + sequence.length, 0);
    const report = { out, tokens, threshold, predictedSparsity: sparsity, perplexityBefore, perplexityAfter };
    if (json) printJson(report);
    else print(describe(report));
  });
}

interface Report {
  readonly out: string;
  readonly tokens: number;
  readonly threshold: number;
  readonly predictedSparsity: readonly number[];
  readonly perplexityBefore: number;
  readonly perplexityAfter: number;
}

function describe(report: Report): string {
  const { out, tokens, threshold, predictedSparsity, perplexityBefore, perplexityAfter } = report;
  const percent = (share: number) => `${(100 * share).toFixed(1).padStart(5)} %`;
  const mean = predictedSparsity.reduce((sum, share) => sum + share, 0) / predictedSparsity.length;
  return [
    `sparsity of the FFN predicted from pre-activations <= ${threshold}, ${tokens} tokens`,
    ...predictedSparsity.map((share, layer) => `  layer ${String(layer).padStart(2)}  ${percent(share)}`),
    `  mean      ${percent(mean)}`,
    '',
    `perplexity before relufication       ${perplexityBefore.toFixed(2)}`,
    `perplexity right after relufication  ${perplexityAfter.toFixed(2)}`,
    '',
    out,
  ].join('\n');
}
