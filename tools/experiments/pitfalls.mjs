// Pitfalls of dynamic activation (arXiv 2405.09274): schemes that choose neurons, at several sparsities and under several policies of
// sharing them out among layers, on SiLU and on ReLU. Writes docs/experiments/pitfalls.md.
//
//   node tools/experiments/pitfalls.mjs [--runs FOLDER] [--models NAME,...] [--threads N] [--report]
//
// A policy gives the share that each layer leaves out, from calibration text: one threshold for all, the same error (CETT) or the same
// share everywhere. A scheme says which: the smallest by what they add (`oracle`), those that a predictor scores lowest, those that
// mattered least in the prompt, or random ones. Does not own training (run.mjs) nor predictors (@relufy/predictor).
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lineChart } from '@relufy/charts';
import { fitPredictors } from '@relufy/predictor';
import { csv } from '@relufy/sparsity';
import { Random } from '@relufy/train';
import { markdownTable, percent, writeResults } from '../measuring/pages.mjs';
import { root } from '../measuring/texts.mjs';
import { Neurons, quantile } from './neurons.mjs';
import { openExperiment } from './runs-folder.mjs';

const { run, lines, threads, reportOnly, modelsLeft } = openExperiment('pitfalls');
const policies = { threshold: 'one threshold for all', cett: 'equal error (CETT)', share: 'equal share' };
const schemes = { oracle: 'oracle', predictor: 'predictor', prompt: 'fixed by the prompt', random: 'random' };
/** Positions after the prompt whose overlaps are averaged. */
const bucket = 16;

const partOf = (scheme, policy, sparsity) => `${scheme} ${policy} ${sparsity}`;
const cells = Object.keys(policies).flatMap((policy) =>
  run.sparsities.flatMap((sparsity) => Object.keys(schemes).map((scheme) => ({ scheme, policy, sparsity }))),
);

async function measureAll() {
  const isDone = (name, part) => lines.known.has(`${name} ${part}`);
  const cellsLeft = (name) => cells.filter((cell) => !isDone(name, partOf(cell.scheme, cell.policy, cell.sparsity)));
  for await (const { name, model, calibration, scored, training } of modelsLeft(
    (name) => cellsLeft(name).length === 0 && isDone(name, 'history'),
  )) {
    const predictors = await predictorsOf(model, training);
    const neurons = await Neurons.open(model.source, { threads, dtype: model.dtype });
    try {
      const calibrated = await calibrate(neurons, predictors, calibration);
      const dense = await neurons.perplexity(scored, { prompt: run.prompt });
      for (const cell of cellsLeft(name)) {
        const found = await measureCell(neurons, calibrated, predictors, scored, cell);
        keep({ model: name, part: partOf(cell.scheme, cell.policy, cell.sparsity), ...cell, ...found, dense });
      }
      if (!isDone(name, 'history'))
        keep({ model: name, part: 'history', ...(await history(neurons, calibrated, scored)) });
    } finally {
      await neurons.close();
    }
  }
}

/** One low-rank predictor a layer: a token's scores, over what each neuron's has to be above. */
async function predictorsOf({ source, dtype = 'f32' }, ids) {
  const { tensors } = await fitPredictors(source, [ids], { ...run.predictor, keepAll: true, load: { dtype, threads } });
  return (layer, x, scores) => {
    const [a, b, threshold] = ['a', 'b', 'threshold'].map(
      (part) => tensors.get(`layers.${layer}.predictor.${part}`).values,
    );
    const rank = a.length / x.length;
    const inner = new Float32Array(rank);
    for (let r = 0; r < rank; r++) {
      let sum = 0;
      for (let i = 0; i < x.length; i++) sum += a[r * x.length + i] * x[i];
      inner[r] = sum;
    }
    for (let n = 0; n < scores.length; n++) {
      let sum = 0;
      for (let r = 0; r < rank; r++) sum += b[n * rank + r] * inner[r];
      scores[n] = sum - (threshold.length > 1 ? threshold[n] : threshold[0]);
    }
  };
}

