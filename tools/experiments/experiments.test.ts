// The plan of the experiments, what is skipped and refused, and that pages keep their words while results change. Nothing
// is trained here.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Measurement } from '@relufy/sparsity';
import { parseRunConfig } from '@relufy/train';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { carryOut, jobsOf, places } from './jobs.mjs';
import { chosenRuns, parsePlan, readPlan } from './plan.mjs';
import { writeReports } from './report.mjs';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-experiments-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the plan', () => {
  const plan = readPlan();

  it.each(plan.runs.map((run) => [run.name, run] as const))('%s has a config that can be run', (_, run) => {
    const config = parseRunConfig(run.config, { folder });
    expect(config.out).toBe(join(folder, run.name));
    const last = config.l1.at(-1);
    if (last) expect(last.until).toBe(config.steps);
  });

  it('runs a base model before what begins with it', () => {
    const names = chosenRuns(plan, ['prosparse']).map(({ name }) => name);
    expect(names.slice(0, 2)).toEqual(['beta-1', 'llama-stage-1']);
    expect(names).not.toContain('falcon');
    expect(chosenRuns(plan, ['opt-stage-2']).map(({ name }) => name)).toEqual(['opt', 'opt-stage-2']);
    expect(new Set(chosenRuns(plan, []))).toEqual(new Set(plan.runs));
    expect(() => chosenRuns(plan, ['prosparce'])).toThrow(/expected some of activations, .*, got "prosparce"/);
  });

  it.each([
    ['{ from: b }', /runs.a": expected from to name a run above it, got b/],
    ['{ shape: gpt }', /expected a shape of llama, got gpt/],
    ['{ shape: llama, from: b }', /expected either shape or from/],
    ['{ shape: llama, step: 3 }', /expected keys of shape, .*, got step/],
  ])('refuses %s', (run, expected) => {
    const text = `{ shapes: { llama: {} }, scratch: {}, tuning: {}, runs: { a: ${run} }, experiments: {} }`;
    expect(() => parsePlan(text)).toThrow(expected);
  });
});

const text = `
shapes: { llama: { hidden_act: silu } }
scratch: { steps: 4 }
tuning: { steps: 2 }
runs:
  beta-1: { shape: llama }
  llama-stage-1: { from: beta-1, relufy: { stage: 1 }, bars: [0.1] }
experiments: { prosparse: [beta-1, llama-stage-1] }
text: {}
measure: { tokens: 10, window: 5 }`;

describe('other seeds', () => {
  const seeded = text.replace('experiments: {', 'seeds: [2, 3]\nexperiments: { seeds: [beta-1, llama-stage-1],');

  it('are runs of their own, which begin with runs of their seed', () => {
    const plan = parsePlan(seeded.replace('steps: 4', 'steps: 4, seed: 1').replace('steps: 2', 'steps: 2, seed: 2'));
    expect(plan.experiments.seeds).toEqual([
      ...['beta-1', 'llama-stage-1', 'beta-1-seed-2', 'llama-stage-1-seed-2', 'beta-1-seed-3', 'llama-stage-1-seed-3'],
    ]);
    const run = plan.runs.find(({ name }) => name === 'llama-stage-1-seed-3')!;
    expect(run).toMatchObject({ from: 'beta-1-seed-3', bars: [0.1], seed: { run: 'llama-stage-1', number: 3 } });
    expect(run.config).toMatchObject({ model: { from: 'beta-1-seed-3/model' }, seed: 22, out: 'llama-stage-1-seed-3' });
    expect(chosenRuns(plan, ['llama-stage-1-seed-2']).map(({ name }) => name)).toEqual([
      ...['beta-1-seed-2', 'llama-stage-1-seed-2'],
    ]);
    expect(() => parsePlan(seeded.replace('seeds: [beta-1, llama', 'seeds: [llama'))).toThrow(
      /experiments.seeds": expected beta-1, which llama-stage-1 begins with, got none/,
    );
  });

  it('are told with their spread, and whether a difference is larger than that', async () => {
    const plan = parsePlan(seeded);
    const docs = join(folder, 'docs');
    const perplexities = { 'beta-1': [10, 10.1, 10.2], 'llama-stage-1': [12, 12.1, 12.3] };
    for (const [run, values] of Object.entries(perplexities))
      for (const [at, perplexity] of values.entries()) {
        const name = at === 0 ? run : `${run}-seed-${at + 1}`;
        mkdirSync(join(folder, name, 'measured'), { recursive: true });
        writeFileSync(
          join(folder, name, places.metrics),
          JSON.stringify({ step: 2, tokens: 2e6, loss: 2, density: [0.4] }),
        );
        writeFileSync(
          join(folder, name, places.measured),
          JSON.stringify(measurement(0.3 + at / 100, perplexity, 'f32')),
        );
      }
    await writeReports(plan, folder, docs);
    // what results.csv says of a run is enough where its folder is elsewhere
    rmSync(join(folder, 'beta-1'), { recursive: true });
    await writeReports(plan, folder, docs);
    const page = readFileSync(join(docs, 'seeds.md'), 'utf8');
    expect(page).toMatch(/\| llama-stage-1 +\| 12.00 +\| 12.10 +\| 12.30 +\| 12.13 ± 0.15 +\| 31.0 % ± 1.0 % +\|/);
    expect(page).toMatch(
      /\| llama-stage-1 against beta-1 \| \+20.0 % \| \+19.8 % \| \+20.6 % \| \+20.1 % \| 2.5 % .* \| yes, in every seed/,
    );
  });

  it('leave pages and rows of runs that were made elsewhere as they are', async () => {
    const plan = parsePlan(seeded);
    const docs = join(folder, 'docs');
    mkdirSync(docs, { recursive: true });
    const page = '# Made elsewhere\n\n| run | perplexity |\n| llama-stage-1 | 9 |\n';
    writeFileSync(join(docs, 'prosparse.md'), page);
    mkdirSync(join(folder, 'beta-1/measured'), { recursive: true });
    writeFileSync(
      join(folder, 'beta-1', places.metrics),
      JSON.stringify({ step: 2, tokens: 2e6, loss: 2, density: [0.4] }),
    );
    writeFileSync(join(folder, 'beta-1', places.measured), JSON.stringify(measurement(0.4, 10, 'f32')));
    await writeReports(plan, folder, docs);
    expect(readFileSync(join(docs, 'prosparse.md'), 'utf8')).toBe(page);
    const [head] = readFileSync(join(docs, 'results.csv'), 'utf8').split('\n');
    writeFileSync(join(docs, 'results.csv'), `${head}\nbeta-1,old\nllama-stage-1,elsewhere\n`);
    await writeReports(plan, folder, docs);
    const rows = readFileSync(join(docs, 'results.csv'), 'utf8').trim().split('\n');
    expect(rows.map((row) => row.split(',').slice(0, 2).join())).toEqual([
      'run,from',
      'beta-1,',
      'llama-stage-1,elsewhere',
    ]);
  });
});

