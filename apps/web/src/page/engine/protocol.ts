// What the page and its worker say to each other. Plain data; the two sides are browser-engine.ts and worker.ts.
import type { Answer, ChatRequest, LoadChoice, LoadedModel, LoadProgress, Token } from './engine.js';

export type Call =
  | { readonly method: 'load'; readonly choice: LoadChoice }
  | { readonly method: 'generate'; readonly request: Omit<ChatRequest, 'signal'> }
  | { readonly method: 'count'; readonly system: string; readonly messages: ChatRequest['messages'] };

/** What each call gives in the end. */
export interface Results {
  load: LoadedModel;
  generate: Answer;
  count: number | undefined;
}

/** `lock`: the name of a lock that the worker holds for as long as it lives. */
export type ToWorker =
  | { readonly kind: 'start'; readonly lock: string }
  | { readonly kind: 'call'; readonly id: number; readonly call: Call }
  | { readonly kind: 'abort'; readonly id: number };

export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'progress'; readonly id: number; readonly progress: LoadProgress }
  | { readonly kind: 'tokens'; readonly id: number; readonly tokens: readonly Token[] }
  | { readonly kind: 'result'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly message: string; readonly aborted: boolean };
