// The site as a function from a request to a response, for servers that speak fetch: ranges, and the headers that isolate
// the page. Does not own which files there are (site-files.ts) nor listening.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { type SiteOptions, siteFile } from './site-files.js';

/** undefined: the site has nothing at that path, or the request wants to change something. */
export type SitePage = (request: Request) => Promise<Response | undefined>;

/**
 * @example
 * const page = sitePage({ server: 'v1' });
 * app.get('*', async (context) => (await page(context.req.raw)) ?? context.notFound());
 */
export function sitePage(options: SiteOptions = {}): SitePage {
  return async ({ method, url, headers }) => {
    if (method !== 'GET' && method !== 'HEAD') return undefined;
    const file = await siteFile(pathOf(url), options);
    if (file === undefined) return undefined;
    const content = file.content === undefined ? undefined : new TextEncoder().encode(file.content);
    const size = content?.byteLength ?? (await stat(file.path as string)).size;
    const answer = {
      'content-type': file.contentType,
      'cache-control': file.immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
      'accept-ranges': 'bytes',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
      'cross-origin-resource-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
    };
    const asked = /^bytes=(\d+)-(\d*)$/.exec(headers.get('range') ?? '');
    const from = Number(asked?.[1] ?? 0);
    const to = asked?.[2] ? Math.min(size - 1, Number(asked[2])) : size - 1;
    if (asked && from > to)
      return new Response(null, { status: 416, headers: { ...answer, 'content-range': `bytes */${size}` } });
    const body =
      method === 'HEAD' || size === 0
        ? null
        : (content?.subarray(from, to + 1) ??
          (Readable.toWeb(
            createReadStream(file.path as string, { start: from, end: to }),
          ) as ReadableStream<Uint8Array>));
    return new Response(body as BodyInit | null, {
      status: asked ? 206 : 200,
      headers: {
        ...answer,
        'content-length': String(Math.max(0, to - from + 1)),
        ...(asked && { 'content-range': `bytes ${from}-${to}/${size}` }),
      },
    });
  };
}

/** A name that no file has, for what cannot be decoded. */
function pathOf(url: string): string {
  try {
    return decodeURIComponent(new URL(url).pathname).slice(1);
  } catch {
    return '\0';
  }
}
