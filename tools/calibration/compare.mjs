// Methods of calibration side by side on one model: every plan is made on one text and scored on another. Results are kept
// line by line beside the page, in git, so the same command goes on where it was ended, on another machine too;
// `--report` writes the tables of the page from them. Plans and journals of searches are left in build/calibration.
//
//   node tools/calibration/compare.mjs RUN.yaml [--only NAME;...] [--targets 0.4,0.5] [--threads N] [--time | --report]
//
// `--time` measures a processor's milliseconds for a token on one thread, dense and with each plan in turn.
//
// Does not own methods and searches (@relufy/predictor), nor the words of the page, which are written by hand around it.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadModel, openModelFiles, readTokenizer } from '@relufy/models';
import { Calibrator, calibrationPage, perplexityChart, planContents } from '@relufy/predictor';
import { parse } from 'yaml';
import { markdownTable, writeResults } from '../measuring/pages.mjs';
import { resultLines } from '../measuring/result-lines.mjs';
import { placeOf, root, storedIds, textOf, windowsOf } from '../measuring/texts.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string' },
    targets: { type: 'string' },
    threads: { type: 'string', default: '1' },
    report: { type: 'boolean' },
    time: { type: 'boolean' },
  },
});
const runFile = positionals[0];
if (runFile === undefined) throw new Error('compare: expected a run file, such as tools/calibration/smollm2.yaml.');
const run = parse(readFileSync(runFile, 'utf8'));
const folder = join(root, 'build/calibration', run.name);
mkdirSync(folder, { recursive: true });
const beside = join(root, dirname(run.page), `calibration-${run.name}`);
const lines = resultLines(`${beside}.jsonl`, (result) => `${result.run} ${result.target}`);
const results = lines.known;
const planOf = (name, target) =>
  join(folder, 'plans', `${name}-${Math.round(100 * target)}`.replaceAll(/[^\w-]+/g, '-'));

function keep(result) {
  lines.keep(result);
  const { perplexity, sparsity, missing, ms } = result;
  const found =
    ms === undefined ? `${(100 * sparsity).toFixed(1)} %, ${perplexity?.toFixed(2)}` : `${ms.toFixed(2)} ms`;
  process.stdout.write(`${result.run} ${result.target}: ${missing ?? found}\n`);
}

const idsFrom = (text, tokenizer) =>
  text.ids === undefined ? tokenizer.encode(textOf(text), { addSpecialTokens: false }) : storedIds(text.ids);

async function measureAll() {
  const only = values.only?.split(';');
  const wanted = values.targets?.split(',').map(Number) ?? run.targets;
  const files = await openModelFiles(placeOf(run.model));
  const tokenizer = await readTokenizer(files);
  const { calibration, scoring } = run;
  const ids = idsFrom(calibration.text, tokenizer);
  const scored = idsFrom(scoring.text, tokenizer);
  const windows = windowsOf(scored, scoring.windows, scoring.window);
  const { tokens, trialTokens, window } = calibration;
  for (const [name, options] of Object.entries({ dense: undefined, ...run.runs })) {
    if (only && !only.includes(name)) continue;
    const { targets = options ? wanted : [0], ...method } = options ?? { method: 'top' };
    const left = targets.filter((target) => !results.has(`${name} ${target}`));
    if (left.length === 0) continue;
    const { allocation, ...shared } = method;
    const journal = journalOf(name, `blocks ${JSON.stringify(shared)}`);
    const calibrator = await Calibrator.open(files, [ids], {
      ...{ tokens, trialTokens, window, text: calibration.text.file.split('/').at(-1) },
      ...method,
      contextLength: scoring.window,
      load: { dtype: run.dtype, threads: Number(values.threads) },
      journal,
    });
    try {
      for (const target of left) {
        if (options === undefined) {
          keep({ run: name, target, sparsity: 0, perplexity: await calibrator.score(windows) });
          continue;
        }
        const found = await calibrator
          .meet(typeof target === 'number' ? { sparsity: target } : target)
          .catch((error) => {
            if (error.code !== 'option') throw error;
            return { missing: error.message };
          });
        if (found.missing) {
          keep({ run: name, target, missing: found.missing });
          continue;
        }
        const perplexity = await calibrator.score(windows, found);
        const { sparsity, density, layers } = found.trial;
        const place = planOf(name, target);
        mkdirSync(place, { recursive: true });
        for (const [file, content] of await planContents(found)) writeFileSync(join(place, file), content);
        keep({ run: name, target, sparsity, perplexity, density, layers, trialPerplexity: found.trial.perplexity });
      }
    } finally {
      await calibrator.dispose();
    }
  }
}

