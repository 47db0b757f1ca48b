// What an engine is to this harness, and how one that works token by token is timed.
// To add an engine: a file beside this one that exports `open`, a line in `adapters`, an entry in plan.mjs.
import { performance } from 'node:perf_hooks';

/**
 * @typedef {object} EngineSpec what an engine is asked to be; JSON, since it crosses to a process of its own
 * @property {string} adapter key of `adapters`
 * @property {string} model path of a folder or file
 * @property {number} threads
 * @property {number} contextLength
 * @property {string} [backend] Relufy: native or wasm
 * @property {string} [dtype] Relufy: f32, bf16, int8 or int4
 * @property {'exact' | 'dense'} [sparsity] Relufy
 * @property {number} [shift] Relufy: b of max(0, x - b)
 * @property {string} [plan] Relufy: folder of a sparsity plan
 * @property {number} [memoryBudget] Relufy: bytes
 * @property {string} [binary] PowerInfer
 * @property {string} [checkout] tools/rivals of another checkout, whose engine is run (and whose options may be fewer)
 *
 * @typedef {object} Measured
 * @property {number} ms
 * @property {number} [bytesPerToken] weights read for one decoded token
 * @property {number[]} [density] share of neurons active, per layer
 * @property {import('@relufy/models').NeuronStats} [neurons] of a model whose neurons stay in its file
 * @property {number[]} [tokenMs] of each decoded token
 *
 * @typedef {object} Engine
 * @property {string} description
 * @property {number} [loadMs] from the model's file to a model that can be asked, without starting the engine itself
 * @property {Record<string, unknown>} facts versions, defaults: for the report
 * @property {(ids: number[]) => Promise<Measured>} prefill from an empty cache to the first chosen token
 * @property {(prompt: number[], ids: number[]) => Promise<Measured>} decode feeds `ids` after the prompt, one by one
 * @property {(prompt: number[], count: number) => Promise<{ ids: number[], logprobs: number[] }>} [greedy]
 * @property {(text: string) => Promise<number[]>} [encode]
 * @property {(prompt: number[], ids: number[]) => Promise<string>} [digest] of the bits of all logits
 * @property {(prompt: number[]) => Promise<number[]>} [overlap] per layer: shared neurons of neighbours / by chance
 * @property {() => Promise<number>} [bandwidth] GB/s of sequential reads
 * @property {() => Promise<number>} [peakBytes] where the work is done by another process
 * @property {() => Promise<void>} close
 */

/** @type {Readonly<Record<string, string>>} */
export const adapters = {
  relufy: './relufy.mjs',
  stream: './stream.mjs',
  'llama.cpp': './llama-cpp.mjs',
  powerinfer: './powerinfer.mjs',
};

/** @param {EngineSpec} spec @returns {Promise<Engine>} */
export async function openEngine(spec) {
  const { open } = await import(adapters[spec.adapter]);
  return open(spec);
}

/**
 * `reset` empties the cache; `start` evaluates a prompt and chooses a token; `step` evaluates one more id and chooses.
 * Every engine chooses greedily at every step, but what is fed next is given, so that all of them do the same work.
 * @param {{ reset(ids: number[]): Promise<void>, start(ids: number[]): Promise<unknown>, step(id: number): Promise<unknown>,
 *   afterDecode?(): Partial<Measured>, beforeDecode?(): void }} engine
 * @returns {Pick<Engine, 'prefill' | 'decode'>}
 */
export function stepwise(engine) {
  return {
    async prefill(ids) {
      await engine.reset(ids);
      const begin = performance.now();
      await engine.start(ids);
      return { ms: performance.now() - begin };
    },
    async decode(prompt, ids) {
      await engine.reset(prompt);
      await engine.start(prompt);
      engine.beforeDecode?.();
      const begin = performance.now();
      const ends = [begin];
      for (const id of ids) {
        await engine.step(id);
        ends.push(performance.now());
      }
      const tokenMs = ends.slice(1).map((end, i) => end - ends[i]);
      return { ms: ends.at(-1) - begin, tokenMs, ...engine.afterDecode?.() };
    },
  };
}
