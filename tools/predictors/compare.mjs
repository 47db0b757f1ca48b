// Predictors side by side: every fit on every model, made on one text and judged on held-out ids. Results are kept line by
// line, so the same command goes on where it was ended; `--report` writes the tables of docs/experiments/predictors.md.
//
//   node tools/predictors/compare.mjs [--models NAME,...] [--fits NAME;...] [--threads N] [--report]
//
// Does not own fits and statistics (@relufy/predictor), nor the words of the page, which are written by hand around it.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openModelFiles, readTokenizer } from '@relufy/models';
import {
  evaluatePredictors,
  fitPredictors,
  planContents,
  planFolder,
  predictorPage,
  predictorTotals,
} from '@relufy/predictor';
import { parse } from 'yaml';
import { markdownTable, percent, writeResults } from '../measuring/pages.mjs';
import { resultLines } from '../measuring/result-lines.mjs';
import { placeOf, root, storedIds, textOf } from '../measuring/texts.mjs';

const { values } = parseArgs({
  options: {
    models: { type: 'string' },
    fits: { type: 'string' },
    threads: { type: 'string', default: '1' },
    report: { type: 'boolean' },
  },
});
const run = parse(readFileSync(new URL('runs.yaml', import.meta.url), 'utf8'));
const folder = join(root, 'build/predictors');
const lines = resultLines(join(folder, 'results.jsonl'), (result) => `${result.model} ${result.fit}`);
const results = lines.known;

async function measureAll() {
  const [models, fits] = [values.models?.split(','), values.fits?.split(';')];
  const { text, window, tokens, heldOutTokens, trialTokens } = run;
  for (const [name, { model, dtype }] of Object.entries(run.models)) {
    if ((models && !models.includes(name)) || !existsSync(placeOf(model))) continue;
    const files = await openModelFiles(placeOf(model));
    const tokenizer = await readTokenizer(files);
    const ids = tokenizer.encode(textOf(text), { addSpecialTokens: false });
    const load = { dtype, threads: Number(values.threads) };
    for (const [fit, options] of Object.entries(run.fits)) {
      if ((fits && !fits.includes(fit)) || results.has(`${name} ${fit}`)) continue;
      const sizes = { window, tokens, heldOutTokens, trialTokens };
      const made = await fitPredictors(files, [ids], { ...sizes, ...options, load, text: 'tales' }).catch((error) => {
        if (error.code !== 'option') throw error;
        return { missing: error.message };
      });
      if (made.missing) {
        keep({ model: name, fit, missing: made.missing });
        continue;
      }
      const base = name.replace(/-relu$/, '');
      const judged = await evaluatePredictors(
        files,
        await planFolder(made),
        [storedIds(`shared/models/${base}/valid-ids.u16`)],
        {
          window: 1024,
          tokens: 8192,
          load,
        },
      );
      const place = join(folder, 'plans', `${name}-${fit}`.replaceAll(/[^\w]+/g, '-'));
      mkdirSync(place, { recursive: true });
      for (const [file, content] of await planContents(made)) writeFileSync(join(place, file), content);
      const { layers, trial, densePerplexity } = judged;
      const { perplexity, sparsity } = trial;
      const { rankCurves } = made;
      const report = { layers, perplexity, densePerplexity, sparsity, ...(rankCurves && { rankCurves }) };
      writeFileSync(join(place, 'report.html'), predictorPage({ title: `${name}: ${fit}`, ...report }));
      keep({ model: name, fit, ...predictorTotals(layers), of: layers.length, perplexity, densePerplexity, sparsity });
    }
  }
}

function keep(result) {
  lines.keep(result);
  const { model, fit, missing, recall, proposed, perplexity } = result;
  const found =
    missing ?? `recall ${percent(recall, 2)}, proposed ${percent(proposed)}, perplexity ${perplexity.toFixed(3)}`;
  process.stdout.write(`${model}, ${fit}: ${found}\n`);
}

/** Of one model, the fits that were measured. */
function tableOf(name, { title, judged }) {
  const own = Object.keys(run.fits)
    .map((fit) => results.get(`${name} ${fit}`))
    .filter((result) => result !== undefined);
  const dense = own.find((result) => result.densePerplexity !== undefined)?.densePerplexity;
  const rows = own.map((result) =>
    result.missing
      ? [result.fit, 'no layer gains by it', '', '', '', '', '', '', '']
      : [
          result.fit,
          `${result.layers} of ${result.of}`,
          percent(result.share, 2),
          percent(result.active),
          percent(result.proposed),
          percent(result.recall, 2),
          percent(result.missed, 2),
          // of layers without a predictor all is read
          percent(result.share + judged * ((result.layers * result.proposed + result.of - result.layers) / result.of)),
          `${result.perplexity.toFixed(2)} (${(100 * (result.perplexity / dense - 1)).toFixed(2)} %)`,
        ],
  );
  const head = [
    'fit',
    'layers',
    'of FFN bytes',
    'active',
    'proposed',
    'recall',
    'missed',
    'read to decide',
    'perplexity (rise)',
  ];
  return markdownTable({
    title: `${title}, perplexity without a plan ${dense?.toFixed(2)}, without a predictor ${percent(judged)} read to decide`,
    head,
    rows,
  });
}

function report() {
  const tables = Object.entries(run.models)
    .filter(([name]) => [...results.values()].some((result) => result.model === name))
    .map(([name, model]) => tableOf(name, model));
  const marks = { start: '<!-- written by tools/predictors/compare.mjs --report -->', end: '<!-- end -->' };
  writeResults(join(root, 'docs/experiments/predictors.md'), marks, tables);
}

if (values.report) report();
else await measureAll();