/** What a long search has measured; what is of a block does not depend on the rule by which it is used afterwards. */
function journalOf(name, shared) {
  const own = linesOf(name);
  const blocks = linesOf(shared);
  const of = (key) => (key.startsWith('block ') ? blocks : own);
  return { get: (key) => of(key).get(key), put: (key, value) => of(key).put(key, value) };
}

function linesOf(name) {
  const { known, keep: put } = resultLines(
    join(folder, `${name.replaceAll(/[^\w]+/g, '-')}.journal.jsonl`),
    ({ key }) => key,
  );
  return { get: (key) => known.get(key)?.value, put: (key, value) => put({ key, value }) };
}

function report() {
  const found = (name) => run.targets.map((target) => results.get(`${name} ${target}`));
  const cellOf = (result) => {
    if (result === undefined) return '';
    if (result.missing) return '-';
    return result.perplexity < 1000 ? result.perplexity.toFixed(2) : result.perplexity.toPrecision(2);
  };
  const dense = results.get('dense 0');
  if (dense === undefined) throw new Error(`compare: expected results of ${run.name}, found none. Measure them first.`);
  const curves = Object.keys(run.runs).flatMap((name) => {
    const points = found(name).filter((result) => result?.perplexity !== undefined);
    return points.length > 0 ? [{ name, points }] : [];
  });
  writeFileSync(join(folder, 'report.html'), calibrationPage(run.title, curves, dense.perplexity));
  const chart = `${basename(beside)}.svg`;
  writeFileSync(`${beside}.svg`, `${perplexityChart(curves, dense.perplexity)}\n`);
  const marks = {
    start: `<!-- ${run.name}: written by tools/calibration/compare.mjs --report -->`,
    end: `<!-- end of ${run.name} -->`,
  };
  const table = markdownTable({
    head: [`${run.title}, dense ${dense.perplexity.toFixed(2)}`, ...run.targets.map((target) => `${100 * target} %`)],
    rows: Object.keys(run.runs).map((name) => [name, ...found(name).map(cellOf)]),
  });
  writeResults(join(root, run.page), marks, [table, `![${run.title}](${chart})`]);
}

/** A processor's milliseconds for a decoded token, the least of three turns; nothing runs beside it in the process. */
async function timeAll() {
  const only = values.only?.split(';');
  const wanted = values.targets?.split(',').map(Number) ?? run.targets;
  const files = await openModelFiles(placeOf(run.model));
  const planned = Object.keys(run.runs).flatMap((name) =>
    wanted.map((target) => ({ name, target, plan: planOf(name, target) })),
  );
  const all = [{ name: 'dense', target: 0 }, ...planned].filter(
    ({ name, plan }) => name === 'dense' || ((!only || only.includes(name)) && existsSync(plan)),
  );
  const least = new Map();
  for (let turn = 0; turn < 3; turn++)
    for (const one of all) {
      const { plan } = one;
      const model = await loadModel(files, { dtype: run.dtype, threads: 1, contextLength: 512, ...(plan && { plan }) });
      const options = { temperature: 0, stopTokenIds: [] };
      await model.generate(timedPrompt, { ...options, maxNewTokens: 8 }).result;
      const before = process.cpuUsage();
      const { tokenIds, stats } = await model.generate(timedPrompt, { ...options, maxNewTokens: 64 }).result;
      const { user, system } = process.cpuUsage(before);
      const ms = (user + system) / 1000 / tokenIds.length;
      const known = least.get(one) ?? { ms: Number.POSITIVE_INFINITY };
      least.set(one, { ms: Math.min(ms, known.ms), bytes: stats.weightBytesPerToken });
      await model.dispose();
    }
  for (const [{ name, target }, { ms, bytes }] of least) keep({ run: `time ${name}`, target, ms, bytes });
}

/** A prompt that the cache holds after the first answer, so that only decoding is timed. */
const timedPrompt = 'The history of the river begins in the mountains, where';

if (values.report) report();
else if (values.time) await timeAll();
else await measureAll();
