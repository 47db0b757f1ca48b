// What the densities of finished runs are worth on the clock: `relufy bench decode` on the 1.1B shape, exact sparse against
// dense, at each run's densities. Families with a plain FFN get the shape with one. Writes wall-clock.json into the folder
// of runs, which the report reads. Does not own the bench.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeAll } from './prepare.mjs';
import { densityAt, readResult } from './results.mjs';

const file = 'wall-clock.json';

/**
 * @typedef {{ tokensPerSecond: number, denseTokensPerSecond: number, megabytes: number, denseMegabytes: number }} Clocked
 * @param {string} folder @returns {{ note?: string, runs: Readonly<Record<string, Clocked>> }}
 */
export function readWallClock(folder) {
  const path = join(folder, file);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : { runs: {} };
}

/** Runs that skip something, by the kind of FFN of their family. */
function measuredRuns(plan, folder) {
  const kinds = { gated: [], plain: [] };
  for (const run of plan.runs) {
    const result = run.relufy && readResult(folder, run);
    if (!result) continue;
    const { measured } = result;
    const down = densityAt(measured, 'down').toFixed(3);
    const inputs = [densityAt(measured, 'qkv'), densityAt(measured, 'upGate')].map((share) => share.toFixed(3));
    const point = run.relufy.stage === 2 ? [down, ...inputs].join('/') : down;
    kinds[/^(falcon|opt)/.test(run.name) ? 'plain' : 'gated'].push({ name: run.name, point });
  }
  return kinds;
}

/**
 * @param {import('./plan.mjs').Plan} plan @param {string} folder
 * @param {(command: readonly string[]) => Promise<string>} capture runs `relufy`, gives what it prints
 * @param {readonly string[]} options of the bench
 */
export async function clock(plan, folder, capture, options) {
  const runs = {};
  let note = '';
  for (const [kind, entries] of Object.entries(measuredRuns(plan, folder))) {
    if (entries.length === 0) continue;
    const densities = entries.map(({ point }) => point).join(',');
    const command = ['bench', 'decode', '--dtype', 'bf16', '--ffn', kind, '--densities', densities, '--seconds', '3'];
    const { machine, backend, tables } = JSON.parse(await capture([...command, '--json', ...options]));
    note = `${machine.cpu}, ${backend}, bf16, load ${machine.load} when it began, ${machine.date}`;
    const { columns, rows } = tables.at(-1);
    const of = (row, column) => Number(row[columns.indexOf(column)]);
    entries.forEach(({ name }, at) => {
      runs[name] = {
        tokensPerSecond: of(rows[at], 'tokens/s'),
        denseTokensPerSecond: of(rows[at], 'dense tokens/s'),
        megabytes: of(rows[at], 'MB/token'),
        denseMegabytes: of(rows[at], 'dense MB'),
      };
    });
    await writeAll(folder, { [file]: JSON.stringify({ note, runs }, null, 2) });
  }
}
