// What was measured -> Markdown: the targets first, then each group, then how and what is not fair.
// Owns the words and the reading of bars. Does not own the plot (plot.mjs) or the files (run.mjs).
import { bars } from './plan.mjs';
import { root } from './relufy-packages.mjs';
import { median, ratios, spread } from './statistics.mjs';

/**
 * @typedef {object} Report
 * @property {ReturnType<import('./machine.mjs').describeMachine>} machine
 * @property {import('./turns.mjs').Sizes & { threads: number, contextLength: number }} sizes
 * @property {import('./answers.mjs').Comparison[]} answers
 * @property {import('./turns.mjs').GroupResult[]} groups
 * @property {BarResult[]} bars
 * @property {boolean} quick
 *
 * @typedef {import('./plan.mjs').Bar & { value?: number, spread?: number, reason?: string, busy?: boolean }} BarResult
 */

/** Shares of the machine that other processes used: worth a warning, and too much to judge by. */
const [disturbed, tooBusy] = [0.03, 0.15];

/** @param {import('./turns.mjs').GroupResult[]} groups @returns {BarResult[]} */
export function readBars(groups, asked = bars) {
  return asked.map((bar) => {
    const outcome = groups.find(({ group }) => group.id === bar.group);
    if (!outcome) return { ...bar, reason: 'not run' };
    for (const name of [bar.ours, bar.theirs])
      if (name !== undefined && !outcome.results.some((result) => result.name === name))
        return { ...bar, reason: outcome.left.find((left) => left.name === name)?.reason ?? `no ${name}` };
    const of = (name) => outcome.results.find((result) => result.name === name);
    const values =
      bar.metric === 'worstTime' ? [worstTime(outcome, of(bar.ours))] : valuesOf(bar, of(bar.ours), of(bar.theirs));
    if (values.length === 0) return { ...bar, reason: 'not measured' };
    const busy = outcome.otherCpu > tooBusy;
    return { ...bar, value: median(values), spread: values.length > 1 ? spread(values) : undefined, busy };
  });
}

/** Over the densities of a backend: the largest of the median ratios to the dense time. */
function worstTime({ results }, dense) {
  const [backend] = dense.name.split(' ');
  const own = results.filter((result) => result !== dense && result.name.startsWith(`${backend} `));
  return Math.max(...own.map(({ samples }) => median(ratios(dense.samples.decode, samples.decode))));
}

function valuesOf({ metric }, ours, theirs) {
  switch (metric) {
    case 'start':
      return [ours.startMs];
    case 'bandwidth':
      return ours.samples.bandwidth;
    case 'bytesTime': {
      const bytes = ours.bytesPerToken / theirs.bytesPerToken;
      return ratios(theirs.samples.decode, ours.samples.decode).map((time) => time / bytes);
    }
    default:
      return ratios(ours.samples[metric], theirs.samples[metric]);
  }
}

const isTime = ({ metric }) => metric === 'start' || metric === 'bytesTime' || metric === 'worstTime';

/** @param {BarResult} bar */
export function verdict(bar) {
  if (bar.value === undefined) return `left out: ${clean(bar.reason)}`;
  if (bar.busy) return 'machine busy: not judged';
  const meets = (goal) => (isTime(bar) ? bar.value <= goal : bar.value >= goal);
  if (bar.stretch !== undefined && meets(bar.stretch)) return 'stretch met';
  return meets(bar.goal) ? 'met' : 'not met';
}

/** No paths of this machine. */
const clean = (text) => String(text).replaceAll(root, '');

const percent = (share) => (share === undefined ? '' : `${(100 * share).toFixed(0)} %`);
const megabytes = (bytes) => (bytes === undefined ? '' : (bytes / 1e6).toFixed(0));

function format(bar, value) {
  if (value === undefined) return '';
  if (bar.metric === 'start') return value.toFixed(0);
  return bar.metric === 'bandwidth' ? percent(value) : value.toFixed(2);
}

/** @param {Report} report @param {string} plot file name */
export function toMarkdown({ machine, sizes, answers, groups, bars: read, quick }, plot) {
  const { date, commit, cpu, cores, memoryGiB, platform, node, load } = machine;
  const lines = [
    '# Relufy against its rivals',
    '',
    `${date}, commit ${commit}, ${cpu} (${cores} cores, ${memoryGiB} GiB), ${platform}, Node ${node}, load ${load} at the beginning.`,
    `${sizes.threads} threads each; ${sizes.rounds} rounds after ${sizes.warmups} of warm-up, engines interleaved; decoding of ${sizes.decode} given tokens after a prompt of 16; prefill of ${sizes.prefill}; context ${sizes.contextLength}. Medians; spread is (90th - 10th percentile) / median; ratios are medians of the ratios of each round.`,
    ...(quick ? ['', '**A quick run for debugging: its numbers mean nothing.**'] : []),
    ...groups
      .filter(({ otherCpu }) => otherCpu > disturbed)
      .map(
        ({ group, otherCpu }) =>
          `\n**Other processes used ${percent(otherCpu)} of the machine during "${group.title}".**`,
      ),
    '',
    `![Decoded tokens a second](${plot})`,
    '',
    '## Targets',
    '',
    ...table(
      ['what', 'measured', 'spread', 'at least', 'stretch', ''],
      read
        .filter((bar) => groups.some(({ group }) => group.id === bar.group))
        .map((bar) => [
          bar.what,
          format(bar, bar.value),
          percent(bar.spread),
          (isTime(bar) ? '<= ' : '') + format(bar, bar.goal),
          format(bar, bar.stretch),
          verdict(bar),
        ]),
    ),
    '',
    '## Answers checked before speed is counted',
    '',
    ...answers.map(({ what, same, found }) => `- ${what}: ${same ? 'the same' : 'NOT THE SAME'}; ${clean(found)}.`),
    ...groups.flatMap(({ group, results }) =>
      results.filter(({ checked }) => checked).map(({ name, checked }) => `- ${group.title}: ${name} ${checked}.`),
    ),
    ...groups.flatMap(groupLines),
    '',
    '## What is not fair, and why',
    '',
    '- llama.cpp has no ReLU for llama: it runs the weights under SiLU. Bytes and work are those of our dense rows; its text is not that of our sparse rows.',
    '- The synthetic weights are random: the sparsity is made, not learned, and says nothing of quality.',
    '- The head is the embedding (tied), so that both sides read it in the format named; files in the wild keep it at more bits.',
    '- Keys and values: f32 with us, f16 with llama.cpp; at these lengths it is under 1 % of what is read.',
    '- llama.cpp is timed through node-llama-cpp and its prebuilt binary, a few hundredths of a millisecond a token above the library; we are timed through our JavaScript API.',
    '- Load and memory: llama.cpp maps its file and repacks some weights into a copy; mapped pages count as resident.',
    '',
    '## Versions and defaults',
    '',
    ...facts(groups),
  ];
  return `${lines.join('\n')}\n`;
}

