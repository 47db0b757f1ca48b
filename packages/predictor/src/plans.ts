// Plans that were calibrated here and come with the package: a few kilobytes each, by name. Does not own how they were made
// (tools/calibration) nor their format (@relufy/models).

export interface ReadyMadePlan {
  /** What `--plan` takes. */
  readonly name: string;
  /** The model on the hub; the same in other weight formats has the plan too. */
  readonly model: string;
  readonly method: string;
  /** Share of the blocks' weights that a token skips, where it was made. */
  readonly sparsity: number;
  /** Perplexity of another text than it was made with, every token sparse. */
  readonly cost: { readonly text: string; readonly perplexity: number; readonly densePerplexity: number };
  /** A processor's milliseconds for a decoded token, one thread, in one run. */
  readonly time?: { readonly dtype: string; readonly ms: number; readonly denseMs: number };
  /** Where its files lie: `loadModel(model, { plan: { name, urls: plan.urls() } })`. */
  readonly urls: () => Readonly<Record<string, URL>>;
}

const model = 'HuggingFaceTB/SmolLM2-135M-Instruct';
const text = 'WikiText-2, 2,048 tokens, int8';

// Each file written out: bundlers copy what stands in such an expression, and nothing that a program puts together.
export const readyMadePlans: readonly ReadyMadePlan[] = [
  {
    ...{ name: 'smollm2-135m-instruct-teal-25', model, method: 'TEAL', sparsity: 0.25 },
    cost: { text, perplexity: 20.27, densePerplexity: 20.41 },
    urls: () => ({
      'sparsity_config.json': new URL('../plans/smollm2-135m-instruct-teal-25/sparsity_config.json', import.meta.url),
      'sparsity_model.safetensors': new URL(
        '../plans/smollm2-135m-instruct-teal-25/sparsity_model.safetensors',
        import.meta.url,
      ),
    }),
  },
  {
    ...{ name: 'smollm2-135m-instruct-teal-40', model, method: 'TEAL by loss', sparsity: 0.4 },
    cost: { text, perplexity: 22.07, densePerplexity: 20.41 },
    urls: () => ({
      'sparsity_config.json': new URL('../plans/smollm2-135m-instruct-teal-40/sparsity_config.json', import.meta.url),
      'sparsity_model.safetensors': new URL(
        '../plans/smollm2-135m-instruct-teal-40/sparsity_model.safetensors',
        import.meta.url,
      ),
    }),
  },
  {
    ...{ name: 'smollm2-135m-instruct-teal-50', model, method: 'TEAL by loss', sparsity: 0.5 },
    cost: { text, perplexity: 26.24, densePerplexity: 20.41 },
    urls: () => ({
      'sparsity_config.json': new URL('../plans/smollm2-135m-instruct-teal-50/sparsity_config.json', import.meta.url),
      'sparsity_model.safetensors': new URL(
        '../plans/smollm2-135m-instruct-teal-50/sparsity_model.safetensors',
        import.meta.url,
      ),
    }),
  },
];
