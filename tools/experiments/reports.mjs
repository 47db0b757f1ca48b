// The experiments as tables and charts. Owns which numbers are shown and how they are worded. Does not own reading
// results (results.mjs), several seeds (seeds-report.mjs), drawing (@relufy/charts) or files (report.mjs).
import { barChart, lineChart } from '@relufy/charts';
import { criterionText } from '@relufy/sparsity';
import { percent } from '../measuring/pages.mjs';
import { deadShare, densityAt, finalLoss, validationLoss } from './results.mjs';
import { seeds } from './seeds-report.mjs';

/**
 * @typedef {import('./results.mjs').Result} Result
 * @typedef {{ title?: string, head: readonly string[], rows: readonly (readonly string[])[], note?: string }} Table
 * @typedef {{ title: string, svg: string }} Chart
 * @typedef {{ title: string, tables: readonly Table[], charts: ReadonlyMap<string, Chart> }} Report
 */

const mega = (value) => `${(value / 1e6).toFixed(3)} M`;

/** @param {string} title @param {object} options @returns {Chart} */
const lines = (title, options) => ({ title, svg: lineChart({ title, ...options }) });

const lossOverTokens = 'Lower is better. One seed each: a difference of 0.01 says nothing.';

/**
 * The losses of several runs, held out, over tokens; those that begin with a trained model from step 0 on. Drawn weights
 * begin at that of guessing, beside which nothing else could be told apart: the table says it.
 * @param {readonly Result[]} results
 */
function lossCurves(results) {
  const drawn = results.map(({ run, metrics, lossBefore }) => ({
    name: run.name,
    points: [
      ...(run.from !== undefined && lossBefore !== undefined ? [[0, lossBefore]] : []),
      ...metrics.flatMap(({ tokens, validationLoss: loss }) => (loss === undefined ? [] : [[tokens / 1e6, loss]])),
    ],
  }));
  return lines('Held-out loss', {
    x: 'tokens, millions',
    y: 'loss',
    see: lossOverTokens,
    lines: drawn,
    yDomain: rangeOf(drawn),
  });
}

/** Of all points of some lines, along x (0) or y (1), with room. */
function rangeOf(drawn, axis = 1) {
  const values = drawn.flatMap(({ points }) => points.map((point) => point[axis]));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = 0.1 * (high - low) || 0.1;
  return [low - room, high + room];
}

/** @param {readonly Result[]} results @returns {Report} */
function activations(results) {
  const points = results.map(({ run, measured }) => ({
    name: run.name,
    dots: true,
    points: [[densityAt(measured, 'down'), Math.log(measured.perplexity)]],
  }));
  const searched = results.flatMap(({ run, measured: { cettPpl } }) =>
    cettPpl
      ? [{ name: run.name, dots: true, points: [[1 - cettPpl.sparsity, Math.log(cettPpl.densePerplexity)]] }]
      : [],
  );
  return {
    title: 'Activations from scratch',
    tables: [
      {
        head: [
          'run',
          'training loss',
          'held-out loss',
          'perplexity',
          'active FFN neurons',
          'active means',
          'active FFN neurons at +1 % perplexity',
        ],
        rows: results.map((result) => {
          const { run, measured } = result;
          return [
            run.name,
            finalLoss(result).toFixed(3),
            (validationLoss(result) ?? Number.NaN).toFixed(3),
            measured.perplexity.toFixed(2),
            percent(densityAt(measured, 'down')),
            criterionText(measured.criterion),
            measured.cettPpl ? percent(1 - measured.cettPpl.sparsity) : '',
          ];
        }),
      },
    ],
    charts: new Map([
      [
        'loss-density',
        lines('Loss against density', {
          x: 'active FFN neurons',
          y: 'held-out loss',
          see: 'Left and low is best: few active neurons at a small loss.',
          lines: points,
          xDomain: [0, 1],
          yDomain: rangeOf(points),
        }),
      ],
      [
        'loss-density-ppl',
        lines('Loss against density at +1 % perplexity', {
          x: 'active FFN neurons',
          y: 'held-out loss',
          see: 'The smallest neurons are left out until perplexity is 1 % higher.',
          lines: searched,
          xDomain: [0, 1],
          yDomain: rangeOf(searched),
        }),
      ],
      ['loss', lossCurves(results)],
      [
        'layers',
        lines('Active neurons by layer', {
          x: 'layer',
          y: 'active FFN neurons',
          see: 'The lower, the less of the layer is read.',
          lines: results.map(({ run, measured }) => ({
            name: run.name,
            points: measured.layers.map(({ layer, use }) => [layer, use.density]),
          })),
        }),
      ],
    ]),
  };
}

