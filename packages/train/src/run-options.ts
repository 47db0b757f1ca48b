// What a run is told besides its config, and what it tells: events, warnings, and how far it is within something that takes
// long. Does not own the run (run.ts) or how anybody shows it.
import type { Model } from '@relufy/models';
import type { Backend } from '@relufy/tensor';
import type { Metrics, StartMetrics } from './run-folder.js';
import type { OpenModel } from './start-model.js';

export interface RunOptions {
  /** Default: native where its binary is there, else WASM. Whoever gives one disposes it. */
  readonly backend?: Backend;
  /** How models are found; default: paths, URLs and names on the hub. */
  readonly open?: OpenModel;
  /** Loads the teacher of a distillation. */
  readonly loadTeacher?: (source: string) => Promise<Model>;
  readonly onEvent?: (event: RunEvent) => void;
  /** Stops after the step at hand, with a checkpoint. */
  readonly signal?: AbortSignal;
}

export type RunEvent =
  | {
      readonly kind: 'start';
      readonly parameters: number;
      readonly sequences: number;
      /** Everything that the session holds; and what of it is the arena where activations share space. */
      readonly memoryBytes: number;
      readonly activationBytes: number;
    }
  | { readonly kind: 'resumed'; readonly step: number; readonly path: string }
  /** Something that the run does not stop for, and that a person wants to know; a sentence. */
  | { readonly kind: 'warning'; readonly message: string }
  /** Before the first step, where there is held-out text. */
  | { readonly kind: 'evaluated'; readonly metrics: StartMetrics }
  | { readonly kind: 'step'; readonly metrics: Metrics }
  | { readonly kind: 'checkpoint'; readonly path: string }
  /** What is being done, and the share of it that is done, 0 to 1; as often as there is something to tell. */
  | { readonly kind: 'progress'; readonly what: string; readonly share?: number }
  | {
      readonly kind: 'done';
      readonly folder: string;
      readonly metrics: Metrics | undefined;
      /** The largest resident set that this process has had. */
      readonly peakBytes: number;
    };

/** What is being done, in words, and the share of it that is done, 0 to 1; absent where nobody knows. */
export type OnProgress = (what: string, share?: number) => void;

export function progressOf({ onEvent }: RunOptions): OnProgress {
  return (what, share) => onEvent?.({ kind: 'progress', what, ...(share !== undefined && { share }) });
}

export function warn({ onEvent }: RunOptions, message: string): void {
  if (onEvent) onEvent({ kind: 'warning', message });
  else process.emitWarning(message);
}
