// How the share of active neurons moves with training tokens (Sparsing Law, arXiv 2411.02335): measures the models that the runs
// of the experiment `sparsing-law` have written every 200 steps, fits the laws, and writes docs/experiments/sparsing-law.md.
//
//   node tools/experiments/sparsing-law.mjs [--runs FOLDER] [--threads N] [--report]
//
// Active is what CETT-PPL-1 % keeps: one error target a run, searched on its last five models together, so that leaving out the
// smallest neurons of each layer raises their perplexity by 1 % on average. Does not own training (run.mjs) nor the fit (@relufy/sparsity).
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { lineChart } from '@relufy/charts';
import { openModelFiles, readTokenizer } from '@relufy/models';
import { activationLaws, activationRatioAfter, csv, fitActivationLaw } from '@relufy/sparsity';
import { markdownTable, percent, writeResults } from '../measuring/pages.mjs';
import { resultLines } from '../measuring/result-lines.mjs';
import { root, windowsOf } from '../measuring/texts.mjs';
import { Neurons } from './neurons.mjs';
import { readPlan } from './plan.mjs';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: join(root, 'build/experiments') },
    threads: { type: 'string', default: '1' },
    report: { type: 'boolean' },
  },
});
const [window, calibrationWindows, scoredWindows] = [256, 4, 24];
/** Models whose target is searched together, and turns of its bisection. */
const [searched, turns] = [5, 12];
/** Steps that warm up: the paper drops them before it fits. */
const warmUp = 200;
const names = readPlan().experiments['sparsing-law'];
const lines = resultLines(join(values.runs, 'sparsing-law.jsonl'), ({ run, step }) => `${run} ${step}`);

/** @param {string} run */
function modelsOf(run) {
  const folder = join(values.runs, run, 'models');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, 'config.json')))
    .map((name) => ({ step: Number(name.replace('step-', '')), source: join(folder, name) }));
}

const tokensOf = (source) => JSON.parse(readFileSync(join(source, 'training.json'), 'utf8')).metrics.tokens;

async function measureAll() {
  for (const run of names) {
    const models = modelsOf(run);
    const isDone = existsSync(join(values.runs, run, 'model/config.json'));
    if (!isDone || models.every(({ step }) => lines.known.has(`${run} ${step}`))) continue;
    const tokenizer = await readTokenizer(await openModelFiles(models[0].source));
    const text = readFileSync(join(values.runs, 'data/held-out.txt'), 'utf8').slice(0, 120_000);
    const ids = tokenizer.encode(text, { addSpecialTokens: false });
    const all = windowsOf(ids, calibrationWindows + scoredWindows, window);
    const [calibration, scored] = [all.slice(0, calibrationWindows), all.slice(calibrationWindows)];
    const prepared = [];
    for (const { step, source } of models) prepared.push(await prepare(step, source, calibration, scored));
    const last = prepared.slice(-searched);
    let [low, high] = [0, 1];
    for (let turn = 0; turn < turns; turn++) {
      const target = (low + high) / 2;
      let ratio = 0;
      for (const one of last) ratio += (await one.at(target)).perplexity / one.dense / last.length;
      if (ratio <= 1.01) low = target;
      else high = target;
    }
    for (const one of prepared) {
      const found = await one.at(low);
      const { step, tokens, dense, zeros } = one;
      lines.keep({ run, step, tokens, target: low, dense, zeros, ...found });
      process.stdout.write(`${run} ${step}: ${percent(found.ratio)} active, perplexity ${dense.toFixed(2)}\n`);
      await one.close();
    }
  }
}

/** A model with its curves of errors. */
async function prepare(step, source, calibration, scored) {
  const neurons = await Neurons.open(source, { threads: Number(values.threads) });
  const curves = neurons.curves();
  await neurons.perplexity(calibration, { hook: (layer, h) => curves[layer].add(h) });
  let [zeroCount, all] = [0, 0];
  const dense = await neurons.perplexity(scored, {
    hook: (_, h) => {
      for (const value of h) if (value === 0) zeroCount++;
      all += h.length;
    },
  });
  return {
    ...{ step, tokens: tokensOf(source), dense },
    /** Share that is exactly 0. */
    zeros: zeroCount / all,
    /** With neurons left out up to this error. */
    at: async (target) => {
      const bars = curves.map((curve) => curve.thresholdFor(target).threshold);
      const active = neurons.each(() => 0);
      const perplexity = await neurons.perplexity(scored, {
        hook: (layer, h) => {
          const norms = neurons.norms[layer];
          for (let i = 0; i < h.length; i++) {
            if (Math.abs(h[i]) * norms[i] < bars[layer]) h[i] = 0;
            if (h[i] !== 0) active[layer]++;
          }
        },
      });
      const tokens = scored.reduce((sum, ids) => sum + ids.length, 0);
      const layers = active.map((count) => count / tokens / neurons.width);
      return { perplexity, layers, ratio: layers.reduce((sum, share) => sum + share, 0) / layers.length };
    },
    close: () => neurons.close(),
  };
}

const number = (value) =>
  Math.abs(value) < 1e-3 || Math.abs(value) >= 1e4 ? value.toExponential(2) : value.toPrecision(3);