describe('jobs', () => {
  it('are done once, go on behind one that failed, and belong to one config', async () => {
    const plan = parsePlan(text);
    const run = plan.runs[1]!;
    const jobs = jobsOf(run, { folder, measure: plan.measure, training: [], ppl: false });
    expect(jobs.map(({ command }) => command[0])).toEqual(['measure', 'train', 'measure', 'relufy', 'measure']);
    const executed: string[] = [];
    let fails = true;
    const execute = async (command: readonly string[]) => {
      if (command[0] === 'train' && fails) throw new Error('killed');
      const { what, done } = jobs.find((job) => job.command === command)!;
      executed.push(what);
      mkdirSync(dirname(join(folder, run.name, done)), { recursive: true });
      writeFileSync(join(folder, run.name, done), '');
    };
    const options = { folder, execute, log: () => {} };
    await expect(carryOut(run, jobs, options)).rejects.toThrow('killed');
    expect(executed).toEqual(['right after relufication']);
    fails = false;
    await carryOut(run, jobs, options);
    await carryOut(run, jobs, options);
    expect(executed.slice(1)).toEqual(['training', 'measuring', 'bar 0.1', 'measuring with the bar 0.1']);
    const changed = { ...run, config: { ...run.config, steps: 3 } };
    await expect(carryOut(changed, jobs, options)).rejects.toThrow(/expected the config of runs.yaml/);
    await expect(carryOut({ ...run, name: 'other' }, jobs, { ...options, execute: async () => {} })).rejects.toThrow(
      /other, right after relufication: expected relufied\/measurement.json, got none/,
    );
  });
});

function measurement(density: number, perplexity: number, weights?: string): Measurement {
  const spread = { mean: density, deviation: 0, min: density, max: density };
  const macs = { blocks: 1e6, withHead: 2e6 };
  return {
    format: 1,
    model: 'made up',
    text: 'made up',
    tokens: 10,
    window: 5,
    criterion: { kind: 'nonzero', value: 0 },
    backend: 'reference',
    ...(weights !== undefined && { weights }),
    sparsity: 'exact',
    activation: 'relu',
    layers: [
      {
        layer: 0,
        density: { qkv: spread, o: spread, upGate: spread, down: spread },
        preActivation: { low: -1, high: 1, bins: [1], below: 0, above: 0, notPositive: 0.6 },
        use: {
          ...{ neurons: 10, density, dead: 1, rare: 2, alwaysOn: 0, hotShare80: 0.3, hotCurve: [0, 1] },
          ...{ aggregatedUnused: [0.5], randomUnused: [0.5], windowUnion: [0.5], reuseNext: 0.5 },
        },
      },
    ],
    series: [[density]],
    macs: { dense: macs, measured: { blocks: 6e5, withHead: 1.6e6 } },
    perplexity,
    unreadWeights: [0],
    decode: { tokens: 0, tokensPerSecond: 0, weightBytesPerToken: 0, denseWeightBytesPerToken: 0, density: {} },
  };
}