/** What thresholds are made of: magnitudes, errors and the predictor's scores on calibration text. */
async function calibrate(neurons, predictors, windows) {
  const { width } = neurons;
  const tokens = windows.reduce((sum, ids) => sum + ids.length, 0);
  const curves = neurons.curves();
  const magnitudes = neurons.each(() => new Float32Array(tokens * width));
  const scores = neurons.each(() => new Float32Array(tokens * width));
  const at = { hook: neurons.each(() => 0), inputHook: neurons.each(() => 0) };
  await neurons.perplexity(windows, {
    inputHook: (layer, x) => {
      const from = at.inputHook[layer]++ * width;
      predictors(layer, x, scores[layer].subarray(from, from + width));
    },
    hook: (layer, h) => {
      const from = at.hook[layer]++ * width;
      for (let i = 0; i < width; i++) magnitudes[layer][from + i] = Math.abs(h[i]) * neurons.norms[layer][i];
      curves[layer].add(h);
    },
  });
  const all = new Float32Array(tokens * width * neurons.layers);
  for (const [layer, own] of magnitudes.entries()) all.set(own, layer * own.length);
  const below = (own, bar) => own.reduce((count, value) => (value <= bar ? count + 1 : count), 0) / own.length;
  /** Bars of a policy, a layer each, and the share that each leaves out. */
  const barsOf = (policy, sparsity) => {
    const bars = {
      threshold: () => Array(neurons.layers).fill(quantile(all, sparsity)),
      share: () => magnitudes.map((own) => quantile(own.slice(), sparsity)),
      cett: () => {
        let [low, high] = [0, 1];
        const mean = (target) =>
          curves.reduce((sum, curve) => sum + curve.thresholdFor(target).sparsity, 0) / curves.length;
        for (let turn = 0; turn < 30; turn++) {
          const target = (low + high) / 2;
          if (mean(target) < sparsity) low = target;
          else high = target;
        }
        return curves.map((curve) => curve.thresholdFor(high).threshold);
      },
    }[policy]();
    const zeros = magnitudes.map((own) => below(own, 0));
    const most = zeros.reduce((sum, share) => sum + share, 0) / zeros.length;
    // a ReLU leaves out more by itself: of each layer's zeros a part, in proportion
    const shares =
      most >= sparsity
        ? zeros.map((share) => (share * sparsity) / most)
        : bars.map((bar, layer) => below(magnitudes[layer], bar));
    return { bars: most >= sparsity ? bars.map(() => 0) : bars, shares };
  };
  return { barsOf, scoreBar: (layer, share) => quantile(scores[layer].slice(), share) };
}

async function measureCell(neurons, calibrated, predictors, scored, { scheme, policy, sparsity }) {
  const { width, layers } = neurons;
  const { bars, shares } = calibrated.barsOf(policy, sparsity);
  const keptOf = shares.map((share) => Math.round((1 - share) * width));
  const scoreBars = scheme === 'predictor' ? shares.map((share, layer) => barAt(calibrated, layer, share)) : [];
  // of all positions: a layer's inputs are seen for many tokens before its neurons are
  const scores = neurons.each(() => new Float32Array(run.measure.window * width));
  const sets = neurons.each(() => new Uint8Array(width));
  const energies = neurons.each(() => new Float64Array(width));
  const counts = neurons.each(() => ({ active: 0, tokens: 0 }));
  const agreed = { wanted: 0, chosen: 0, both: 0 };
  const inputHook =
    scheme === 'predictor'
      ? (layer, x, position) => predictors(layer, x, rowOf(scores[layer], position, width))
      : undefined;
  const hook = (layer, h, position, sequence) => {
    const norms = neurons.norms[layer];
    if (position < run.prompt) {
      if (scheme === 'prompt') addEnergy(energies[layer], h, position === 0);
      return;
    }
    if (position === run.prompt && scheme === 'prompt') largest(energies[layer], keptOf[layer], sets[layer]);
    if (position === run.prompt && scheme === 'random') draw(sets[layer], keptOf[layer], [sequence, layer]);
    const score = rowOf(scores[layer], position, width);
    const [scoreBar, set, bar] = [scoreBars[layer], sets[layer], bars[layer]];
    for (let i = 0; i < width; i++) {
      const wanted = h[i] !== 0 && Math.abs(h[i]) * norms[i] > bar;
      const chosen = scheme === 'oracle' ? wanted : scheme === 'predictor' ? score[i] > scoreBar : set[i] === 1;
      if (wanted) agreed.wanted++;
      if (chosen) agreed.chosen++;
      if (wanted && chosen) agreed.both++;
      if (!chosen) h[i] = 0;
      if (h[i] !== 0) counts[layer].active++;
    }
    counts[layer].tokens++;
  };
  const perplexity = await neurons.perplexity(scored, { hook, inputHook, prompt: run.prompt });
  const active = counts.map(({ active: own, tokens }) => own / tokens / width);
  return {
    perplexity,
    /** Share of neurons that the policy leaves out, of the calibration text; and what was 0 in the end. */
    shares,
    zeros: 1 - active.reduce((sum, one) => sum + one, 0) / layers,
    recall: agreed.wanted === 0 ? 1 : agreed.both / agreed.wanted,
    precision: agreed.chosen === 0 ? 1 : agreed.both / agreed.chosen,
  };
}

