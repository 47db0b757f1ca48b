// What answers: a model in this browser, or a server. One interface for both, plain data in and out, so that the page never
// knows which it is. Does not own conversations (chats/) nor how anything is shown.

import type { Settings } from '@relufy/chat/settings';
import type { ChatMessage, GenerateResult, StepActivity } from '@relufy/models';

/** Where a model comes from. */
export type ModelChoice =
  /** Beside the page, whose address is `base`: `models/NAME/`. */
  | { readonly kind: 'bundled'; readonly name: string; readonly base: string }
  /** `user/name`, `user/name@revision`, `user/name:Q4_0`. */
  | { readonly kind: 'hub'; readonly id: string; readonly endpoint: string }
  /** Files that a person picked or dropped: by their names within the folder. */
  | { readonly kind: 'files'; readonly name: string; readonly files: Readonly<Record<string, Blob>> };

/** A sparsity plan: one that comes with the page, by its name, or files that a person picked. It changes answers. */
export type PlanChoice =
  | { readonly kind: 'ready-made'; readonly name: string }
  | Extract<ModelChoice, { readonly kind: 'files' }>;

export interface LoadChoice {
  readonly model: ModelChoice;
  readonly plan?: PlanChoice;
  readonly dtype: 'auto' | 'f32' | 'bf16' | 'int8' | 'int4' | 'uint4';
  /** 0: as many as are sensible. */
  readonly threads: number;
  /** 0: as the model says, at most 4096. */
  readonly contextLength: number;
}

export interface LoadProgress {
  readonly stage: 'looking' | 'waiting' | 'downloading' | 'verifying' | 'loading';
  /** Bytes, over all files. */
  readonly loaded: number;
  readonly total: number;
}

export interface LoadedModel {
  readonly name: string;
  /** What runs it, in one line. */
  readonly backend: string;
  readonly threads: number;
  readonly contextLength: number;
  readonly memoryBytes: number;
  readonly layers: number;
  /** Of the FFN of a layer; 0: unknown. */
  readonly neurons: number;
  /** Weights are skipped. */
  readonly sparse: boolean;
  readonly planned: boolean;
  /** How its author samples. */
  readonly recommended: Settings;
  /** It could not be kept in this browser's storage, and why. */
  readonly notKept?: string;
}

export interface ChatRequest {
  readonly system: string;
  /** The last one is the user's. */
  readonly messages: readonly ChatMessage[];
  readonly settings: Settings;
  /** Reads every weight, for comparison. */
  readonly dense: boolean;
  /** Tell of each token what it read. */
  readonly activity: boolean;
  readonly signal: AbortSignal;
}

/** One token, as the page shows it. */
export interface Token {
  readonly text: string;
  readonly activity?: StepActivity;
}

/** What an answer cost. */
export interface Figures {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly tokensPerSecond: number;
  readonly seed?: number;
  /** Mean bytes of weights read for a token, and what a dense step reads; absent where the server does not say. */
  readonly weightBytes?: number;
  readonly denseWeightBytes?: number;
}

export interface Answer extends Figures {
  readonly text: string;
  readonly finishReason: GenerateResult['finishReason'];
  /** Messages of the request that the model did not see, by their places. */
  readonly forgotten: readonly number[];
}

export interface Engine {
  readonly kind: 'browser' | 'server';
  /** Resolves when it can answer. A model that was loaded before is gone. */
  load(choice: LoadChoice, hear: (progress: LoadProgress) => void, signal: AbortSignal): Promise<LoadedModel>;
  generate(request: ChatRequest, hear: (tokens: readonly Token[]) => void): Promise<Answer>;
  /** Tokens that a conversation takes; undefined: the engine cannot tell. */
  count(system: string, messages: readonly ChatMessage[]): Promise<number | undefined>;
  /** Called once when it ended without being asked to. */
  onDeath: ((reason: string) => void) | undefined;
  dispose(): void;
}
