// Several streams on one model at the same time, Relufy against llama.cpp's sequences, interleaved: tokens a second of all streams
// together. Same weights (SmolLM2-135M, Q4_1), same prompts, new in every round; 16 tokens of prompt, 32 decoded, greedy.
// Both engines live in this process, and only one has work at a time.
//
//   node streams.mjs [--counts 1,2,4,8,16] [--rounds 7] [--threads N] [--gguf FILE] [--model FOLDER]
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { openLlama } from './engines/llama-cpp.mjs';
import { importModels, root } from './relufy-packages.mjs';
import { median } from './statistics.mjs';

const { values } = parseArgs({
  options: {
    counts: { type: 'string', default: '1,2,4,8,16' },
    rounds: { type: 'string', default: '7' },
    threads: { type: 'string', default: `${availableParallelism()}` },
    gguf: { type: 'string', default: `${root}../shared/models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf` },
    model: { type: 'string', default: `${root}packages/smollm2-135m-instruct/model` },
  },
});
const counts = values.counts.split(',').map(Number);
const most = Math.max(...counts);
const threads = Number(values.threads);
const contextLength = 256;
const decoded = 32;

const { loadModel } = await importModels();
const relufy = await loadModel(values.model, { threads, slots: most, contextLength });

const llama = await openLlama(threads);
const llamaModel = await llama.loadModel({ modelPath: values.gguf });
const context = await llamaModel.createContext({ contextSize: contextLength, sequences: most, threads });
const sequences = Array.from({ length: most }, () => context.getSequence());

const promptOf = (seed) => Array.from({ length: 16 }, (_, i) => 20 + ((i * 37 + seed * 101) % 4000));

const engines = {
  relufy: (prompt) => relufy.generate(prompt, { maxNewTokens: decoded, temperature: 0, stopTokenIds: [] }),
  async *llama(prompt, stream) {
    await sequences[stream].clearHistory();
    let count = 0;
    for await (const token of sequences[stream].evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
      yield token;
      if (++count === decoded) break;
    }
  },
};

/** Tokens a second from when all streams decode until the first one ends. */
async function tokensPerSecond(engine, count, seed) {
  const streams = await Promise.all(
    Array.from({ length: count }, async (_, stream) => {
      const times = [];
      for await (const _token of engine(promptOf(seed + stream), stream)) times.push(performance.now());
      return times;
    }),
  );
  const from = Math.max(...streams.map((times) => times[0]));
  const to = Math.min(...streams.map((times) => times.at(-1)));
  return (1000 * streams.flat().filter((time) => time > from && time <= to).length) / (to - from);
}

const samples = counts.map(() => ({ relufy: [], llama: [] }));
let seed = 0;
for (let round = 0; round <= Number(values.rounds); round++)
  for (const [at, count] of counts.entries()) {
    const names = Object.keys(engines);
    seed += most;
    for (const name of round % 2 === 0 ? names : names.reverse()) {
      const speed = await tokensPerSecond(engines[name], count, seed);
      if (round > 0) samples[at][name].push(speed);
    }
  }
console.log(`Relufy ${relufy.backend}; llama.cpp ${llama.llamaCppRelease.release}, ${context.currentThreads} threads`);
for (const [at, count] of counts.entries()) {
  const { relufy: ours, llama: theirs } = samples[at];
  const ratio = median(ours.map((speed, round) => speed / theirs[round]));
  console.log(
    `${count} streams: Relufy ${median(ours).toFixed(1)} tokens/s, llama.cpp ${median(theirs).toFixed(1)}, ratio ${ratio.toFixed(2)}`,
  );
}
await relufy.dispose();
await llama.dispose();
