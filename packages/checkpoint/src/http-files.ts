// A model's folder behind a URL, read by `fetch` with Range requests: only the bytes asked for travel.
// Owns: finding out size and Range support in the first request, checking every answer, retrying what may pass.
// A server that ignores Range (it answers 200) is read whole, once, into memory; there is no other way to be right.
// Does not own: the hub (node/hub), caching.
import { RelufyError } from '@relufy/tensor';
import {
  type ByteSource,
  checkFileName,
  checkRange,
  type ModelFiles,
  memorySource,
  readTextThrough,
} from './byte-source.js';
import { withGguf } from './gguf/folder.js';

export interface HttpFilesInit {
  readonly headers?: Readonly<Record<string, string>>;
  readonly credentials?: RequestCredentials;
  /** For tests and for callers with their own transport. Default: the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** How often a request is tried when the connection breaks or the server is busy (429, 5xx). Default 3. */
  readonly attempts?: number;
}

/** The first request asks for this much, so that a header or a small file costs one round trip. */
const firstBytes = 2 ** 16;

/** The files below a URL; a URL that ends in .gguf stands for a folder with this file only. */
export function httpFiles(baseUrl: URL | string, init: HttpFilesInit = {}): ModelFiles {
  const page = (globalThis as { location?: { href: string } }).location?.href;
  const base = new URL(baseUrl, page);
  const single = /[^/]+\.gguf$/.exec(base.pathname)?.[0];
  if (!single && !base.pathname.endsWith('/')) base.pathname += '/';
  const name = base.origin === 'null' ? base.href : base.origin + base.pathname;

  const open: ModelFiles['open'] = async (file, signal) => {
    checkFileName(name, file);
    if (single && file !== decodeURIComponent(single)) return undefined;
    const url = new URL(file.split('/').map(encodeURIComponent).join('/'), base);
    url.search = base.search; // where a signature may stand
    return openUrl(url, single ? name : name + file, init, signal);
  };
  return withGguf({
    name,
    open,
    readText: (file, options) => readTextThrough(open, file, options),
    ...(single ? { list: async () => [decodeURIComponent(single)] } : {}),
  });
}

async function openUrl(
  url: URL,
  name: string,
  init: HttpFilesInit,
  signal: AbortSignal | undefined,
): Promise<ByteSource | undefined> {
  return attempt(name, init, signal, async () => {
    const response = await request(url, 0, firstBytes, init, signal);
    if (response.status === 404 || response.status === 410 || isFallbackPage(response, name)) {
      await response.body?.cancel();
      return undefined;
    }
    if (response.status === 416) {
      await response.body?.cancel();
      if (contentRange(response)?.size === 0) return memorySource(name, new Uint8Array(0));
      throw answered(name, response);
    }
    if (response.status === 200) return memorySource(name, await readBody(response, name, undefined));
    const range = response.status === 206 ? contentRange(response) : undefined;
    if (range?.begin !== 0) {
      await response.body?.cancel();
      throw answered(name, response);
    }
    const head = await readBody(response, name, Math.min(firstBytes, range.size));
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
          await response.body?.cancel();
          if (changed)
            throw new RelufyError(
              'io',
              `${name}: expected the file as it was opened, got another version. Load it again.`,
            );
          throw answered(name, response);
        }
        return readBody(response, name, length);
      });
    },
    async close() {},
  };
}

function request(
  url: URL,
  offset: number,
  length: number,
  init: HttpFilesInit,
  signal: AbortSignal | undefined,
): Promise<Response> {
  return (init.fetch ?? fetch)(url, {
    headers: { ...init.headers, Range: `bytes=${offset}-${offset + length - 1}` },
    ...(init.credentials ? { credentials: init.credentials } : {}),
    ...(signal ? { signal } : {}),
  });
}

/** Development servers answer a missing file with their start page and status 200. */
const isFallbackPage = (response: Response, name: string): boolean =>
  response.ok && /^text\/html\b/.test(response.headers.get('content-type') ?? '') && !name.endsWith('.html');

function contentRange(response: Response): { begin: number; size: number } | undefined {
  const match = /^bytes (?:(\d+)-\d+|\*)\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  return match ? { begin: Number(match[1] ?? 0), size: Number(match[2]) } : undefined;
}

/** Reads a body of exactly `length` bytes, or, where that is unknown, as long as it is. */
async function readBody(response: Response, name: string, length: number | undefined): Promise<Uint8Array> {
  if (length === undefined) return new Uint8Array(await response.arrayBuffer());
  const out = new Uint8Array(length);
  let done = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const piece = await reader?.read();
    if (!piece || piece.done) break;
    if (done + piece.value.byteLength > length) {
      await reader?.cancel();
      throw new RelufyError(
        'io',
        `${name}: expected ${length} bytes, got more. The server does not keep to the range asked for.`,
      );
    }
    out.set(piece.value, done);
    done += piece.value.byteLength;
  }
  if (done < length) throw new Transient(`${name}: expected ${length} bytes, got ${done}`);
  return out;
}

class Transient extends Error {}

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
  for (let tried = 1; ; tried++) {
    try {
      return await run();
    } catch (error) {
      signal?.throwIfAborted();
      if (RelufyError.is(error)) throw error;
      if (tried >= attempts) {
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

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
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