const rowOf = (values, row, width) => values.subarray(row * width, (row + 1) * width);

const barAt = ({ scoreBar }, layer, share) => (share <= 0 ? Number.NEGATIVE_INFINITY : scoreBar(layer, share));

/** Of each neuron, the squared share of a token's norm (GRIFFIN). */
function addEnergy(energy, h, isFirst) {
  if (isFirst) energy.fill(0);
  let all = 0;
  for (const value of h) all += value * value;
  if (all > 0) for (let i = 0; i < h.length; i++) energy[i] += (h[i] * h[i]) / all;
}

function largest(sizes, count, set) {
  const order = Uint32Array.from(sizes.keys()).sort((a, b) => sizes[b] - sizes[a] || a - b);
  set.fill(0);
  for (const neuron of order.subarray(0, count)) set[neuron] = 1;
}

function draw(set, count, seeds) {
  const random = new Random(...seeds);
  largest(
    Float64Array.from({ length: set.length }, () => random.next()),
    count,
    set,
  );
}

/** How much of a token's own best half the prompt's best half has, by distance; and the token before's. */
async function history(neurons, calibrated, scored) {
  const { width } = neurons;
  const { bars } = calibrated.barsOf('share', 0.5);
  const count = Math.round(width / 2);
  const energies = neurons.each(() => new Float64Array(width));
  const sets = neurons.each(() => new Uint8Array(width));
  const before = neurons.each(() => new Uint8Array(width));
  const buckets = Math.ceil((run.measure.window - run.prompt) / bucket);
  const sums = Array.from({ length: buckets }, () => ({ prompt: 0, before: 0, tokens: 0 }));
  let [own, seen] = [0, 0];
  const hook = (layer, h, position) => {
    if (position < run.prompt) addEnergy(energies[layer], h, position === 0);
    if (position === run.prompt) largest(energies[layer], count, sets[layer]);
    const norms = neurons.norms[layer];
    let [all, inPrompt, inBefore] = [0, 0, 0];
    for (let i = 0; i < width; i++) {
      const isActive = h[i] !== 0 && Math.abs(h[i]) * norms[i] > bars[layer] ? 1 : 0;
      all += isActive;
      inPrompt += isActive & sets[layer][i];
      inBefore += isActive & before[layer][i];
      before[layer][i] = isActive;
    }
    if (position < run.prompt || all === 0) return;
    const sum = sums[Math.floor((position - run.prompt) / bucket)];
    sum.prompt += inPrompt / all;
    sum.before += inBefore / all;
    sum.tokens++;
    own += all / width;
    seen++;
  };
  await neurons.perplexity(scored, { hook });
  return {
    active: own / seen,
    set: count / width,
    overlaps: sums.map(({ prompt, before: last, tokens }) => ({ prompt: prompt / tokens, before: last / tokens })),
  };
}

function keep(result) {
  lines.keep(result);
  const { model, part, perplexity, recall } = result;
  process.stdout.write(
    `${model} ${part}${perplexity ? `: ${perplexity.toFixed(2)}, recall ${percent(recall)}` : ''}\n`,
  );
}

const rise = ({ perplexity, dense }) => {
  const ratio = perplexity / dense;
  return ratio > 10 ? `${ratio.toPrecision(2)} times` : `${ratio >= 1 ? '+' : ''}${(100 * (ratio - 1)).toFixed(1)} %`;
};

