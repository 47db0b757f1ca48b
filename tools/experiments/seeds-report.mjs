// The main runs over several seeds: means, spreads, and which differences are larger than what another seed changes. Owns which
// pairs are compared. Does not own reading results (results.mjs) nor files (report.mjs).
import { lineChart } from '@relufy/charts';
import { percent } from '../measuring/pages.mjs';
import { densityAt } from './results.mjs';

/** @typedef {import('./results.mjs').Result} Result */

/** What is compared with what, of the same seed. */
const pairs = [
  ['relu', 'beta-1'],
  ['helu-0.05', 'relu'],
  ['llama-stage-1', 'beta-1'],
  ['llama-stage-2', 'llama-stage-1'],
  ['prosparse-weak', 'llama-stage-1'],
];

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
/** Of a sample, over n - 1. */
const deviation = (values) =>
  Math.sqrt(values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0) / (values.length - 1));
const signed = (value, digits) => `${value >= 0 ? '+' : ''}${value.toFixed(digits)}`;

/** A mean and what seeds change, told with so many digits. */
const told = (values, say) =>
  values.length === 1 ? say(values[0]) : `${say(mean(values))} ± ${say(deviation(values))}`;

/** @param {readonly Result[]} results @returns {import('./reports.mjs').Report} */
export function seeds(results) {
  const byRun = new Map();
  for (const result of results) {
    const { run, number } = result.run.seed ?? { run: result.run.name, number: 1 };
    const own = byRun.get(run) ?? new Map();
    byRun.set(run, own.set(number, result));
  }
  const numbers = [...new Set([...byRun.values()].flatMap((own) => [...own.keys()]))].sort((a, b) => a - b);
  const perplexityOf = (result) => result.measured.perplexity;
  const density = (result) => densityAt(result.measured, 'down');
  const isSparse = ({ measured }) => ['relu', 'relu2', 'fatrelu'].includes(measured.activation);
  const rows = [...byRun].map(([name, own]) => {
    const all = [...own.values()];
    return [
      name,
      ...numbers.map((number) => (own.has(number) ? perplexityOf(own.get(number)).toFixed(2) : '')),
      told(all.map(perplexityOf), (value) => value.toFixed(2)),
      isSparse(all[0]) ? told(all.map(density), (value) => percent(value)) : '',
    ];
  });
  const compared = pairs.flatMap(([one, other]) => {
    const [own, base] = [byRun.get(one), byRun.get(other)];
    const shared = numbers.filter((number) => own?.has(number) && base?.has(number));
    if (shared.length < 2) return [];
    const changes = shared.map((number) => 100 * (perplexityOf(own.get(number)) / perplexityOf(base.get(number)) - 1));
    const spread = Math.max(...[own, base].map((runs) => spreadOf([...runs.values()].map(perplexityOf))));
    const isSame = changes.every((change) => Math.sign(change) === Math.sign(changes[0]));
    const verdict = !isSame
      ? 'no: seeds disagree about its sign'
      : Math.abs(mean(changes)) > spread
        ? 'yes, in every seed'
        : 'its sign in every seed, its size within what a seed changes';
    return [
      [
        `${one} against ${other}`,
        ...numbers.map((number) => (shared.includes(number) ? `${signed(changes[shared.indexOf(number)], 1)} %` : '')),
        `${signed(mean(changes), 1)} %`,
        `${spread.toFixed(1)} %`,
        verdict,
      ],
    ];
  });
  return {
    title: 'The main runs over seeds',
    tables: [
      {
        head: ['run', ...numbers.map((number) => `seed ${number}`), 'perplexity', 'active FFN neurons'],
        rows,
        note: 'Mean ± standard deviation of a seed.',
      },
      ...(compared.length > 0
        ? [
            {
              title: 'Changes of perplexity within a seed',
              head: [
                'runs',
                ...numbers.map((number) => `seed ${number}`),
                'mean',
                'seeds are apart by',
                'larger than that',
              ],
              rows: compared,
            },
          ]
        : []),
    ],
    charts: new Map([
      [
        'perplexity',
        {
          title: 'Perplexity and density of every seed',
          svg: lineChart({
            title: 'Perplexity and density of every seed',
            x: 'active FFN neurons',
            y: 'perplexity',
            see: 'A point is a seed. Left and low is best; a dense model stands at 1.',
            lines: [...byRun].map(([name, own]) => ({
              name,
              dots: true,
              points: [...own.values()].map((result) => [isSparse(result) ? density(result) : 1, perplexityOf(result)]),
            })),
            xDomain: [0, 1],
            yDomain: rangeOf(results.map(perplexityOf)),
          }),
        },
      ],
    ]),
  };
}

/** Largest over smallest, in percent. */
const spreadOf = (values) => 100 * (Math.max(...values) / Math.min(...values) - 1);

function rangeOf(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = 0.1 * (high - low) || 0.1;
  return [low - room, high + room];
}