function report() {
  const found = names.map((run) => ({
    run,
    points: [...lines.known.values()].filter((line) => line.run === run).sort((a, b) => a.step - b.step),
  }));
  const done = found.filter(({ points }) => points.length > 0);
  if (done.length === 0)
    throw new Error('sparsing-law: expected measured runs, got none. Train and measure them first.');
  const fitted = done.map(({ run, points }) => {
    const isRelu = run.includes('relu');
    const fit = (value) => {
      const kept = points.filter(({ step }) => step > warmUp).map((point) => [point.tokens, value(point)]);
      return ['falling', 'rising'].map((kind) => ({ kind, ...fitActivationLaw(kept, kind) }));
    };
    return { run, points, isRelu, fits: fit(({ ratio }) => ratio) };
  });
  const rows = fitted.flatMap(({ run, points, isRelu, fits }) =>
    fits.map(({ kind, law, residuals, meanError }) => [
      run,
      `${kind}${(kind === 'falling') === isRelu ? ' (published)' : ''}`,
      percent(points.find(({ step }) => step > warmUp).ratio),
      percent(points.at(-1).ratio),
      number(law.alpha),
      number(law.c),
      law.b === undefined ? '' : number(law.b),
      percent(law.limit),
      percent(meanError, 2),
      percent(Math.max(...residuals.map(Math.abs)), 2),
    ]),
  );
  const published = [
    ['0.1B ReLU', activationLaws.relu['0.1B']],
    ['0.1B SiLU', activationLaws.silu['0.1B']],
  ].map(([name, law]) => [
    name,
    '',
    '',
    '',
    number(law.alpha),
    number(law.c),
    law.b === undefined ? '' : number(law.b),
    percent(law.limit),
    '',
    '',
  ]);
  const [first, ...others] = done[0].points.map(({ tokens }) => tokens);
  const asked = [first, ...others].filter((_, at) => at % 3 === 0 || at === others.length);
  const docs = join(root, 'docs/experiments');
  const charts = {
    'sparsing-law-ratio': lineChart({
      title: 'Active neurons over training tokens',
      x: 'tokens, millions',
      y: 'active FFN neurons at +1 %',
      see: 'Points are measured, lines are the published laws fitted to them.',
      lines: fitted.flatMap(({ run, points, isRelu, fits }, color) => [
        { name: run, dots: true, color, points: points.map(({ tokens, ratio }) => [tokens / 1e6, ratio]) },
        {
          ...{ name: `${run}, law`, color, dashed: true, inLegend: false },
          points: points
            .filter(({ step }) => step > warmUp)
            .map(({ tokens }) => [tokens / 1e6, activationRatioAfter(tokens, fits[isRelu ? 0 : 1].law)]),
        },
      ]),
      yDomain: [0, 1],
    }),
    'sparsing-law-residuals': lineChart({
      title: 'What the laws leave over',
      x: 'tokens, millions',
      y: 'measured minus law',
      see: 'Around zero without a shape: the law says all that the points say.',
      lines: fitted.map(({ run, points, isRelu, fits }) => ({
        name: run,
        dots: true,
        points: points
          .filter(({ step }) => step > warmUp)
          .map(({ tokens }, at) => [tokens / 1e6, fits[isRelu ? 0 : 1].residuals[at]]),
      })),
      yDomain: rangeOf(fitted.flatMap(({ isRelu, fits }) => fits[isRelu ? 0 : 1].residuals)),
    }),
  };
  for (const [name, svg] of Object.entries(charts)) writeFileSync(join(docs, `${name}.svg`), `${svg}\n`);
  const columns = ['run', 'step', 'tokens', 'perplexity', 'CETT target', 'active at +1 %', 'not zero'];
  writeFileSync(
    join(docs, 'sparsing-law.csv'),
    csv(
      columns,
      done.flatMap(({ run, points }) =>
        points.map(({ step, tokens, dense, target, ratio, zeros }) => [
          run,
          step,
          tokens,
          dense,
          target,
          ratio,
          1 - zeros,
        ]),
      ),
    ),
  );
  const marks = {
    start: '<!-- results: written by node tools/experiments/sparsing-law.mjs -->',
    end: '<!-- end of results -->',
    title: 'Active neurons over training tokens',
  };
  const missing = names.filter((name) => !done.some(({ run }) => run === name));
  writeResults(join(docs, 'sparsing-law.md'), marks, [
    ...(missing.length > 0 ? [`Not run yet: ${missing.join(', ')}.`] : []),
    markdownTable({
      title: 'Active neurons at +1 % perplexity (perplexity of the model as it is)',
      head: ['run', ...asked.map((tokens) => `${(tokens / 1e6).toFixed(2)} M tokens`)],
      rows: done.map(({ run, points }) => [
        run,
        ...asked.map((tokens) => {
          const point = points.find((one) => one.tokens === tokens);
          return point ? `${percent(point.ratio)} (${point.dense.toFixed(1)})` : '';
        }),
      ]),
    }),
    markdownTable({
      title: 'Laws, D in 1e9 tokens',
      head: ['run', 'law', 'first', 'last', 'alpha', 'c', 'b', 'limit', 'mean error', 'largest'],
      rows: [...rows, ...published],
      note: "falling: A = exp(-c D^alpha + b) + limit; rising: A = limit - c / D^alpha. The last two rows are the paper's.",
    }),
    '![Active neurons over training tokens](sparsing-law-ratio.svg)',
    '![What the laws leave over](sparsing-law-residuals.svg)',
  ]);
}

function rangeOf(all) {
  const most = 1.1 * Math.max(...all.map(Math.abs), 1e-4);
  return [-most, most];
}

if (!values.report) await measureAll();
report();
