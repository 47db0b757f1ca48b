// Which files a repository of the hub has, asked by `fetch` alone: a page then asks for no file that is not there, which
// the browser's console would show in red.
// Owns: the pages of the listing and their bounds. Does not own: the hub in Node, with its cache (node/hub).
import { aFunction, aNumber, checkOptions } from '@relufy/tensor';
import { longestWaitMs, someHeaders, toUrl } from './arguments.js';
import { readBounded } from './bounded.js';

export interface HubListingOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** For tests. Default: the global `fetch`. */
  readonly fetch?: typeof fetch;
}

const maxPages = 20;
const maxPageBytes = 2 ** 22;

/**
 * The names of the files below the address of a listing (`https://huggingface.co/api/models/ID/tree/REVISION/FOLDER`),
 * relative to that folder; undefined where the hub does not say them all: whoever asks then tries every name.
 */
export async function hubListing(
  address: URL,
  options: HubListingOptions = {},
): Promise<readonly string[] | undefined> {
  checkOptions('hubListing', options, {
    headers: someHeaders,
    timeoutMs: aNumber(1, longestWaitMs),
    fetch: aFunction,
  });
  toUrl('hubListing: address', address);
  const { headers, timeoutMs = 10_000, fetch: get = fetch } = options;
  const folder = decodeURIComponent(/\/tree\/[^/]+\/?(.*?)\/?$/.exec(address.pathname)?.[1] ?? '');
  const prefix = folder === '' ? '' : `${folder}/`;
  const names: string[] = [];
  try {
    let page: URL | undefined = address;
    for (let pages = 0; page; pages++) {
      if (pages >= maxPages || page.origin !== address.origin) return undefined;
      const response: Response = await get(page, {
        ...(headers ? { headers } : {}),
        signal: AbortSignal.timeout(timeoutMs),
      });
      if (!response.ok) {
        response.body?.cancel().catch(() => undefined);
        return undefined;
      }
      const body = await readBounded(response.body, {
        limitBytes: maxPageBytes,
        idleMs: timeoutMs,
        tooLong: () => new Error('too long'),
      });
      for (const entry of JSON.parse(new TextDecoder().decode(body)) as { type?: unknown; path?: unknown }[])
        if (entry.type === 'file' && typeof entry.path === 'string' && entry.path.startsWith(prefix))
          names.push(entry.path.slice(prefix.length));
      const next = /<([^>]*)>;\s*rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
      page = next === undefined ? undefined : new URL(next, page);
    }
    return names;
  } catch {
    return undefined; // the files themselves will say what is wrong
  }
}
