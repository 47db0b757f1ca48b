// What a long generation leaves behind: bytes retained on the JavaScript heap per thousand tokens, and how long the
// event loop is kept waiting. Run on the bundled model.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Model } from '@relufy/models';

export interface SteadyResult {
  readonly tokens: number;
  /** Heap and array buffers after collection, less what they were before. */
  readonly retainedBytes: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
  readonly tokensPerSecond: number;
}

export async function benchSteady(model: Model, tokens: number): Promise<SteadyResult> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const used = () => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const generate = async (count: number) => {
    let left = count;
    while (left > 0) {
      const maxNewTokens = Math.min(left, 500);
      for await (const _ of model.generate([0, 3], { maxNewTokens, stopTokenIds: [], temperature: 0.8, seed: left }));
      left -= maxNewTokens;
    }
  };
  await generate(200); // code and caches settle
  const before = used();
  model.resetStats();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await generate(tokens);
  delay.disable();
  return {
    tokens,
    retainedBytes: used() - before,
    delayP99Ms: delay.percentile(99) / 1e6,
    delayMaxMs: delay.max / 1e6,
    tokensPerSecond: model.stats().tokensPerSecond,
  };
}
