// The `fetch` that every request to the hub goes through.
// Owns: trying again what may pass (broken connections, 408, 429, 5xx; a Retry-After is honoured), one clear error for
// the rest, the limit on waiting for an answer, proxies. Does not own: which requests are made (hub-files.ts, download.ts).
import { RelufyError, show } from '@relufy/tensor';
import { type RepositoryKind, repositoryPath } from './id.js';
import { proxyFetch } from './proxy.js';

export interface HubRequests {
  readonly kind: RepositoryKind;
  readonly repository: string;
  readonly endpoint: string;
  readonly timeoutMs: number;
  /** How often a request is tried. */
  readonly attempts: number;
  /** The wait before the second try; it doubles from there. */
  readonly pauseMs: number;
  readonly signal: AbortSignal | undefined;
}

/** The server could not be reached at all: a cached copy may do. */
export class Unreachable extends RelufyError {}

const longestPauseMs = 60_000;
const mayPass = new Set([408, 425, 429, 500, 502, 503, 504]);

export function hubFetch(requests: HubRequests): typeof fetch {
  const { attempts, pauseMs, signal } = requests;
  return async (input, init) => {
    for (let tried = 1; ; tried++) {
      let failure: { response: Response } | { error: unknown };
      try {
        const response = await fetchOnce(requests, input, init);
        if (response.ok) return response;
        await response.body?.cancel();
        if (!mayPass.has(response.status)) throw refused(requests, response);
        failure = { response };
      } catch (error) {
        signal?.throwIfAborted();
        if (RelufyError.is(error)) throw error;
        failure = { error };
      }
      if (tried >= attempts) throw gaveUp(requests, failure, tried);
      const asked = 'response' in failure ? retryAfterMs(failure.response) : undefined;
      await pause(Math.min(longestPauseMs, asked ?? pauseMs * 2 ** (tried - 1)), signal);
    }
  };
}

async function fetchOnce(
  { timeoutMs, signal }: HubRequests,
  input: RequestInfo | URL,
  init: RequestInit | undefined,
): Promise<Response> {
  signal?.throwIfAborted();
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  const signals = [timeout.signal, signal, init?.signal].filter((one) => one !== undefined && one !== null);
  try {
    return await proxyFetch(input, { ...init, signal: AbortSignal.any(signals) });
  } finally {
    clearTimeout(timer); // from here on the reader of the body watches the time
  }
}

function refused({ kind, repository, endpoint }: HubRequests, response: Response): RelufyError {
  const { status } = response;
  const code = response.headers.get('x-error-code');
  const where = `hub ${kind} ${show(repository)}`;
  const [what, remedy] =
    code === 'GatedRepo'
      ? [
          'expected access to it',
          `Accept its terms on ${endpoint}/${repositoryPath(kind, repository)}, then set HF_TOKEN to your token.`,
        ]
      : code === 'RevisionNotFound'
        ? ['expected this revision of it', 'Check the name of the branch, tag or commit.']
        : code === 'EntryNotFound'
          ? ['expected this file in it', 'The repository changed meanwhile; try again.']
          : status === 403
            ? ['expected access to it', 'Check that the token in HF_TOKEN may read it.']
            : status === 401 || status === 404
              ? [`expected a ${kind} of this name`, 'Check the spelling; for a private or gated one, set HF_TOKEN.']
              : ['expected an answer', `Check ${endpoint}.`];
  return new RelufyError('io', `${where}: ${what}, got status ${status}${code ? ` (${code})` : ''}. ${remedy}`);
}

function gaveUp(
  { kind, repository, endpoint }: HubRequests,
  failure: { response: Response } | { error: unknown },
  tried: number,
): RelufyError {
  const times = tried === 1 ? '' : `, ${tried} times`;
  const where = `hub ${kind} ${show(repository)}`;
  if ('error' in failure)
    return new Unreachable(
      'io',
      `${where}: expected an answer from ${endpoint}, got ${reasonOf(failure.error)}${times}. Check the network, or set HF_HUB_OFFLINE=1 to use the cache.`,
      { cause: failure.error },
    );
  const { status } = failure.response;
  const remedy = status === 429 ? 'Wait a few minutes; a token in HF_TOKEN raises the limit.' : 'Try again later.';
  return new RelufyError(
    'io',
    `${where}: expected an answer from ${endpoint}, got status ${status}${times}. ${remedy}`,
  );
}

/** A connection's failure in a word: `ECONNREFUSED`, `no answer within 10000 ms`. */
export function reasonOf(error: unknown): string {
  const { cause, code, message } = error as { cause?: unknown; code?: string; message?: string };
  if (cause) return reasonOf(cause);
  return code ?? message ?? String(error);
}

function retryAfterMs(response: Response): number | undefined {
  const header = response.headers.get('retry-after');
  if (header === null) return undefined;
  const seconds = Number(header);
  const wait = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now();
  return wait >= 0 ? wait : undefined;
}

/** Waits; an abort ends it with the signal's reason. */
export function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
