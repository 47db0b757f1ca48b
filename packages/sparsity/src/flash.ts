// Models whose neurons stay in a file (loadModel's memoryBudget): what answers read of it, by the runtime's own counters, for
// each budget. Does not own the budget nor the cache (@relufy/models).
import type { Model, Prompt } from '@relufy/models';
import { RelufyError } from '@relufy/tensor';
import type { Measurement } from './record.js';

export type FlashMeasurement = NonNullable<Measurement['flash']>;

export interface FlashOptions {
  /** Bytes of each budget; a model of one in which all weights fit reads nothing. */
  readonly budgets: readonly number[];
  readonly prompts: readonly Prompt[];
  /** Greedy tokens of an answer. Default 32. */
  readonly tokens?: number;
  readonly signal?: AbortSignal;
  /** Hears the share that is done, 0 to 1. */
  readonly onProgress?: (share: number) => void;
}

/**
 * Loads the model for each budget, and for none, and writes the same answers. Reads of prompts are told apart from those of
 * answers.
 * @throws RelufyError `backend` where an answer differs from that of the model in memory.
 */
export async function measureFlash(
  load: (memoryBudget: number | undefined) => Promise<Model>,
  { budgets, prompts, tokens = 32, signal, onProgress }: FlashOptions,
): Promise<FlashMeasurement> {
  const passes = (budgets.length + 1) * prompts.length;
  let done = 0;
  const answers = async (model: Model) => {
    const written: number[] = [];
    const read = { prompts: { ...nothing }, answers: { ...nothing } };
    let [count, ms] = [0, 0];
    for (const prompt of prompts) {
      signal?.throwIfAborted();
      model.resetStats();
      const options = { maxNewTokens: tokens, temperature: 0, stopTokenIds: [], ...(signal && { signal }) };
      const stream = model.generate(prompt, options);
      let isFirst = true;
      for await (const _ of stream) {
        // the prompt's steps are over with the first token
        if (isFirst) add(read.prompts, model);
        isFirst = false;
      }
      const result = await stream.result;
      written.push(...result.tokenIds);
      add(read.answers, model);
      count += result.stats.decode.tokens;
      ms += result.stats.decode.ms;
      onProgress?.(++done / passes);
    }
    return { written: written.join(), ...read, count, tokensPerSecond: ms > 0 ? (1000 * count) / ms : 0 };
  };
  const inMemory = await load(undefined);
  const expected = await answers(inMemory).finally(() => inMemory.dispose());
  const points: FlashMeasurement['points'][number][] = [];
  for (const budget of budgets) {
    const model = await load(budget);
    try {
      const found = await answers(model);
      if (found.written !== expected.written)
        throw new RelufyError(
          'backend',
          `measure flash: expected the answer of the model in memory within ${budget} bytes, got another one. Nothing was noted.`,
        );
      const { slots = 0, neurons = 0 } = model.stats().neurons ?? {};
      const { answers: after, prompts: before } = found;
      const needed = after.needed - before.needed;
      points.push({
        budget,
        slots,
        neurons,
        hitShare: needed === 0 ? 1 : 1 - (after.read - before.read) / needed,
        neededPerToken: needed / Math.max(1, found.count),
        rowsPerToken: (after.rowsRead - before.rowsRead) / Math.max(1, found.count),
        bytesPerToken: (after.bytesRead - before.bytesRead) / Math.max(1, found.count),
        promptBytes: before.bytesRead,
        tokensPerSecond: found.tokensPerSecond,
      });
    } finally {
      await model.dispose();
    }
  }
  return { tokens: expected.count, tokensPerSecond: expected.tokensPerSecond, points };
}

const nothing = { needed: 0, read: 0, rowsRead: 0, bytesRead: 0 };

/** What a model has read since its counters began anew. */
function add(sums: { needed: number; read: number; rowsRead: number; bytesRead: number }, model: Model): void {
  const { neurons } = model.stats();
  if (neurons === undefined) return;
  for (const key of Object.keys(sums) as (keyof typeof sums)[]) sums[key] += neurons[key];
}