/** Beside busy loops: how long a token takes in the middle and at worst, and what two threads are worth. */
function busyTable(results) {
  const one = (name) => results.find((other) => other.name === name.replace('2 threads', '1 thread'));
  const rows = results.map((result) => {
    const { name, samples } = result;
    if (samples.decode.length === 0) return [name, '', '', '', '', '', ''];
    const sorted = [...samples.tokenMs].sort((a, b) => a - b);
    const [middle, worst] = [0.5, 0.99].map((share) => sorted[Math.floor(share * (sorted.length - 1))]);
    const alone = one(name);
    const overOne = alone && alone !== result ? median(ratios(samples.decode, alone.samples.decode)).toFixed(2) : '';
    const cells = [
      median(samples.decode).toFixed(1),
      percent(spread(samples.decode)),
      middle.toFixed(1),
      worst.toFixed(1),
    ];
    return [name, ...cells, (worst / middle).toFixed(1), overOne];
  });
  return table(['', 'decode tokens/s', 'spread', 'median ms', 'p99 ms', 'p99 / median', 'over one thread'], rows);
}

const groupLines = (outcome) => (outcome.group.loops === undefined ? plainLines(outcome) : besideLoopsLines(outcome));

function besideLoopsLines({ group, results, left }) {
  const rows = results.length > 0 ? busyTable(results) : ['Nothing ran.'];
  return ['', `## ${group.title}`, '', group.note, '', ...rows, ...leftLines(left)];
}

const leftLines = (left) =>
  left.length > 0 ? ['', ...left.map(({ name, reason }) => `- ${name}: left out: ${clean(reason)}`)] : [];

function plainLines({ group, results, left, streaming }) {
  const rows = results.map((result) => {
    const { samples, bytesPerToken, density } = result;
    const cell = (values, digits) => (values.length === 0 ? '' : median(values).toFixed(digits));
    return [
      result.name,
      cell(samples.decode, 1),
      samples.decode.length === 0 ? '' : percent(spread(samples.decode)),
      megabytes(bytesPerToken),
      density?.some((share) => share < 1) ? percentOne(average(density)) : '',
      samples.bandwidth.length === 0 ? '' : percent(median(samples.bandwidth)),
      cell(samples.prefill, 0),
      samples.prefill.length === 0 ? '' : percent(spread(samples.prefill)),
      cell(samples.first, 0),
      (result.loadMs / 1000).toFixed(2),
      (result.startMs / 1000).toFixed(2),
      megabytes(result.peakBytes),
    ];
  });
  const columns = ['', 'decode tokens/s', 'spread', 'MB/token', 'active', '% of peak', 'prefill tokens/s', 'spread'];
  columns.push('first token ms', 'load s', 'start to first token s', 'peak MB');
  const bandwidth = Object.entries(streaming).map(
    ([backend, values]) => `${backend} ${median(values).toFixed(1)} GB/s (spread ${percent(spread(values))})`,
  );
  const idlers = results.filter(({ idleCpu }) => idleCpu > 0.03);
  return [
    '',
    `## ${group.title}`,
    '',
    group.note,
    `Peak read bandwidth: ${bandwidth.join(', ') || 'not measured'}.`,
    ...idlers.map(({ name, idleCpu }) => `${name} kept ${idleCpu.toFixed(2)} processors busy while others ran.`),
    '',
    ...(rows.length > 0 ? table(columns, rows) : ['Nothing ran.']),
    ...leftLines(left),
  ];
}

const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const percentOne = (share) => `${(100 * share).toFixed(1)} %`;

function facts(groups) {
  const seen = new Map();
  for (const { results } of groups)
    for (const { description, facts: known } of results) {
      const text = Object.entries(known).map(([key, value]) => `${key} ${value}`);
      seen.set(description, `- ${description}${text.length > 0 ? `; ${text.join('; ')}` : ''}`);
    }
  return [...seen.values()];
}

function table(columns, rows) {
  const cells = [columns, ...rows];
  const widths = columns.map((_, column) => Math.max(3, ...cells.map((row) => row[column].length)));
  const pad = (row) =>
    `| ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} |`;
  const rule = `|${widths.map((width, i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  const [header, ...body] = cells.map(pad);
  return [header, rule, ...body];
}
