// What a chat comes to once the model is there: its prompt, the options of its answers, and what takes them apart. All routes
// of chats end here. Does not own reading fields (sampling-fields.ts, output-fields.ts) or answering (answer.ts).
import type { GenerateOptions, Model } from '@relufy/models';
import type { Prepared } from './answer.js';
import type { ShapedOutput } from './output-fields.js';
import { chatIds } from './prompts.js';
import { withRecommended } from './sampling-fields.js';
import type { Call } from './service.js';

export interface ChatAsked {
  readonly sampling: GenerateOptions;
  readonly shaped: ShapedOutput;
  /** Likeliest alternatives of each token; absent: no log-probabilities. */
  readonly logprobs: number | undefined;
  readonly count: number;
}

/** @throws ApiError 400 for a chat that the model's template or context does not take. */
export function preparedChat(
  { service }: Call,
  model: Model,
  { sampling, shaped, logprobs, count }: ChatAsked,
): Prepared {
  return {
    prompts: [chatIds(model, shaped)],
    options: {
      ...(service.recommendedSampling ? withRecommended(sampling, model) : sampling),
      ...shaped.options,
      ...(logprobs !== undefined && { logprobs }),
    },
    count,
    parser: shaped.parser,
  };
}
