// Reuse of neurons while decoding (ReLU Strikes Back, 5.1): tokens a second, weight bytes and rows read from the file for a
// token, by gamma, beside the same model without reuse. Rounds are interleaved, each on a prompt of its own.
// In memory reuse saves the rows of neurons that no token before marked; within a memory budget it saves their reads.
// `node tools/bench/reuse.mjs MODEL [--gammas=1,4,16] [--memory-budget=600MB] [--tokens=64] [--rounds=7] [--plan=PLAN]`
import { loadModel } from '../../packages/models/dist/node.js';
import { backendNames, median, option, printMachine, rounds, threads } from './measure.mjs';

const source = process.argv[2];
if (source === undefined || source.startsWith('--')) throw new Error('reuse: expected a model, got none.');
const gammas = option('gammas', '1,4,16').split(',').map(Number);
const tokens = Number(option('tokens', 64));
const [plan, memoryBudget] = [option('plan'), option('memory-budget')];
const promptTokens = 32;

const model = await loadModel(source, {
  backend: backendNames()[0],
  threads,
  reuse: true,
  contextLength: promptTokens + tokens + 1,
  ...(plan && { plan }),
  ...(memoryBudget && { memoryBudget }),
});
printMachine(`reuse of neurons, ${source}`, { description: model.backend });

/** Decoding of `tokens` tokens; the prompt and the first of them are not counted. */
async function decode(round, gamma) {
  const prompt = Array.from({ length: promptTokens }, (_, i) => 300 + ((round * 101 + i * 37) % 2000));
  const read = model.stats().neurons?.bytesRead ?? 0;
  const answer = model.generate(prompt, {
    ...{ maxNewTokens: tokens, temperature: 0, stopTokenIds: [] },
    ...(gamma && { reuse: { interval: gamma } }),
  });
  let first;
  for await (const _token of answer) first ??= performance.now();
  const ms = (performance.now() - first) / (tokens - 1);
  const { stats } = await answer.result;
  const { weightBytesPerToken } = stats;
  const fromFile = ((model.stats().neurons?.bytesRead ?? 0) - read) / tokens;
  return { ms, weightBytesPerToken, fromFile };
}

const settings = [undefined, ...gammas];
const samples = settings.map(() => []);
for (let round = 0; round <= rounds; round++) {
  const order = [...settings.keys()];
  if (round % 2 === 1) order.reverse();
  for (const at of order) {
    const sample = await decode(round, settings[at]);
    if (round > 0) samples[at].push(sample); // the first round warms up
  }
}
for (const [at, gamma] of settings.entries()) {
  const of = (name) => median(samples[at].map((sample) => sample[name]));
  const ratio = median(samples[at].map(({ ms }, round) => samples[0][round].ms / ms));
  console.log(
    `${gamma === undefined ? 'without' : `gamma ${gamma}`}: ${(1000 / of('ms')).toFixed(1)} tokens/s, ratio ${ratio.toFixed(2)}, ` +
      `${(of('weightBytesPerToken') / 1e6).toFixed(2)} MB of weights a token` +
      (memoryBudget ? `, ${(of('fromFile') / 1e6).toFixed(2)} MB of them from the file (prompt included)` : ''),
  );
}
await model.dispose();
