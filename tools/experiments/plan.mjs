// From runs.yaml to what is to be done: each run's config as `relufy train` reads it, whose model it begins with, and how
// it is measured; the main runs with other seeds. Owns what may stand in runs.yaml. Does not own doing it (jobs.mjs).
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

/**
 * @typedef {object} Run
 * @property {string} name
 * @property {Record<string, unknown>} config as in a run's YAML file, paths relative to the folder of runs
 * @property {string | undefined} from the run whose model it begins with
 * @property {{ stage: number, shift?: number } | undefined} relufy
 * @property {number | undefined} threshold below it a neuron counts as not active; default: where it is 0
 * @property {readonly number[]} bars FATReLU thresholds that are tried on the model
 * @property {{ run: string, number: number } | undefined} seed of a run that is made again: which, and with which seed
 *
 * @typedef {object} Plan
 * @property {readonly Run[]} runs in the order in which they can be run
 * @property {Readonly<Record<string, readonly string[]>>} experiments
 * @property {{ kinds: readonly string[], vocabSize: number, heldOutCharacters: number }} text
 * @property {{ tokens: number, window: number }} measure
 */

const runKeys = new Set(['shape', 'activation', 'from', 'relufy', 'threshold', 'bars', 'changes']);

/** @param {string} text @returns {Plan} */
export function parsePlan(text) {
  const { runs: written, shapes, scratch, tuning, experiments: named, seeds = [], ...rest } = parse(text);
  const known = new Set();
  const once = Object.entries(written).map(([name, run]) => {
    const fail = (what) => {
      throw new Error(`runs.yaml "runs.${name}": ${what}`);
    };
    for (const key of Object.keys(run))
      if (!runKeys.has(key)) fail(`expected keys of ${[...runKeys].join(', ')}, got ${key}.`);
    const { shape, activation, from, relufy, threshold, bars = [], changes } = run;
    if ((shape === undefined) === (from === undefined)) fail('expected either shape or from.');
    if (from !== undefined && !known.has(from)) fail(`expected from to name a run above it, got ${from}.`);
    if (shape !== undefined && !shapes[shape])
      fail(`expected a shape of ${Object.keys(shapes).join(', ')}, got ${shape}.`);
    known.add(name);
    const model = from
      ? { from: `${from}/model`, ...(relufy && { relufy }) }
      : { config: { ...shapes[shape], ...activation }, tokenizer: 'tokenizer' };
    return {
      name,
      config: { model, ...(from ? tuning : scratch), ...changes, out: name },
      from,
      relufy,
      threshold,
      bars,
    };
  });
  for (const [name, members] of Object.entries(named))
    for (const member of members)
      if (!known.has(member))
        throw new Error(`runs.yaml "experiments.${name}": expected names of runs, got ${member}.`);
  const again = seeds.flatMap((number) => withSeed(once, new Set(named.seeds), number));
  const experiments = { ...named, ...(named.seeds && { seeds: [...named.seeds, ...again.map(({ name }) => name)] }) };
  return { runs: [...once, ...again], experiments, ...rest };
}

/** Runs made again with another seed, and with what they begin with. @param {readonly Run[]} runs */
function withSeed(runs, chosen, number) {
  const named = (name) => `${name}-seed-${number}`;
  return runs
    .filter(({ name }) => chosen.has(name))
    .map((run) => {
      const { name, from, config } = run;
      if (from !== undefined && !chosen.has(from))
        throw new Error(`runs.yaml "experiments.seeds": expected ${from}, which ${name} begins with, got none.`);
      const model = from === undefined ? config.model : { ...config.model, from: `${named(from)}/model` };
      const seed = config.seed + 10 * (number - 1);
      return {
        ...run,
        ...{ name: named(name), seed: { run: name, number } },
        ...(from !== undefined && { from: named(from) }),
        config: { ...config, model, seed, out: named(name) },
      };
    });
}

export const readPlan = () => parsePlan(readFileSync(new URL('runs.yaml', import.meta.url), 'utf8'));

/**
 * The runs of some experiments and what they begin with, experiment by experiment.
 * @param {Plan} plan @param {readonly string[]} names of experiments or runs; none: all @returns {readonly Run[]}
 */
export function chosenRuns({ runs, experiments }, names) {
  const byName = new Map(runs.map((run) => [run.name, run]));
  const chosen = new Set();
  const add = (name) => {
    const run = byName.get(name);
    if (run.from) add(run.from);
    chosen.add(run);
  };
  for (const name of names.length > 0 ? names : Object.keys(experiments)) {
    if (!experiments[name] && !byName.has(name))
      throw new Error(`experiments: expected some of ${Object.keys(experiments).join(', ')}, or runs, got "${name}".`);
    for (const run of experiments[name] ?? [name]) add(run);
  }
  return [...chosen];
}
