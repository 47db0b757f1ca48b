// What is done for a run, as calls of the `relufy` command, each with the file by which it is known to be done: a run
// that was killed goes on where it was. Owns the order and what is skipped. Does not own training or measuring.
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';

/**
 * @typedef {object} Job
 * @property {string} what
 * @property {readonly string[]} command arguments of `relufy`
 * @property {string} done the file that is there when it is done, in the folder of runs
 */

/** Where the results of a run lie, in its folder. */
export const places = {
  model: 'model/config.json',
  metrics: 'metrics.jsonl',
  relufied: 'relufied/measurement.json',
  measured: 'measured/measurement.json',
  bar: (value) => `bars/${value}/measurement.json`,
};

/**
 * @param {import('./plan.mjs').Run} run @param {{ folder: string, measure: import('./plan.mjs').Plan['measure'],
 *   training: readonly string[], ppl: boolean }} options `training`: options of `relufy train`
 * @returns {readonly Job[]}
 */
export function jobsOf({ name, from, relufy, threshold, bars }, { folder, measure, training, ppl }) {
  const at = (path) => join(folder, name, path);
  const measuring = (model, done, options = []) => [
    ...['measure', model, '--data', join(folder, 'data/held-out.txt')],
    ...['--tokens', String(measure.tokens), '--window', String(measure.window), '--name', name],
    ...['--out', join(folder, name, done, '..'), ...options],
  ];
  const criterion = threshold === undefined ? [] : ['--threshold', String(threshold)];
  const relufied = relufy && [
    ...['--stage', String(relufy.stage)],
    ...(relufy.shift === undefined ? [] : ['--shift', String(relufy.shift)]),
  ];
  return [
    ...(relufied
      ? [
          {
            what: 'right after relufication',
            command: measuring(join(folder, from, 'model'), places.relufied, relufied),
            done: places.relufied,
          },
        ]
      : []),
    { what: 'training', command: ['train', '--config', join(folder, `${name}.yaml`), ...training], done: places.model },
    {
      what: 'measuring',
      command: measuring(at('model'), places.measured, [...criterion, ...(ppl ? ['--ppl', '1'] : [])]),
      done: places.measured,
    },
    ...bars.flatMap((bar) => {
      const model = `bars/${bar}/model`;
      return [
        {
          what: `bar ${bar}`,
          command: [
            'relufy',
            at('model'),
            '--stage',
            '1',
            '--activation',
            'fatrelu',
            '--threshold',
            String(bar),
            '--out',
            at(model),
          ],
          done: `${model}/config.json`,
        },
        {
          what: `measuring with the bar ${bar}`,
          command: measuring(at(model), places.bar(bar)),
          done: places.bar(bar),
        },
      ];
    }),
  ];
}

/**
 * Does what is left of a run.
 * @param {import('./plan.mjs').Run} run @param {readonly Job[]} jobs
 * @param {{ folder: string, execute: (command: readonly string[]) => Promise<void>, log: (line: string) => void }} options
 */
export async function carryOut(run, jobs, { folder, execute, log }) {
  await mkdir(join(folder, run.name), { recursive: true });
  await writeConfig(join(folder, `${run.name}.yaml`), run);
  for (const { what, command, done } of jobs) {
    if (existsSync(join(folder, run.name, done))) continue;
    log(`${run.name}: ${what}`);
    await execute(command);
    if (!existsSync(join(folder, run.name, done)))
      throw new Error(`${run.name}, ${what}: expected ${done}, got none. See the output above.`);
  }
}

/** Results belong to one config: another one is refused. */
async function writeConfig(path, { config }) {
  const text = stringify(config);
  const before = await readFile(path, 'utf8').catch(() => undefined);
  if (before === text) return;
  if (before !== undefined)
    throw new Error(
      `${path}: expected the config of runs.yaml, got that of an earlier run. Remove the run's folder and this file, or choose other --runs.`,
    );
  await writeFile(`${path}.tmp`, text);
  await rename(`${path}.tmp`, path);
}
