// Three tests of an activation (ReLU^2 Wins, arXiv 2402.03804, by methods that it names): what sparsity costs, how well active
// neurons can be foretold, and how far neurons are used again and together. Writes docs/experiments/three-tests.md.
//
//   node tools/experiments/three-tests.mjs [--runs FOLDER] [--models NAME,...] [--threads N] [--report]
//
// Models are those that three-tests.yaml lists and that are there. Does not own training (run.mjs) nor predictors (@relufy/predictor).
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lineChart } from '@relufy/charts';
import { fitPredictors, predictorTotals } from '@relufy/predictor';
import { csv } from '@relufy/sparsity';
import { markdownTable, percent, writeResults } from '../measuring/pages.mjs';
import { root } from '../measuring/texts.mjs';
import { CoActivation } from './co-activation.mjs';
import { Neurons } from './neurons.mjs';
import { openExperiment } from './runs-folder.mjs';

const { run, lines, threads, reportOnly, modelsLeft } = openExperiment('three-tests');
/** What counts as active in the second and third test, for every activation alike. */
const common = run.active;

async function measureAll() {
  const parts = [...run.targets.map((target) => `cett ${target}`), 'together', 'predictor'];
  for await (const { name, model, calibration, scored, training } of modelsLeft((name) =>
    parts.every((part) => lines.known.has(`${name} ${part}`)),
  )) {
    await measureNeurons(name, model, calibration, scored);
    if (!lines.known.has(`${name} predictor`)) await measurePredictor(name, model, training);
  }
}

/** First test, and the sets of the third. */
async function measureNeurons(name, { source, dtype }, calibration, scored) {
  const wanted = [...run.targets.map((target) => `cett ${target}`), 'together'];
  if (wanted.every((part) => lines.known.has(`${name} ${part}`))) return;
  const neurons = await Neurons.open(source, { threads, dtype });
  try {
    const curves = neurons.curves();
    await neurons.perplexity(calibration, { hook: (layer, h) => curves[layer].add(h) });
    const dense = await neurons.perplexity(scored);
    const tokens = scored.reduce((sum, ids) => sum + ids.length, 0);
    for (const target of run.targets) {
      if (lines.known.has(`${name} cett ${target}`)) continue;
      const bars = curves.map((curve) => curve.thresholdFor(target).threshold);
      let active = 0;
      const hook = (layer, h) => {
        const norms = neurons.norms[layer];
        for (let i = 0; i < h.length; i++) {
          if (Math.abs(h[i]) * norms[i] < bars[layer]) h[i] = 0;
          if (h[i] !== 0) active++;
        }
      };
      const perplexity = await neurons.perplexity(scored, { hook });
      const sparsity = 1 - active / tokens / neurons.width / neurons.layers;
      keep({ model: name, part: `cett ${target}`, target, sparsity, perplexity, dense });
    }
    if (lines.known.has(`${name} together`)) return;
    const bars = curves.map((curve) => curve.thresholdFor(common).threshold);
    const sets = neurons.each(() => new CoActivation(neurons.width, tokens));
    const isActive = new Uint8Array(neurons.width);
    const hook = (layer, h, position) => {
      const norms = neurons.norms[layer];
      for (let i = 0; i < h.length; i++) isActive[i] = h[i] !== 0 && Math.abs(h[i]) * norms[i] >= bars[layer] ? 1 : 0;
      sets[layer].add(isActive, position === 0);
    };
    await neurons.perplexity(scored, { hook });
    const found = sets.map((own) => own.result());
    const mean = (key) => found.reduce((sum, own) => sum + own[key], 0) / found.length;
    const keys = ['next', 'partner', 'others', 'chance', 'fires'];
    keep({ model: name, part: 'together', ...Object.fromEntries(keys.map((key) => [key, mean(key)])), layers: found });
  } finally {
    await neurons.close();
  }
}

/** Second test: one and the same predictor, at the same share of proposed neurons. */
async function measurePredictor(name, { source, dtype = 'f32' }, ids) {
  const { predictor } = run;
  const made = await fitPredictors(source, [ids], { ...predictor, keepAll: true, load: { dtype, threads } });
  const { layers } = made;
  const recallAt = (share) => {
    const each = layers.map(({ curve }) => between(curve, share));
    return each.reduce((sum, recall) => sum + recall, 0) / each.length;
  };
  const { active, recall, proposed, precision } = predictorTotals(layers);
  const recalls = Object.fromEntries(run.proposed.map((share) => [share, recallAt(share)]));
  const proposedAt = layers.map(({ curve }) => curve.find((point) => point.recall === 0.95)?.proposed ?? 1);
  const at95 = proposedAt.reduce((sum, share) => sum + share, 0) / proposedAt.length;
  const { perplexity } = made.trial;
  keep({
    model: name,
    part: 'predictor',
    active,
    recall,
    proposed,
    precision,
    recalls,
    at95,
    perplexity,
    dense: made.densePerplexity,
  });
}