function report() {
  const found = (name, part) => lines.known.get(`${name} ${part}`);
  const done = Object.entries(run.models).filter(([name]) => found(name, 'history'));
  if (done.length === 0) throw new Error('pitfalls: expected measured models, got none.');
  const docs = join(root, 'docs/experiments');
  const tables = done.map(([name, { title }]) =>
    markdownTable({
      title: `${title}: rise of perplexity (${found(name, partOf('oracle', 'share', run.sparsities[0])).dense.toFixed(2)} as it is)`,
      head: ['layers share by', 'neurons by', ...run.sparsities.map((sparsity) => `${percent(sparsity, 0)} left out`)],
      rows: Object.entries(policies).flatMap(([policy, policyName]) =>
        Object.entries(schemes).map(([scheme, schemeName]) => [
          policyName,
          schemeName,
          ...run.sparsities.map((sparsity) => {
            const own = found(name, partOf(scheme, policy, sparsity));
            return own ? rise(own) : '';
          }),
        ]),
      ),
    }),
  );
  const agreement = markdownTable({
    title: 'What the predictor finds of the neurons that the oracle keeps, equal shares: recall (precision)',
    head: ['model', ...run.sparsities.map((sparsity) => `${percent(sparsity, 0)} left out`)],
    rows: done.map(([name, { title }]) => [
      title,
      ...run.sparsities.map((sparsity) => {
        const own = found(name, partOf('predictor', 'share', sparsity));
        return own ? `${percent(own.recall)} (${percent(own.precision)})` : '';
      }),
    ]),
  });
  const profiles = markdownTable({
    title: 'Share that layers leave out at 70 % of all: the least and the most',
    head: ['model', ...Object.values(policies)],
    rows: done.map(([name, { title }]) => [
      title,
      ...Object.keys(policies).map((policy) => {
        const { shares } = found(name, partOf('oracle', policy, 0.7));
        return `${percent(Math.min(...shares))} to ${percent(Math.max(...shares))}`;
      }),
    ]),
  });
  const distances = (name) => found(name, 'history').overlaps.map((_, at) => run.prompt + bucket * (at + 0.5));
  const charts = {
    'pitfalls-layers': lineChart({
      title: 'Left out by layer at 70 % of all',
      x: 'layer',
      y: 'share left out',
      see: 'Solid: one threshold for all layers. Dashed: the same error in every layer.',
      lines: done.flatMap(([name, { title }], color) =>
        ['threshold', 'cett'].map((policy) => ({
          ...{ name: title, color, dashed: policy === 'cett', inLegend: policy === 'threshold' },
          points: found(name, partOf('oracle', policy, 0.7)).shares.map((share, layer) => [layer, share]),
        })),
      ),
      yDomain: [0, 1],
    }),
    'pitfalls-history': lineChart({
      title: "Of a token's own neurons, known before",
      x: 'position',
      y: 'share',
      see: "Solid: among the best half of the prompt's. Dashed: active for the token before.",
      lines: done.flatMap(([name, { title }], color) =>
        ['prompt', 'before'].map((which) => ({
          ...{ name: title, color, dashed: which === 'before', inLegend: which === 'prompt' },
          points: found(name, 'history').overlaps.map((overlap, at) => [distances(name)[at], overlap[which]]),
        })),
      ),
      yDomain: [0, 1],
    }),
  };
  for (const [name, svg] of Object.entries(charts)) writeFileSync(join(docs, `${name}.svg`), `${svg}\n`);
  writeFileSync(
    join(docs, 'pitfalls.csv'),
    csv(
      ['model', 'scheme', 'policy', 'sparsity', 'perplexity', 'dense', 'zeros', 'recall', 'precision', 'shares'],
      done.flatMap(([name]) =>
        cells.flatMap(({ scheme, policy, sparsity }) => {
          const own = found(name, partOf(scheme, policy, sparsity));
          if (own === undefined) return [];
          const { perplexity, dense, zeros, recall, precision, shares } = own;
          const byLayer = shares.map((share) => share.toFixed(4)).join(' ');
          return [[name, scheme, policy, sparsity, perplexity, dense, zeros, recall, precision, byLayer]];
        }),
      ),
    ),
  );
  const marks = {
    start: '<!-- results: written by node tools/experiments/pitfalls.mjs -->',
    end: '<!-- end of results -->',
    title: 'Pitfalls of choosing neurons',
  };
  writeResults(join(docs, 'pitfalls.md'), marks, [
    ...tables,
    agreement,
    profiles,
    '![Left out by layer](pitfalls-layers.svg)',
    "![Of a token's own neurons, known before](pitfalls-history.svg)",
  ]);
}

if (!reportOnly) await measureAll();
report();
