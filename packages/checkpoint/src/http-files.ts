// A model's folder behind a URL, read by `fetch` with Range requests: only the bytes asked for travel.
// Owns: finding out size and Range support in the first request, checking every answer, retrying what may pass.
// A server that ignores Range (it answers 200) is read whole, once, into memory; there is no other way to be right. It
// may send what it said, or where it said nothing, no more than a text may have; every answer comes within a time.
// Does not own: the hub (node/hub), caching.
import {
  aFunction,
  aNumber,
  aWhole,
  checkOptions,
  either,
  type OptionRules,
  oneOf,
  RelufyError,
  show,
} from '@relufy/tensor';
import { listOfNames, longestWaitMs, someHeaders, toUrl } from './arguments.js';
import { readBounded, Stalled, within } from './bounded.js';
import {
  type ByteSource,
  checkFileName,
  checkRange,
  type ModelFiles,
  maxTextBytes,
  memorySource,
  readTextThrough,
} from './byte-source.js';
import { withGguf } from './gguf/folder.js';
import { pause } from './pause.js';

export interface HttpFilesInit {
  readonly headers?: Readonly<Record<string, string>>;
  readonly credentials?: RequestCredentials;
  /** For tests and for callers with their own transport. Default: the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** How often a request is tried when the connection breaks or the server is busy (429, 5xx). Default 3. */
  readonly attempts?: number;
  /** How long a server may leave a request without an answer, or an answer without a byte. Default 10,000 ms. */
  readonly timeoutMs?: number;
  /** The names of the files in the folder itself, where the caller knows them: no other is asked for there. */
  readonly files?: readonly string[] | (() => Promise<readonly string[] | undefined>);
}

const rules: OptionRules<HttpFilesInit> = {
  headers: someHeaders,
  credentials: oneOf('omit', 'same-origin', 'include'),
  fetch: aFunction,
  attempts: aWhole(1, 100),
  timeoutMs: aNumber(1, longestWaitMs),
  files: either('a list of file names, or a function that gives one', listOfNames, aFunction),
};

/** The first request asks for this much, so that a header or a small file costs one round trip. */
const firstBytes = 2 ** 16;

/**
 * The files below a URL; a URL that ends in .gguf stands for a folder with this file only.
 * @throws RelufyError `option` for what is no URL, and for options that do not fit.
 */
export function httpFiles(baseUrl: URL | string, init: HttpFilesInit = {}): ModelFiles {
  checkOptions('httpFiles', init, rules);
  const base = toUrl('httpFiles: address', baseUrl);
  if (!URL.canParse('a', base))
    throw new RelufyError('option', `httpFiles: address: expected the URL of a folder, got ${show(base.href)}.`);
  const single = /[^/]+\.gguf$/.exec(base.pathname)?.[0];
  if (!single && !base.pathname.endsWith('/')) base.pathname += '/';
  const name = base.origin === 'null' ? base.href : base.origin + base.pathname;

  let listing: Promise<readonly string[] | undefined> | undefined;
  const list = (): Promise<readonly string[] | undefined> => {
    if (single) return Promise.resolve([decodeURIComponent(single)]);
    listing ??= Promise.resolve(typeof init.files === 'function' ? init.files() : init.files);
    listing.catch(() => {
      listing = undefined; // a broken connection must not stick
    });
    return listing;
  };
  const openWithin = async (file: string, limitBytes: number | undefined, signal: AbortSignal | undefined) => {
    checkFileName(name, file);
    if (!file.includes('/') && (await list())?.includes(file) === false) return undefined;
    const url = new URL(file.split('/').map(encodeURIComponent).join('/'), base);
    url.search = base.search; // where a signature may stand
    return openHttp(url, single ? name : name + file, init, signal, limitBytes);
  };
  return withGguf({
    name,
    open: (file, signal) => openWithin(file, undefined, signal),
    readText: (file, options) =>
      readTextThrough((path, signal) => openWithin(path, options?.limitBytes ?? maxTextBytes, signal), file, options),
    ...(single || init.files ? { list: async () => (await list()) ?? [] } : {}),
  });
}

/** One file behind a URL; undefined: there is none. */
export async function openHttp(
  url: URL,
  name: string,
  init: HttpFilesInit,
  signal: AbortSignal | undefined,
  limitBytes: number | undefined,
): Promise<ByteSource | undefined> {
  return attempt(name, init, signal, async () => {
    const response = await request(url, 0, firstBytes, init, signal);
    if (response.status === 404 || response.status === 410 || isFallbackPage(response, name)) {
      discard(response);
      return undefined;
    }
    if (response.status === 416) {
      discard(response);
      if (contentRange(response)?.size === 0) return memorySource(name, new Uint8Array(0));
      throw answered(name, response);
    }
    if (response.status === 200) return memorySource(name, await readWhole(response, name, init, signal, limitBytes));
    const range = response.status === 206 ? contentRange(response) : undefined;
    if (range?.begin !== 0) {
      discard(response);
      throw answered(name, response);
    }
    const head = await readRange(response, name, Math.min(firstBytes, range.size), init, signal);
    return rangeSource(url, name, range.size, response.headers.get('etag'), head, init);
  });
}

