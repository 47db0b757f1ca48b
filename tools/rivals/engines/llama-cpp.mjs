// llama.cpp through node-llama-cpp's prebuilt CPU binary: its sequence API, fed with given ids.
// Its defaults stay (mmap, weight repacking, flash attention, batch, f16 KV cache); the report names them.
import { readFile } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { stepwise } from './engine.mjs';

/** ggml's type number -> bytes of one weight. */
const weightBytes = new Map([
  [0, 4], // F32
  [1, 2], // F16
  [2, 18 / 32], // Q4_0
  [3, 20 / 32], // Q4_1
  [8, 34 / 32], // Q8_0
]);

/** llama.cpp on processor cores alone, as its package brings it. @param {number} threads */
export async function openLlama(threads) {
  const { getLlama, LlamaLogLevel } = await import('node-llama-cpp');
  return getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    logLevel: LlamaLogLevel.error,
    maxThreads: threads,
  });
}

/** @param {import('./engine.mjs').EngineSpec} spec @returns {Promise<import('./engine.mjs').Engine>} */
export async function open({ model: modelPath, threads, contextLength }) {
  const llama = await openLlama(threads);
  const begin = performance.now();
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({ contextSize: contextLength, threads });
  const loadMs = performance.now() - begin;
  const sequence = context.getSequence();
  const bytesPerToken = bytesOf(model.fileInfo.fullTensorInfo);
  const options = { temperature: 0, yieldEogToken: true };
  let generation;
  const reset = async () => {
    await generation?.return();
    generation = undefined;
    await sequence.clearHistory();
  };
  return {
    description: `llama.cpp ${llama.llamaCppRelease.release}: CPU, ${context.currentThreads} threads`,
    loadMs,
    facts: {
      'node-llama-cpp': await ownVersion(),
      'llama.cpp': llama.llamaCppRelease.release,
      binary: llama.buildType,
      batch: context.batchSize,
      'flash attention': String(context.flashAttention),
      'KV cache': 'f16',
      mmap: model.useMmap,
      'instruction sets': llama.systemInfo.trim(),
    },
    ...stepwise({
      reset,
      async start(ids) {
        generation = sequence.evaluate(ids, options);
        await generation.next();
      },
      step: (id) => generation.next(id), // what is passed replaces the token that was chosen
      afterDecode: () => ({ bytesPerToken }),
    }),
    async greedy(prompt, count) {
      await reset();
      const found = { ids: [], logprobs: [] };
      for await (const { token, confidence } of sequence.evaluateWithMetadata(prompt, { confidence: true }, options)) {
        found.ids.push(token);
        found.logprobs.push(Math.log(confidence));
        if (found.ids.length === count) break;
      }
      return found;
    },
    close: () => llama.dispose(),
  };
}

/** Weights that a token needs: all but the embedding, of which it needs one row, unless it is the head too. */
function bytesOf(tensors) {
  const tied = !tensors.some(({ name }) => name === 'output.weight');
  let sum = 0;
  for (const { name, dimensions, ggmlType } of tensors) {
    if (dimensions.length < 2 || (name === 'token_embd.weight' && !tied)) continue;
    const size = weightBytes.get(ggmlType);
    if (size === undefined) throw new Error(`${name}: no size is known for ggml type ${ggmlType}`);
    sum += dimensions.reduce((product, dimension) => product * Number(dimension), 1) * size;
  }
  return sum;
}

async function ownVersion() {
  const manifest = new URL('../node_modules/node-llama-cpp/package.json', import.meta.url);
  return JSON.parse(await readFile(manifest, 'utf8')).version;
}
