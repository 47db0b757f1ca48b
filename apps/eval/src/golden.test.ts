// SmolLM2 against what lm-evaluation-harness 0.4.13 scored. The first few items of each task by default; all of them with
// RELUFY_GOLDEN=all, which takes minutes.
import { readFileSync } from 'node:fs';
import { loadModel } from '@relufy/models';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { aggregate } from './aggregation.js';
import { type EvalModel, evalModel } from './eval-model.js';
import { evaluate } from './evaluate.js';
import { toLmEvalJson } from './results.js';
import { TaskRegistry } from './task-registry.js';

interface Golden {
  readonly n: number;
  readonly results: Readonly<Record<string, number>>;
  readonly items: readonly {
    readonly doc_id: number;
    readonly target: string;
    readonly acc: number;
    readonly acc_norm?: number;
    readonly requests: readonly {
      readonly context: string;
      readonly continuation: string;
      readonly loglikelihood: number;
      readonly is_greedy: boolean;
    }[];
  }[];
}

const all = process.env.RELUFY_GOLDEN === 'all';
const tasks = [
  { name: 'piqa', file: 'piqa', few: 2 },
  { name: 'arc_easy', file: 'arc_easy', few: 2 },
  { name: 'lambada_openai', file: 'lambada', few: 3 },
];

describeShared('aggregates are those of lm-evaluation-harness', 'golden/lm-eval', () => {
  test('perplexity, and its standard error by the same 100,000 resamples', () => {
    const golden = JSON.parse(readFileSync(shared('golden/lm-eval/lambada.json'), 'utf8')) as Golden;
    const logprobs = golden.items.map(({ requests }) => requests[0]!.loglikelihood);
    const { value, stderr } = aggregate({ aggregation: 'perplexity', higherIsBetter: false }, logprobs, 100_000);
    expect(value).toBeCloseTo(golden.results['perplexity,none']!, 10);
    expect(stderr).toBeCloseTo(golden.results['perplexity_stderr,none']!, 8);
  });
});

describeShared('SmolLM2 scores as in lm-evaluation-harness', 'golden/lm-eval', () => {
  let model: EvalModel & AsyncDisposable;

  beforeAll(async () => {
    const loaded = await loadModel(shared('models/smollm2-135m-instruct'), {
      dtype: 'f32',
      contextLength: 512,
      slots: 5,
    });
    model = { ...evalModel(loaded), [Symbol.asyncDispose]: () => loaded.dispose() };
  }, 120_000);

  afterAll(() => model[Symbol.asyncDispose]());

  test.each(tasks)('$name', { timeout: 1_800_000 }, async ({ name, file, few }) => {
    const golden = JSON.parse(readFileSync(shared(`golden/lm-eval/${file}.json`), 'utf8')) as Golden;
    const registry = await TaskRegistry.open();
    const { results, samples } = await evaluate(model, await registry.select([name]), {
      dataFolder: shared('eval'),
      limit: all ? golden.n : few,
      ...(name === 'arc_easy' && { split: 'validation' }),
      ...(!all && { bootstrapIterations: 100 }),
    });
    let furthest = 0;
    for (const { item, responses, metrics } of samples.get(name) ?? []) {
      const expected = golden.items[item.docId]!;
      for (const [at, request] of expected.requests.entries()) {
        const asked = item.requests[at];
        expect(asked).toEqual({ kind: 'loglikelihood', context: request.context, continuation: request.continuation });
        furthest = Math.max(furthest, Math.abs(responses[at]!.logprob - request.loglikelihood));
        expect([item.docId, at, responses[at]!.isGreedy]).toEqual([item.docId, at, request.is_greedy]);
      }
      expect(metrics.acc).toBe(expected.acc);
      if (expected.acc_norm !== undefined) expect(metrics.acc_norm).toBe(expected.acc_norm);
    }
    expect(furthest).toBeLessThan(2e-3);
    if (!all) return;
    console.log(name, 'furthest log-likelihood', furthest);
    const json = toLmEvalJson(results).results as Record<string, Record<string, number>>;
    for (const [metric, value] of Object.entries(golden.results))
      if (metric !== 'sample_len') expect(json[name]![metric]! / value, metric).toBeCloseTo(1, 4);
  });
});
