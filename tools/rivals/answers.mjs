// Whether two engines give the same answer: greedy text on the same weights, token by token.
// Owns what counts as the same: equal ids, or logits so near that a tie decides. What it finds goes into the report.
import { EngineClient } from './engine-client.mjs';

/**
 * @typedef {object} Comparison
 * @property {string} what
 * @property {boolean} same
 * @property {string} found
 */

const prompts = [
  'The capital of France is',
  'Once upon a time there was a fox who',
  'Water boils at a temperature of',
  'def fibonacci(n):',
];
const tokens = 48;
/** Of log-probabilities, while both took the same path: above, something is wrong, not rounded. */
const tolerance = 0.05;

/**
 * @param {string} what
 * @param {import('./engines/engine.mjs').EngineSpec} ours @param {import('./engines/engine.mjs').EngineSpec} theirs
 * @param {number[][]} [promptIds] for a model without words
 * @returns {Promise<Comparison>}
 */
export async function compareGreedy(what, ours, theirs, promptIds) {
  const clients = [];
  try {
    for (const spec of [ours, theirs]) clients.push(await EngineClient.start(spec));
    const [our, their] = clients;
    const asked = promptIds ?? (await Promise.all(prompts.map((text) => our.call('encode', text))));
    let [equal, largest] = [0, 0];
    for (const ids of asked) {
      const [a, b] = [await our.call('greedy', ids, tokens), await their.call('greedy', ids, tokens)];
      const parted = a.ids.findIndex((id, i) => id !== b.ids[i]);
      if (parted === -1 && a.ids.length === b.ids.length) equal++;
      for (let i = 0; i < (parted === -1 ? tokens : parted + 1); i++)
        largest = Math.max(largest, Math.abs(a.logprobs[i] - b.logprobs[i]));
    }
    return {
      what,
      same: largest <= tolerance,
      found: `${equal} of ${asked.length} greedy texts of ${tokens} tokens equal; largest difference of a log-probability ${largest.toExponential(1)}`,
    };
  } catch (error) {
    return { what, same: false, found: `could not be compared: ${error.message}` };
  } finally {
    for (const client of clients) await client.stop();
  }
}
