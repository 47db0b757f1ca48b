// What an answer costs on this machine: a few tokens decoded behind contexts of the tasks, with the runtime's own counters
// of what was read. Scores do not depend on it.
import { type Model, withoutMasks } from '@relufy/models';
import { countMacs, densitiesOf } from '@relufy/sparsity';
import type { Sample } from './evaluate.js';
import type { CostResult } from './results.js';

const contextsPerTask = 2;
const mostContexts = 8;
const tokensPerContext = 16;
const mostPromptTokens = 256;

/** Decodes greedily after the first contexts of each task. */
export async function measureCost(
  model: Model,
  samples: ReadonlyMap<string, readonly Sample[]>,
  signal?: AbortSignal,
): Promise<CostResult> {
  const contexts: number[][] = [];
  for (const scored of samples.values())
    for (const { item } of scored.slice(0, contextsPerTask)) {
      const [request] = item.requests;
      if (request === undefined || contexts.length >= mostContexts) continue;
      const text = request.kind === 'rolling' ? request.text.slice(0, 1000) : `${request.context} `.trimEnd();
      const ids = await model.encode(text === '' ? 'The' : text);
      contexts.push(ids.slice(-Math.min(mostPromptTokens, model.contextLength - tokensPerContext)));
    }
  model.resetStats();
  for (const context of contexts)
    await model.generate(context, {
      maxNewTokens: tokensPerContext,
      temperature: 0,
      stopTokenIds: [],
      ...(signal && { signal }),
    }).result;
  return costOf(model);
}

/** From what a model counted while decoding. */
export function costOf(model: Model): CostResult {
  const stats = model.stats();
  const mean = (values: readonly number[]) =>
    values.length === 0 ? 1 : values.reduce((sum, value) => sum + value, 0) / values.length;
  const density = Object.fromEntries(Object.entries(stats.density).map(([site, values]) => [site, mean(values)]));
  return {
    tokens: stats.decode.tokens,
    tokensPerSecond: stats.tokensPerSecond,
    weightBytesPerToken: stats.weightBytesPerToken,
    denseWeightBytesPerToken: stats.denseWeightBytesPerToken,
    density,
    macsPerToken: countMacs(model.spec, densitiesOf(model.spec, density)).withHead,
    denseMacsPerToken: countMacs(withoutMasks(model.spec), {}).withHead,
  };
}