describe('pages', () => {
  it('of families have a row for a run that is not there yet', async () => {
    const plan = parsePlan(
      text.replace(
        'experiments: {',
        '  llama-on: { from: beta-1 }\nexperiments: { relufication: [beta-1, llama-on, llama-stage-1],',
      ),
    );
    const docs = join(folder, 'docs');
    for (const run of ['beta-1', 'llama-stage-1']) {
      mkdirSync(join(folder, run, 'measured'), { recursive: true });
      writeFileSync(
        join(folder, run, places.metrics),
        JSON.stringify({ step: 2, tokens: 2e6, loss: 2, density: [0.4] }),
      );
      writeFileSync(join(folder, run, places.measured), JSON.stringify(measurement(0.4, 10, 'f32')));
    }
    await writeReports(plan, folder, docs);
    const page = readFileSync(join(docs, 'relufication.md'), 'utf8');
    const rows = page.split('\n').filter((line) => /^\| (base|stage 1)/.test(line));
    expect(
      rows.map((row) =>
        row
          .split('|')
          .slice(1, 5)
          .map((cell) => cell.trim()),
      ),
    ).toEqual([
      ['base', '', '10.00', '40.0 %'],
      ['base, trained on', '', 'not run yet', ''],
      ['stage 1', '', '10.00', '40.0 %'],
    ]);
    expect(page).toContain('Not run yet: llama-on.');
  });

  it('say what was not run, keep their words, and compare at equal perplexity', async () => {
    const plan = parsePlan(
      text
        .replace(
          'experiments:',
          '  weak: { from: beta-1, bars: [0.1], changes: { l1: [{ lambda: 2 }] } }\nexperiments:',
        )
        .replace('llama-stage-1] }', 'llama-stage-1, weak] }'),
    );
    const docs = join(folder, 'docs');
    const put = (run: string, place: string, ...lines: unknown[]) => {
      mkdirSync(dirname(join(folder, run, place)), { recursive: true });
      writeFileSync(join(folder, run, place), lines.map((line) => JSON.stringify(line)).join('\n'));
    };
    const metrics = { step: 2, tokens: 2e6, loss: 2, validationLoss: 2.1, density: [0.4], tokensPerSecond: 100 };
    const finish = (run: string, points: [number, number][], weights?: string) => {
      put(run, places.metrics, { step: 0, tokens: 0, validationLoss: 3.3 }, metrics);
      points.forEach(([density, perplexity], i) => {
        put(run, i === 0 ? places.measured : places.bar(0.1), measurement(density, perplexity, weights));
      });
    };
    expect(await writeReports(plan, folder, docs)).toEqual([]);
    const plain: [number, number][] = [
      [0.4, 10],
      [0.2, 20],
    ];
    finish('llama-stage-1', plain, 'f32');
    const [page, numbers] = (await writeReports(plan, folder, docs)) as [string, string];
    const before = readFileSync(page, 'utf8');
    expect(before).toContain('Not run yet: beta-1, weak.');
    expect(before).toMatch(/\| llama-stage-1 +\| beta-1 +\| f32 +\| 2 +\| 2.00 M +\| 3.300 +\| 2.100 +\|\n/);
    const [head, whole, withBar] = readFileSync(numbers, 'utf8').split('\n') as [string, string, string];
    expect(numbers).toMatch(/results\.csv$/);
    expect(head).toMatch(/^run,from,weights,activation,steps,tokens,heldOutLossAtStep0,heldOutLoss,trainingLoss,/);
    expect(whole).toMatch(/^llama-stage-1,beta-1,f32,relu,2,2000000,3\.3,2\.1,2,,,10,h is not 0,0\.4,/);
    expect(withBar).toMatch(/^llama-stage-1,.*,,0\.1,20,h is not 0,0\.2,/);
    // how fast a busy machine was is no result
    expect(before).not.toMatch(/tokens\/s/);
    for (const file of before.match(/prosparse-\w+\.svg/g)!) expect(existsSync(join(docs, file))).toBe(true);
    writeFileSync(page, `${before}\nWhat it means.\n`);
    finish('weak', [
      [0.1, 15],
      [0.05, 30],
    ]);
    await writeReports(plan, folder, docs);
    const after = readFileSync(page, 'utf8');
    expect(after).toContain('Not run yet: beta-1.');
    // halfway between the two points of plain training
    expect(after).toMatch(/\| weak +\| 2 +\| +\| 10.0 % +\| 15.00 +\| 30.0 %/);
    expect(after).toMatch(/\| weak +\| 2 +\| 0.1 +\| 5.0 % +\| 30.00 +\| none measured/);
    expect(after).toMatch(/What it means\.\n$/);
    // a run of which the format is not known is not silently compared with one in f32
    expect(after).toMatch(/\| weak +\| beta-1 +\| not noted /);
    expect(after).toContain('Weights are in different formats');
    finish('weak', [[0.1, 15]], 'f32');
    await writeReports(plan, folder, docs);
    expect(readFileSync(page, 'utf8')).not.toContain('different formats');
    expect(readdirSync(docs).filter((name) => name.endsWith('.md'))).toEqual(['prosparse.md']);
    writeFileSync(page, 'no marks');
    await expect(writeReports(plan, folder, docs)).rejects.toThrow(/expected the marks around its results/);
  });
});
