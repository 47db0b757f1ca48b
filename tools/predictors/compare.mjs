// Predictors side by side: every fit on every model, made on one text and judged on held-out ids. Results are kept line by
// line, so the same command goes on where it was ended; `--report` writes the tables of docs/experiments/predictors.md.
//
//   node tools/predictors/compare.mjs [--models NAME,...] [--fits NAME;...] [--threads N] [--report]
//
// Does not own fits and statistics (@relufy/predictor), nor the words of the page, which are written by hand around it.
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
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

const root = fileURLToPath(new URL('../../', import.meta.url));
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
mkdirSync(folder, { recursive: true });
const resultsFile = join(folder, 'results.jsonl');
const results = new Map(
  (existsSync(resultsFile) ? readFileSync(resultsFile, 'utf8').split('\n') : [])
    .filter((line) => line.endsWith('}'))
    .map((line) => JSON.parse(line))
    .map((result) => [`${result.model} ${result.fit}`, result]),
);

/** `shared/...` lies beside the checkout, `build/...` in it. */
const placeOf = (path) => join(root, path.startsWith('shared/') ? '..' : '', path);

/** One key of each line of a file of JSON lines. */
function textOf({ file, key, bytes }) {
  const whole = gunzipSync(readFileSync(placeOf(file)));
  const lines = new TextDecoder().decode(whole.subarray(0, bytes)).split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line)[key]).join('\n');
}

/** Ids of held-out stories, as they lie beside a model. */
function heldOutIds(model) {
  const bytes = readFileSync(placeOf(`shared/models/${model}/valid-ids.u16`));
  return [...new Uint16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))];
}

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
      const judged = await evaluatePredictors(files, await planFolder(made), [heldOutIds(base)], {
        window: 1024,
        tokens: 8192,
        load,
      });
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
  results.set(`${result.model} ${result.fit}`, result);
  appendFileSync(resultsFile, `${JSON.stringify(result)}\n`);
  const { model, fit, missing, recall, proposed, perplexity } = result;
  const found =
    missing ?? `recall ${percent(recall, 2)}, proposed ${percent(proposed)}, perplexity ${perplexity.toFixed(3)}`;
  process.stdout.write(`${model}, ${fit}: ${found}\n`);
}

const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;

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
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [
    `**${title}**, perplexity without a plan ${dense?.toFixed(2)}, without a predictor ${percent(judged)} read to decide`,
    '',
    line(head),
    line(head.map(() => '---')),
    ...rows.map(line),
  ].join('\n');
}

function report() {
  const page = join(root, 'docs/experiments/predictors.md');
  const [start, end] = ['<!-- written by tools/predictors/compare.mjs --report -->', '<!-- end -->'];
  const before = readFileSync(page, 'utf8');
  const [from, to] = [before.indexOf(start), before.indexOf(end)];
  if (from < 0 || to < 0) throw new Error(`compare: expected the lines ${start} and ${end} in ${page}, found none.`);
  const tables = Object.entries(run.models)
    .filter(([name]) => [...results.values()].some((result) => result.model === name))
    .map(([name, model]) => tableOf(name, model));
  writeFileSync(page, `${before.slice(0, from)}${start}\n\n${tables.join('\n\n')}\n\n${before.slice(to)}`);
}

if (values.report) report();
else await measureAll();
