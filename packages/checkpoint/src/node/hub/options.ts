// What a call to the hub can be told, and the table that checks it.
// Does not own what the environment says where a call says nothing (environment.ts).
import {
  aBoolean,
  aFunction,
  aNumber,
  anything,
  aSignal,
  aText,
  aWhole,
  checkOptions,
  either,
  type OptionRules,
  oneOf,
} from '@relufy/tensor';
import { isPath } from '../../arguments.js';
import type { HubProgress } from './progress.js';
import { longestPauseMs } from './request.js';

export interface HubOptions {
  /** A branch, tag or commit. Default: what the id says after "@", else `main`. */
  readonly revision?: string | undefined;
  /** A folder of the repository. */
  readonly subfolder?: string | undefined;
  /** Default: HF_TOKEN, or the token of `hf auth login`. `false`: none. */
  readonly token?: string | false | undefined;
  /** Default: HF_HUB_CACHE, else the hub folder below HF_HOME. */
  readonly cacheDir?: string | undefined;
  /** Use the cache only. Default: HF_HUB_OFFLINE. */
  readonly localFilesOnly?: boolean | undefined;
  readonly onProgress?: ((event: HubProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** How many files are fetched at a time. Default 4. */
  readonly parallel?: number;
  /** How often a request or a broken download is tried, and the first wait between. Default 5 and 500 ms. */
  readonly retry?: { readonly attempts?: number; readonly pauseMs?: number };
}

const retryRules: OptionRules<NonNullable<HubOptions['retry']>> = {
  attempts: aWhole(1, 100),
  pauseMs: aNumber(0, longestPauseMs),
};

const rules: OptionRules<HubOptions> = {
  revision: aText,
  subfolder: aText,
  token: either('a text or false', aText, oneOf(false)),
  cacheDir: { expected: 'a path', fits: isPath },
  localFilesOnly: aBoolean,
  onProgress: aFunction,
  signal: aSignal,
  parallel: aWhole(1, 64),
  retry: anything, // its own table
};

/** @throws RelufyError `option` for an option that does not exist or does not fit. */
export function checkHubOptions(call: string, options: HubOptions): void {
  checkOptions(call, options, rules);
  if (options.retry !== undefined) checkOptions(`${call} retry`, options.retry, retryRules);
}
