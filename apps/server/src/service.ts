// What every route works with: the models, the log, the numbers, the limits; and what is known of one request. Does not
// own any route.
import type { Log, OncePerField } from './log.js';
import type { Metrics } from './metrics.js';
import type { ServedModels } from './served-models.js';

export interface Limits {
  readonly bodyBytes: number;
  /** Silence after which a stream says that it is alive. */
  readonly pingMs: number;
  /** The longest that one request computes. */
  readonly deadlineMs: number;
}

export interface Service {
  readonly models: ServedModels;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly unreadFields: OncePerField;
  readonly limits: Limits;
  /** Prompts and answers go to the log. */
  readonly logsPrompts: boolean;
  /** What a request leaves open is as the model's author recommends. */
  readonly recommendedSampling: boolean;
  readonly version: string;
  /** Aborts when the server ends, and what it computes with it. */
  readonly closing: AbortSignal;
}

/** One request. */
export interface Call {
  readonly service: Service;
  readonly request: Request;
  readonly route: string;
  /** Who asks, for fairness: a key's place in the list, or an address. */
  readonly client: string;
  readonly isBatch: boolean;
  readonly start: number;
  /** What the log line of the request says besides. */
  readonly notes: Record<string, unknown>;
}
