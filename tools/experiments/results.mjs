// What finished runs have left behind: the last and the smoothed numbers of metrics.jsonl, and their measurements.
// Owns reading them, and a row of each; a run that is not done is undefined. Does not own what is made of them (reports.mjs).
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { criterionText, csv, measurementSchema } from '@relufy/sparsity';
import { places } from './jobs.mjs';

/**
 * @typedef {import('@relufy/sparsity').Measurement} Measurement
 * @typedef {object} Result
 * @property {import('./plan.mjs').Run} run
 * @property {readonly import('@relufy/train').Metrics[]} metrics of its steps
 * @property {number | undefined} lossBefore held-out, of what it began with
 * @property {Measurement} measured
 * @property {Measurement | undefined} relufied its base model's weights read as this model, before any training
 * @property {readonly { bar: number, measured: Measurement }[]} bars
 */

/** @param {string} folder @param {import('./plan.mjs').Run} run @returns {Result | undefined} */
export function readResult(folder, run) {
  const at = (place) => join(folder, run.name, place);
  const measurement = (place) =>
    existsSync(at(place)) ? measurementSchema.parse(JSON.parse(readFileSync(at(place), 'utf8'))) : undefined;
  const measured = measurement(places.measured);
  if (measured === undefined) return undefined;
  const lines = readFileSync(at(places.metrics), 'utf8').trim().split('\n');
  const logged = lines.map((line) => JSON.parse(line));
  return {
    run,
    metrics: logged.filter(({ step }) => step > 0),
    lossBefore: logged.find(({ step }) => step === 0)?.validationLoss,
    measured,
    relufied: measurement(places.relufied),
    bars: run.bars.flatMap((bar) => {
      const found = measurement(places.bar(bar));
      return found ? [{ bar, measured: found }] : [];
    }),
  };
}

/**
 * What results.csv says of a run that was made elsewhere: of its measurement the perplexity and how many neurons are active.
 * @param {import('./plan.mjs').Run} run @param {string} table @returns {Result | undefined}
 */
export function resultInCsv(run, table) {
  const [head, ...rows] = table.trimEnd().split('\n');
  const names = head.split(',');
  const all = rows.map((row) => Object.fromEntries(row.split(',').map((cell, at) => [names[at], cell])));
  const found = all.find((row) => row.run === run.name && row.fatreluThreshold === '');
  if (found === undefined) return undefined;
  const value = (name) => Number(found[name]);
  const { weights, activation } = found;
  const metrics = {
    step: value('steps'),
    tokens: value('tokens'),
    validationLoss: value('heldOutLoss'),
    loss: value('trainingLoss'),
  };
  const density = { down: { mean: value('activeFfnNeurons') } };
  return /** @type {Result} */ ({
    ...{ run, metrics: [metrics], lossBefore: value('heldOutLossAtStep0'), bars: [], relufied: undefined },
    measured: { weights, activation, perplexity: value('perplexity'), layers: [{ density }] },
  });
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** @param {Measurement} measured @param {'qkv' | 'o' | 'upGate' | 'down'} site */
export const densityAt = (measured, site) => mean(measured.layers.map(({ density }) => density[site].mean));

/** The share of neurons that were never active over the text. @param {Measurement} measured */
export const deadShare = (measured) => mean(measured.layers.map(({ use }) => use.dead / use.neurons));

/** The training loss over the last tenth of what was logged. @param {Result} result */
export const finalLoss = ({ metrics }) => mean(metrics.slice(-Math.ceil(metrics.length / 10)).map(({ loss }) => loss));

/**
 * All numbers of some runs, a row each and one for each bar, for other tools.
 * @param {readonly Result[]} results
 */
export const resultsCsv = (results) => {
  const rows = results.flatMap((result) => {
    const { run, metrics, lossBefore, relufied, measured, bars } = result;
    const { step, tokens, validationLoss: heldOut } = metrics.at(-1);
    return [{ bar: undefined, measured }, ...bars].map(({ bar, measured: each }) => ({
      run: run.name,
      from: run.from,
      weights: each.weights,
      activation: each.activation,
      steps: step,
      tokens,
      heldOutLossAtStep0: lossBefore,
      heldOutLoss: heldOut,
      trainingLoss: finalLoss(result),
      perplexityRightAfterRelufication: relufied?.perplexity,
      fatreluThreshold: bar,
      perplexity: each.perplexity,
      activeMeans: criterionText(each.criterion),
      activeFfnNeurons: densityAt(each, 'down'),
      attentionInputs: densityAt(each, 'qkv'),
      ffnInputs: densityAt(each, 'upGate'),
      neverActive: deadShare(each),
      macsOfBlocks: each.macs.measured.blocks,
      macsWithHead: each.macs.measured.withHead,
    }));
  });
  return csv(
    Object.keys(rows[0] ?? {}),
    rows.map((row) => Object.values(row)),
  );
};

/** @param {Result} result */
export const validationLoss = ({ metrics }) => metrics.at(-1)?.validationLoss;
