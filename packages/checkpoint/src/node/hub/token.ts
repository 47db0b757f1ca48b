// Who may see the user's token: the origin of HF_ENDPOINT and nobody else, over https, or over plain http where it does
// not leave this machine. Every hop of every request (pages, redirects, Xet, downloads) gets its headers here, and
// nothing else in the client knows the token.
// Does not own: where the token comes from (environment.ts), sending (request.ts).
import { isIPv4 } from 'node:net';
import { RelufyError } from '@relufy/tensor';
import { proxyFor } from './proxy.js';

export interface Secret {
  /** Where it belongs. */
  readonly endpoint: string;
  readonly token: string | undefined;
}

/** @throws RelufyError for what cannot be a token; its text is not repeated. */
export function checkToken(token: string | undefined): string | undefined {
  if (token !== undefined && !/^hf_[\x21-\x7e]+$/.test(token))
    throw new RelufyError(
      'io',
      'hub token: expected text that begins with "hf_", without spaces, got other text. Check HF_TOKEN, or log in again with `hf auth login`.',
    );
  return token;
}

/** The headers of one hop. `headers` are those of the request, which lost theirs at the first hop to another origin. */
export function headersFor(url: URL, headers: Headers, { endpoint, token }: Secret): Headers {
  const own = new Headers(headers);
  if (!isPrivate(url)) own.delete('authorization');
  else if (token !== undefined && !own.has('authorization') && url.origin === new URL(endpoint).origin)
    own.set('authorization', `Bearer ${token}`);
  return own;
}

/** Nobody on the way can read what is sent there. */
export function isPrivate(url: URL): boolean {
  if (url.protocol !== 'http:') return url.protocol === 'https:';
  const proxy = proxyFor(url, process.env);
  return isLoopback(url.hostname) && (proxy === undefined || isLoopback(proxy.hostname));
}

/** By address, or by the one name that every system keeps to itself. */
function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || (isIPv4(hostname) && hostname.startsWith('127.'));
}