/** The recall of a layer at a share of proposed neurons; below the first point it falls to nothing with the share. */
function between(curve, share) {
  const points = [{ recall: 0, proposed: 0 }, ...curve, { recall: 1, proposed: 1 }];
  const after = points.findIndex(({ proposed }) => proposed >= share);
  if (after <= 0) return after === 0 ? 0 : 1;
  const [low, high] = [points[after - 1], points[after]];
  const width = high.proposed - low.proposed;
  return width <= 0 ? high.recall : low.recall + ((share - low.proposed) / width) * (high.recall - low.recall);
}

function keep(result) {
  lines.keep(result);
  const { model, part, sparsity, perplexity, recall, next } = result;
  const told = sparsity === undefined ? (recall ?? next) : sparsity;
  process.stdout.write(
    `${model} ${part}: ${percent(told)}${perplexity === undefined ? '' : `, ${perplexity.toFixed(2)}`}\n`,
  );
}

const rise = ({ perplexity, dense }) =>
  `${perplexity >= dense ? '+' : ''}${(100 * (perplexity / dense - 1)).toFixed(1)} %`;

function report() {
  const found = (name, part) => lines.known.get(`${name} ${part}`);
  const done = Object.entries(run.models).filter(([name]) => found(name, 'together'));
  if (done.length === 0) throw new Error('three-tests: expected measured models, got none.');
  const curveOf = (name) => run.targets.flatMap((target) => found(name, `cett ${target}`) ?? []);
  const titleOf = ([name, { title }]) => title ?? name;
  const docs = join(root, 'docs/experiments');
  const groups = [...new Set(done.map(([, { text }]) => text))];
  const charts = groups.map((group) => [
    `three-tests-${group}`,
    lineChart({
      title: run.texts[group].title,
      x: 'FFN neurons left out',
      y: 'perplexity over that of the model as it is',
      see: 'A point is an error that each layer may make. Right and low is best.',
      lines: done
        .filter(([, { text }]) => text === group)
        .map((entry) => ({
          name: titleOf(entry),
          dots: true,
          points: curveOf(entry[0])
            .filter(({ perplexity, dense }) => perplexity < 2 * dense)
            .map(({ sparsity, perplexity, dense }) => [sparsity, perplexity / dense]),
        })),
      xDomain: [0, 1],
      yDomain: [0.98, 1.5],
    }),
  ]);
  for (const [name, svg] of charts) writeFileSync(join(docs, `${name}.svg`), `${svg}\n`);
  const all = [...lines.known.values()];
  writeFileSync(
    join(docs, 'three-tests.csv'),
    csv(
      [
        'model',
        'part',
        'sparsity',
        'perplexity',
        'dense',
        'active',
        'recall',
        'proposed',
        'next',
        'partner',
        'others',
        'chance',
      ],
      all.map((one) => [
        ...[one.model, one.part, one.sparsity, one.perplexity, one.dense, one.active ?? one.fires, one.recall],
        ...[one.proposed, one.next, one.partner, one.others, one.chance],
      ]),
    ),
  );
  const cell = (result) => (result ? `${percent(result.sparsity)} (${rise(result)})` : '');
  const marks = {
    start: '<!-- results: written by node tools/experiments/three-tests.mjs -->',
    end: '<!-- end of results -->',
    title: 'Three tests of an activation',
  };
  writeResults(join(docs, 'three-tests.md'), marks, [
    markdownTable({
      title: 'Neurons left out at an error of the FFN output, and the rise of perplexity',
      head: ['model', 'perplexity', ...run.targets.map((target) => `CETT ${target}`)],
      rows: done.map((entry) => {
        const [name] = entry;
        const [first] = curveOf(name);
        return [
          titleOf(entry),
          first.dense.toFixed(2),
          ...run.targets.map((target) => cell(found(name, `cett ${target}`))),
        ];
      }),
    }),
    markdownTable({
      title: `Predictability: rank ${run.predictor.rank}, ${run.predictor.tokens} tokens`,
      head: [
        'model',
        'active',
        ...run.proposed.map((share) => `recall at ${percent(share, 0)} proposed`),
        'proposed at recall .95',
      ],
      rows: done.flatMap((entry) => {
        const own = found(entry[0], 'predictor');
        return own
          ? [
              [
                titleOf(entry),
                percent(own.active),
                ...run.proposed.map((share) => percent(own.recalls[share])),
                percent(own.at95),
              ],
            ]
          : [];
      }),
    }),
    markdownTable({
      title: `Used again and together, at CETT ${common}`,
      head: [
        'model',
        'active',
        'of a token, also of the one before',
        'over its share',
        'closest partner fires',
        'the others',
        'gap',
        'the busiest neuron',
      ],
      rows: done.map((entry) => {
        const { fires, next, partner, others, chance } = found(entry[0], 'together');
        const shares = [fires, next].map((share) => percent(share));
        return [
          titleOf(entry),
          ...shares,
          `${(next / fires).toFixed(2)}x`,
          ...[partner, others, partner - others, chance].map((share) => percent(share)),
        ];
      }),
    }),
    ...charts.map(([name]) => `![${name}](${name}.svg)`),
  ]);
}

if (!reportOnly) await measureAll();
report();
