// What a call may ask of speculative decoding, and its checks. Does not own drafts (drafters.ts) nor their verification
// (speculation.ts).
import { aBoolean, anything, aWhole, checkOptions, RelufyError, show } from '@relufy/tensor';
import type { Model } from '../model.js';

/**
 * Where drafts come from. `prompt`: what followed the last tokens where they stood before in prompt or answer. A model: a
 * smaller one of the same vocabulary, which drafts for one answer at a time. `plan`: the model itself by the `draftPlan` that
 * it was loaded with. `reuse`: the model itself, of whose FFN neurons only those are computed that the last tokens used; it
 * has to have ReLU-like activations.
 */
export type DraftSource = 'prompt' | 'plan' | 'reuse' | Model;

/** As a call, or whoever loads a model, may say it. `false`: no drafts. A source by itself is short for its options. */
export type Speculate = SpeculateOptions | DraftSource | false;

export interface SpeculateOptions {
  readonly draft: DraftSource;
  /** Tokens that are drafted at a time at most. Default 8. */
  readonly tokens?: number;
  /**
   * Draft as many as pays, by what drafts and steps take here and by how many are accepted, and none where none pay
   * (default). `false`: always `tokens`.
   */
  readonly adaptive?: boolean;
}

/** Tokens drafted at a time, where nothing else is asked for. */
const usualTokens = 8;

/**
 * undefined where nothing is asked for.
 * @throws RelufyError `option` for what is no source, or a number of tokens below 1.
 */
export function speculateOf(
  call: 'generate' | 'loadModel',
  asked: Speculate,
  isModel: (value: unknown) => value is Model,
): Required<SpeculateOptions> | undefined {
  if (asked === false) return undefined;
  const options = typeof asked === 'string' || isModel(asked) ? { draft: asked } : asked;
  checkOptions(`${call} speculate`, options, {
    draft: anything,
    tokens: aWhole(1, 64),
    adaptive: aBoolean,
  });
  const { draft, tokens = usualTokens, adaptive = true } = options;
  if (!['prompt', 'plan', 'reuse'].includes(draft as string) && !isModel(draft))
    throw new RelufyError(
      'option',
      `${call} speculate "draft": expected prompt, plan, reuse or a loaded model, got ${show(draft)}.`,
    );
  return { draft, tokens, adaptive };
}
