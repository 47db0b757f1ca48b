// `fetch` by way of the proxy that HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name. Node's own fetch reads these
// variables only from version 24 on, and only when told so.
// Owns: choosing the proxy, the tunnel (CONNECT) for https, absolute requests for http.
// Does not own: redirects, retries (request.ts), who sees the token (token.ts). Without a proxy for a URL, the global fetch is used as it is.
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import type { ReadableStream as NodeStream } from 'node:stream/web';
import { connect as connectTls } from 'node:tls';
import type { Environment } from './environment.js';

/** The proxy for a URL, or undefined. */
export function proxyFor(url: URL, env: Environment): URL | undefined {
  const read = (name: string): string | undefined => env[name.toLowerCase()] || env[name] || undefined;
  if (isExcluded(url, read('NO_PROXY') ?? '')) return undefined;
  const proxy = read(url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY') ?? read('ALL_PROXY');
  if (!proxy) return undefined;
  const parsed = new URL(proxy.includes('://') ? proxy : `http://${proxy}`);
  if (parsed.protocol !== 'http:')
    throw new Error(`proxy ${parsed.protocol}//${parsed.host}: only http:// proxies are supported`);
  return parsed;
}

/** NO_PROXY: names separated by commas; `*` is all, `.example.org` and `example.org` also stand for what is below them. */
function isExcluded({ hostname, port, protocol }: URL, list: string): boolean {
  return list.split(/[\s,]+/).some((entry) => {
    if (entry === '*') return true;
    const [, host = '', wanted] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
    const suffix = host.replace(/^\*?\./, '').toLowerCase();
    if (suffix === '' || (wanted !== undefined && wanted !== (port || (protocol === 'https:' ? '443' : '80'))))
      return false;
    return hostname === suffix || hostname.endsWith(`.${suffix}`);
  });
}

/** One request and its answer; a redirect is an answer where the request says `manual`, and always by way of a proxy. */
export const proxyFetch: typeof fetch = async (input, init) => {
  const url = new URL(input instanceof Request ? input.url : input);
  if (!proxyFor(url, process.env)) return fetch(input, init);
  const request = new Request(input, init);
  const body = request.body ? Buffer.from(await request.arrayBuffer()) : undefined;
  return toResponse(await send(url, request, request.headers, body), url);
};

function toResponse(message: IncomingMessage, url: URL): Response {
  const headers = new Headers();
  for (const [name, value] of Object.entries(message.headers))
    if (value !== undefined) headers.set(name, String(value));
  const { statusCode: status = 502 } = message;
  const empty = status === 204 || status === 304;
  if (empty) message.resume();
  const stream = empty
    ? null
    : (Readable.toWeb(message) as NodeStream<Uint8Array> as unknown as ReadableStream<Uint8Array>);
  const response = new Response(stream, { status, headers });
  Object.defineProperty(response, 'url', { value: url.href });
  return response;
}

async function send(url: URL, request: Request, headers: Headers, body: Buffer | undefined): Promise<IncomingMessage> {
  const proxy = proxyFor(url, process.env);
  const { method, signal } = request;
  const plain: RequestOptions = {
    method,
    signal,
    headers: { ...Object.fromEntries(headers), 'accept-encoding': 'identity' },
  };
  if (!proxy) return answerOf((url.protocol === 'https:' ? httpsRequest : httpRequest)(url, plain), body);
  const authorization = proxyAuthorization(proxy);
  if (url.protocol === 'https:') {
    const socket = await tunnel(proxy, url, authorization, signal);
    return answerOf(
      httpsRequest(url, {
        ...plain,
        createConnection: () => connectTls({ socket, servername: url.hostname }),
      }),
      body,
    );
  }
  const { hostname: host, port } = proxy;
  const absolute = {
    ...plain,
    host,
    port: port || 80,
    path: url.href,
    headers: { ...plain.headers, host: url.host, ...authorization },
  };
  return answerOf(httpRequest(absolute), body);
}

const proxyAuthorization = ({ username, password }: URL): Record<string, string> =>
  username === ''
    ? {}
    : {
        'proxy-authorization': `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`,
      };

function answerOf(request: ReturnType<typeof httpRequest>, body: Buffer | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve).once('error', reject).end(body);
  });
}

/** A socket to the host of `url` through the proxy. */
function tunnel(proxy: URL, url: URL, authorization: Record<string, string>, signal: AbortSignal) {
  const target = `${url.hostname}:${url.port || 443}`;
  const request = httpRequest({
    host: proxy.hostname,
    port: proxy.port || 80,
    method: 'CONNECT',
    path: target,
    headers: { host: target, ...authorization },
    agent: false,
    signal,
  });
  return new Promise<import('node:stream').Duplex>((resolve, reject) => {
    request.once('connect', (response, socket) => {
      if (response.statusCode === 200) return resolve(socket);
      socket.destroy();
      reject(new Error(`proxy ${proxy.host} answered ${response.statusCode} to CONNECT ${target}`));
    });
    request.once('error', reject).end();
  });
}