function rangeSource(
  url: URL,
  name: string,
  size: number,
  etag: string | null,
  head: Uint8Array,
  init: HttpFilesInit,
): ByteSource {
  return {
    name,
    size,
    async read(offset, length, signal) {
      signal?.throwIfAborted();
      checkRange({ name, size }, offset, length);
      if (length === 0) return new Uint8Array(0);
      if (offset + length <= head.byteLength) return head.subarray(offset, offset + length);
      return attempt(name, init, signal, async () => {
        const response = await request(url, offset, length, init, signal);
        const range = response.status === 206 ? contentRange(response) : undefined;
        const changed = range && (range.size !== size || response.headers.get('etag') !== etag);
        if (!range || range.begin !== offset || changed) {
          discard(response);
          if (changed)
            throw new RelufyError(
              'io',
              `${name}: expected the file as it was opened, got another version. Load it again.`,
            );
          throw answered(name, response);
        }
        return readRange(response, name, length, init, signal);
      });
    },
    async close() {},
  };
}

async function request(
  url: URL,
  offset: number,
  length: number,
  init: HttpFilesInit,
  signal: AbortSignal | undefined,
): Promise<Response> {
  const stop = new AbortController();
  const asked = (init.fetch ?? fetch)(url, {
    headers: { ...init.headers, Range: `bytes=${offset}-${offset + length - 1}` },
    ...(init.credentials ? { credentials: init.credentials } : {}),
    signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
  });
  try {
    return await within(asked, idleMs(init), signal);
  } catch (error) {
    stop.abort(error);
    throw error;
  }
}

const idleMs = ({ timeoutMs = 10_000 }: HttpFilesInit): number => timeoutMs;

/** Not awaited: a body that stands still would not answer. */
function discard(response: Response): void {
  response.body?.cancel().catch(() => undefined);
}

/** Development servers answer a missing file with their start page and status 200. */
const isFallbackPage = (response: Response, name: string): boolean =>
  response.ok && /^text\/html\b/.test(response.headers.get('content-type') ?? '') && !name.endsWith('.html');

function contentRange(response: Response): { begin: number; size: number } | undefined {
  const match = /^bytes (?:(\d+)-\d+|\*)\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  return match ? { begin: Number(match[1] ?? 0), size: Number(match[2]) } : undefined;
}

/** The body of a range of `length` bytes. */
async function readRange(
  response: Response,
  name: string,
  length: number,
  init: HttpFilesInit,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const body = await readBounded(response.body, {
    limitBytes: length,
    idleMs: idleMs(init),
    signal,
    tooLong: () =>
      new RelufyError(
        'io',
        `${name}: expected ${length} bytes, got more. The server does not keep to the range asked for.`,
      ),
  });
  if (body.byteLength < length) throw new Transient(`${name}: expected ${length} bytes, got ${body.byteLength}`);
  return body;
}

/** A whole file from a server that knows no ranges: as much as it announced, or as a text may have. */
async function readWhole(
  response: Response,
  name: string,
  init: HttpFilesInit,
  signal: AbortSignal | undefined,
  limitBytes = Number.POSITIVE_INFINITY,
): Promise<Uint8Array> {
  const { headers } = response;
  // The length of a packed body says nothing about what it unpacks to.
  const announced = headers.has('content-encoding') ? undefined : (headers.get('content-length') ?? undefined);
  const length = announced === undefined ? undefined : Number(announced);
  const most = Math.min(limitBytes, length ?? maxTextBytes);
  const tooLong = (): RelufyError =>
    new RelufyError(
      'io',
      length === undefined && limitBytes > most
        ? `${name}: expected a server that answers ranges or says a length, got more than ${most} bytes without either. Serve the folder by a server that knows Range requests.`
        : `${name}: expected at most ${most} bytes, got more. Check the address.`,
    );
  if (length !== undefined && length > most) {
    discard(response);
    throw tooLong();
  }
  const body = await readBounded(response.body, { limitBytes: most, idleMs: idleMs(init), signal, tooLong });
  if (length !== undefined && body.byteLength < length)
    throw new Transient(`${name}: expected ${length} bytes, got ${body.byteLength}`);
  return body;
}

class Transient extends Error {}

/** Standing still costs the whole limit each time. */
const maxStalls = 2;

function answered(name: string, response: Response): Error {
  const got = `${name}: expected the file, got status ${response.status} ${response.statusText}`.trimEnd();
  if (response.status === 429 || response.status >= 500) return new Transient(got);
  const remedy =
    response.status === 401 || response.status === 403 ? 'Pass credentials that may read it.' : 'Check the address.';
  return new RelufyError('io', `${got}. ${remedy}`);
}

/** Runs a request again when it failed in a way that may pass; the last failure becomes the one error. */
async function attempt<T>(
  name: string,
  { attempts = 3 }: HttpFilesInit,
  signal: AbortSignal | undefined,
  run: () => Promise<T>,
): Promise<T> {
  let stalls = 0;
  for (let tried = 1; ; tried++) {
    try {
      return await run();
    } catch (error) {
      signal?.throwIfAborted();
      if (RelufyError.is(error)) throw error;
      if (error instanceof Stalled) stalls++;
      if (tried >= attempts || stalls >= maxStalls) {
        const got = error instanceof Transient ? error.message : `${name}: expected an answer, got ${reason(error)}`;
        throw new RelufyError('io', `${got} (tried ${tried} times). Try again later.`, { cause: error });
      }
      await pause(200 * 2 ** (tried - 1), signal);
    }
  }
}

function reason(error: unknown): string {
  const cause = (error as { cause?: { code?: string; message?: string } }).cause;
  return cause?.code ?? cause?.message ?? (error instanceof Error ? error.message : String(error));
}
