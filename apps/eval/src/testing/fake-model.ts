// A model for tests: a token a character, and log-probabilities that follow from the ids alone, so that any order of
// asking and any interruption must give the same scores.
import type { EvalModel } from '../eval-model.js';

export interface FakeModel extends EvalModel {
  /** Calls of `score` and `generate` so far. */
  readonly calls: { count: number };
}

export function fakeModel(options: Partial<EvalModel> = {}): FakeModel {
  const calls = { count: 0 };
  return {
    name: 'fake',
    maxLength: 256,
    description: { backend: 'fake' },
    addSpecialTokens: false,
    prefixId: 0,
    encode: (text) => [...text].map((char) => char.codePointAt(0) as number),
    lanes: 1,
    score: async (requests) => {
      calls.count += requests.length;
      const weigh = (ids: readonly number[]) => ids.reduce((sum, id, at) => (sum * 31 + id * (at + 1)) % 9973, 7);
      return requests.map(({ context, continuations }) =>
        continuations.map((continuation) => {
          const value = weigh([...context, ...continuation]);
          return { logprob: -(value / 997) * continuation.length, isGreedy: value % 3 === 0 };
        }),
      );
    },
    generate: async (context) => {
      calls.count++;
      return ` answer ${context.length}`;
    },
    ...options,
    calls,
  };
}