/** @param {readonly Result[]} results @returns {Report} */
function helu(results) {
  return {
    title: 'HeLU against ReLU',
    tables: [
      {
        head: [
          'run',
          'alpha',
          'training loss',
          'held-out loss',
          'perplexity',
          'active FFN neurons',
          'never active',
          'active in less than 0.1 % of tokens',
        ],
        rows: results.map((result) => {
          const { run, measured } = result;
          const rare =
            measured.layers.reduce((sum, { use }) => sum + use.rare / use.neurons, 0) / measured.layers.length;
          return [
            run.name,
            String(run.config.heluAlpha ?? 0),
            finalLoss(result).toFixed(3),
            (validationLoss(result) ?? Number.NaN).toFixed(3),
            measured.perplexity.toFixed(2),
            percent(densityAt(measured, 'down')),
            percent(deadShare(measured)),
            percent(rare),
          ];
        }),
      },
    ],
    charts: new Map([
      ['loss', lossCurves(results)],
      [
        'density',
        lines('Active neurons in training', {
          x: 'tokens, millions',
          y: 'active FFN neurons',
          see: 'Mean of the layers. The lower, the less is read.',
          lines: results.map(({ run, metrics }) => ({
            name: run.name,
            points: metrics.map(({ tokens, density }) => [
              tokens / 1e6,
              density.reduce((sum, share) => sum + share, 0) / density.length,
            ]),
          })),
        }),
      ],
      [
        'dead',
        {
          title: 'Never active neurons by layer',
          svg: barChart({
            title: 'Never active neurons by layer',
            x: 'layer',
            y: 'FFN neurons',
            see: 'No token of the held-out text activated these. A 0 is measured.',
            labels: results[0].measured.layers.map(({ layer }) => String(layer)),
            series: results.map(({ run, measured }) => ({
              name: run.name,
              bars: measured.layers.map(({ use }) => ({ value: use.dead / use.neurons })),
            })),
          }),
        },
      ],
    ]),
  };
}

/** [density, perplexity] of a model without and with each bar, ascending in density. @param {Result} result */
function barPoints({ measured, bars }) {
  return [measured, ...bars.map((entry) => entry.measured)]
    .map((each) => [densityAt(each, 'down'), each.perplexity])
    .sort(([a], [b]) => a - b);
}

/** Where a line of [density, perplexity], falling in perplexity, has a perplexity; undefined outside of it. */
function densityFor(points, perplexity) {
  for (const [i, [density, value]] of points.entries()) {
    const [before, valueBefore] = points[i - 1] ?? [density, value];
    if (i > 0 && (valueBefore - perplexity) * (value - perplexity) <= 0)
      return before + ((density - before) * (valueBefore - perplexity)) / (valueBefore - value || 1);
  }
  return undefined;
}

/** @param {readonly Result[]} results @returns {Report} */
function prosparse(results) {
  const tuned = results.filter(({ run }) => run.bars.length > 0);
  const plain = tuned.find(({ run }) => run.config.l1 === undefined);
  const reference = plain && barPoints(plain);
  const drawn = tuned.map((result) => ({ name: result.run.name, dots: true, points: barPoints(result) }));
  return {
    title: 'ProSparse against plain continued training',
    tables: [
      {
        head: [
          'run',
          'largest lambda',
          'FATReLU bar',
          'active FFN neurons',
          'perplexity',
          'plain training has that perplexity at',
        ],
        rows: results.flatMap(({ run, measured, bars }) =>
          [{ bar: 0, measured }, ...bars].map(({ bar, measured: each }) => {
            const penalty = /** @type {{ lambda: number }[] | undefined} */ (run.config.l1);
            const equal = penalty && reference && densityFor(reference, each.perplexity);
            return [
              run.name,
              penalty ? String(penalty.at(-1)?.lambda) : '',
              bar === 0 ? '' : String(bar),
              run.bars.length > 0 ? percent(densityAt(each, 'down')) : '',
              each.perplexity.toFixed(2),
              penalty ? (equal === undefined ? 'none measured' : percent(equal)) : '',
            ];
          }),
        ),
      },
    ],
    charts: new Map([
      [
        'density',
        lines('Density and perplexity', {
          x: 'active FFN neurons',
          y: 'perplexity',
          see: 'Left and low is best. Along a line the FATReLU bar rises to the left.',
          lines: drawn,
          yDomain: rangeOf(drawn),
        }),
      ],
      ['loss', lossCurves(tuned)],
    ]),
  };
}

