// The `fetch` that every request to the hub goes through.
// Owns: redirects, trying again what may pass (broken connections, 408, 429, 5xx; a Retry-After is honoured), one clear
// error for the rest, the limits on an answer's time and size. Does not own: which requests are made (hub-files.ts,
// download.ts), who sees the token (token.ts), proxies (proxy.ts).
import { RelufyError, show } from '@relufy/tensor';
import { readBounded, Stalled } from '../../bounded.js';
import { pause } from '../../pause.js';
import { type RepositoryKind, repositoryPath } from './id.js';
import { proxyFetch } from './proxy.js';
import { headersFor, isPrivate, type Secret } from './token.js';

export interface HubRequests extends Secret {
  readonly kind: RepositoryKind;
  readonly repository: string;
  /** How long the hub may leave a request without an answer, or an answer without a byte. */
  readonly timeoutMs: number;
  /** How often a request is tried. */
  readonly attempts: number;
  /** The wait before the second try; it doubles from there. */
  readonly pauseMs: number;
  readonly signal: AbortSignal | undefined;
  /** Hears why a request is about to be tried again. */
  readonly onWait?: (reason: string) => void;
}

/** What of an answer's body is read before it is handed on: all, which may be so many bytes; nothing; or the caller reads it. */
export type Reading = number | 'headers' | 'stream';

/** The server could not be reached at all: a cached copy may do. */
export class Unreachable extends RelufyError {}

export const longestPauseMs = 60_000;
const mayPass = new Set([408, 425, 429, 500, 502, 503, 504]);
const maxRedirects = 10;
/** Of an answer in JSON; a page of a listing, of 1000 files, has some 300 kB. */
const answerBytes = 2 ** 22;
/** A connection that stands still is not tried as often as one that breaks: each try costs the whole limit. */
const maxStalls = 2;

export function hubFetch(
  requests: HubRequests,
  reading: Reading | ((url: URL) => Reading) = answerBytes,
): typeof fetch {
  const { attempts, pauseMs, signal, onWait } = requests;
  return async (input, init) => {
    const url = httpUrl(requests, input instanceof Request ? input.url : input, new URL(requests.endpoint));
    let stalls = 0;
    for (let tried = 1; ; tried++) {
      let failure: { response: Response } | { error: unknown };
      try {
        const response = await followed(requests, url, init);
        if (response.ok) return await read(requests, response, typeof reading === 'function' ? reading(url) : reading);
        discard(response);
        if (!mayPass.has(response.status)) throw refused(requests, response);
        failure = { response };
      } catch (error) {
        signal?.throwIfAborted();
        if (RelufyError.is(error)) throw error;
        if (error instanceof Stalled) stalls++;
        failure = { error };
      }
      if (tried >= attempts || stalls >= maxStalls) throw gaveUp(requests, failure, tried);
      onWait?.('error' in failure ? reasonOf(failure.error) : `status ${failure.response.status}`);
      const asked = 'response' in failure ? retryAfterMs(failure.response) : undefined;
      await pause(Math.min(longestPauseMs, asked ?? pauseMs * 2 ** (tried - 1)), signal);
    }
  };
}

/** A request through all its redirects. What else the headers hold stays with the origin that they were made for. */
async function followed(requests: HubRequests, first: URL, init: RequestInit | undefined): Promise<Response> {
  let url = first;
  const headers = new Headers(init?.headers);
  for (let hops = 0; hops <= maxRedirects; hops++) {
    const response = await fetchOnce(requests, url, { ...init, headers: headersFor(url, headers, requests) });
    const location = response.headers.get('location');
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return response;
    discard(response);
    const next = httpUrl(requests, location, url);
    if (next.origin !== url.origin) headers.delete('authorization');
    url = next;
  }
  throw protocolError(requests, `at most ${maxRedirects} redirects`, 'more');
}

async function fetchOnce({ timeoutMs, signal }: HubRequests, url: URL, init: RequestInit): Promise<Response> {
  signal?.throwIfAborted();
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(new Stalled(`no answer within ${timeoutMs} ms`)), timeoutMs);
  const signals = [timeout.signal, signal, init.signal].filter((one) => one !== undefined && one !== null);
  try {
    return await proxyFetch(url, { ...init, redirect: 'manual', signal: AbortSignal.any(signals) });
  } finally {
    clearTimeout(timer); // from here on the reader of the body watches the time
  }
}

async function read(requests: HubRequests, response: Response, reading: Reading): Promise<Response> {
  if (reading === 'stream') return response;
  let body: Uint8Array | null = null;
  if (reading === 'headers') discard(response);
  else
    body = await readBounded(response.body, {
      limitBytes: reading,
      idleMs: requests.timeoutMs,
      totalMs: 6 * requests.timeoutMs,
      signal: requests.signal,
      tooLong: () => protocolError(requests, `an answer of at most ${reading} bytes`, 'more'),
    });
  const { status, headers, url } = response;
  const whole = new Response(body as BodyInit | null, { status, headers });
  Object.defineProperty(whole, 'url', { value: url });
  return whole;
}

/** Not awaited: a body that stands still would not answer. */
function discard(response: Response): void {
  response.body?.cancel().catch(() => undefined);
}

/** An address that the hub or the library gave. Node's fetch reads `data:` and `blob:` too. */
function httpUrl(requests: HubRequests, address: string | URL, base?: URL): URL {
  const text = String(address);
  if (URL.canParse(text, base)) {
    const url = new URL(text, base);
    if (/^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url;
  }
  throw protocolError(requests, 'an http address', show(text));
}

/** What the hub answered is not what a hub answers. */
export function protocolError(
  { kind, repository, endpoint }: Pick<HubRequests, 'kind' | 'repository' | 'endpoint'>,
  expected: string,
  got: string,
): RelufyError {
  return new RelufyError(
    'io',
    `hub ${kind} ${show(repository)}: expected ${expected} from ${endpoint}, got ${got}. The server does not speak the hub's protocol, or the repository changes just now.`,
  );
}

function refused({ kind, repository, endpoint, token }: HubRequests, response: Response): RelufyError {
  const { status } = response;
  const code = shortCode(response);
  const where = `hub ${kind} ${show(repository)}`;
  const unsent = token !== undefined && !isPrivate(new URL(endpoint));
  const [what, remedy] =
    unsent && (status === 401 || status === 403 || status === 404)
      ? [
          `expected a ${kind} of this name that needs no token`,
          `Your token was not sent: ${endpoint} is not https. Set HF_ENDPOINT to an https address.`,
        ]
      : code === 'GatedRepo'
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

/** The hub's word for what is wrong; anything longer is not one. */
const shortCode = (response: Response): string | undefined =>
  /^[A-Za-z]{1,40}$/.exec(response.headers.get('x-error-code') ?? '')?.[0];

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