const stages = { '': 'base', on: 'base, trained on', 'stage-1': 'stage 1', 'stage-2': 'stage 2', shifted: 'shifted' };

/** @param {string} family @param {import('./plan.mjs').Run} run @param {Result | undefined} result */
function familyRow(family, run, result) {
  const label = stages[run.name.replace(new RegExp(`^(${family}|beta-1)-?`), '')] ?? run.name;
  if (result === undefined) return [label, '', 'not run yet', ...siteHeads.map(() => ''), '', ''];
  const { measured, relufied } = result;
  // a base model has no zeros to skip, whatever is small in it
  const skips = ['relu', 'relu2', 'fatrelu'].includes(measured.activation);
  const macs = skips ? measured.macs.measured : measured.macs.dense;
  return [
    label,
    relufied ? relufied.perplexity.toFixed(2) : '',
    measured.perplexity.toFixed(2),
    ...['qkv', 'down', 'upGate'].map((site) => percent(skips ? densityAt(measured, site) : 1)),
    mega(macs.blocks),
    mega(macs.withHead),
  ];
}

/** Shares that are not zero: what the sites qkv, down and upGate of a measurement are to a reader. */
const siteHeads = ['attention inputs', 'active FFN neurons', 'FFN inputs'];

/** @param {{ name: string }} run */
const familyOf = ({ name }) => (name.startsWith('falcon') ? 'falcon' : name.startsWith('opt') ? 'opt' : 'llama');

/** What pre-activations of a base model say, and what came of it. @param {readonly Result[]} results */
function predictions(results) {
  return results.flatMap(({ run, measured }) => {
    const base = results.find((result) => result.run.name === run.from);
    if (base === undefined || run.relufy?.stage !== 1 || run.relufy.shift !== undefined) return [];
    const { layers } = base.measured;
    const positive = layers.reduce((sum, { preActivation }) => sum + 1 - preActivation.notPositive, 0) / layers.length;
    return [[run.name, percent(positive), percent(densityAt(measured, 'down'))]];
  });
}

/** @param {readonly Result[]} results @param {readonly import('./plan.mjs').Run[]} runs also those not done @returns {Report} */
function relufication(results, runs) {
  const tables = ['llama', 'falcon', 'opt'].flatMap((family) => {
    const members = runs.filter((run) => familyOf(run) === family);
    const resultOf = (run) => results.find((result) => result.run === run);
    const head = ['model', 'before fine-tuning', 'perplexity', ...siteHeads, 'MACs, blocks', 'with head'];
    if (!members.some(resultOf)) return [];
    return [{ title: family, head, rows: members.map((run) => familyRow(family, run, resultOf(run))) }];
  });
  const drawn = results.flatMap(({ run, measured: { macs, perplexity } }) =>
    run.relufy
      ? [{ name: run.name, dots: true, points: [[macs.measured.withHead / macs.dense.withHead, perplexity]] }]
      : [],
  );
  const predicted = predictions(results);
  return {
    title: 'Relufication of three families',
    tables: [
      ...tables,
      ...(predicted.length > 0
        ? [
            {
              title: 'Active FFN neurons',
              head: ['run', "predicted from the base model's pre-activations", 'after fine-tuning'],
              rows: predicted,
            },
          ]
        : []),
    ],
    charts: new Map(
      drawn.length > 0
        ? [
            [
              'macs',
              lines('Perplexity and work', {
                x: 'MACs a token, of the dense model',
                y: 'perplexity',
                see: 'Left and low is best: less work at a small perplexity.',
                lines: drawn,
                xDomain: rangeOf(drawn, 0),
                yDomain: rangeOf(drawn),
              }),
            ],
          ]
        : [],
    ),
  };
}

export const reports = { activations, helu, prosparse, relufication, seeds };
