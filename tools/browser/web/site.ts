// What the tests of the chat page talk to: the page's files at a sub-path as a plain server gives them, a hub, and an
// OpenAI-compatible server, on one port. Each can misbehave: be slow, hang up, send damaged bytes.
// Does not own the page (apps/web) nor what is asked of it.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { modelUrl } from '@relufy/llama-tales';
import { root } from '../../checks/workspace.js';

interface SiteFile {
  readonly contentType: string;
  readonly path?: string;
  readonly content?: string;
}
type SiteFiles = (path: string, options: { models: readonly string[] }) => Promise<SiteFile | undefined>;

export interface Misbehaviour {
  /** The hub's weights: the connection ends after so many bytes, this many times. */
  hangUp?: { readonly after: number; times: number };
  /** The hub's weights arrive at this pace, up to this byte; no further byte is sent until this is removed. */
  paced?: { readonly bytesPerSecond: number; readonly upTo: number };
  /** The hub's weights have one wrong byte. */
  damaged?: boolean;
}

export interface TestSite {
  /** Of the page, below a sub-path. */
  readonly url: string;
  /** Of the hub and of the server. */
  readonly hub: string;
  readonly server: string;
  readonly misbehaviour: Misbehaviour;
  /** Ranges that the hub's weights were asked for: `bytes=10-`, or `` for all. */
  readonly ranges: string[];
  /** Bodies of requests to the server. */
  readonly asked: { messages: { role: string; content: string }[]; [option: string]: unknown }[];
  close(): void;
}

const modelFiles = [
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
];
export const modelFolder = fileURLToPath(modelUrl);

/** `models`: those that lie beside the page. */
export async function startSite(models: readonly string[] = ['llama-tales']): Promise<TestSite> {
  const { siteFile } = (await import(/* @vite-ignore */ `${root}apps/web/dist/site/index.js`)) as {
    siteFile: SiteFiles;
  };
  const site: Omit<TestSite, 'url' | 'hub' | 'server' | 'close'> = { misbehaviour: {}, ranges: [], asked: [] };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const work = pathname.startsWith('/hub/')
      ? hub(site, pathname.slice(5), request, response)
      : pathname.startsWith('/v1/')
        ? openAi(site, pathname.slice(4), request, response)
        : page((path) => siteFile(path, { models }), pathname, response);
    work.catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    ...site,
    url: `${base}/some/where/`,
    hub: `${base}/hub`,
    server: `${base}/v1`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function page(
  fileAt: (path: string) => ReturnType<SiteFiles>,
  pathname: string,
  response: ServerResponse,
): Promise<void> {
  const path = pathname.startsWith('/some/where/') ? decodeURIComponent(pathname.slice(12)) : undefined;
  const file = path === undefined ? undefined : await fileAt(path);
  if (file === undefined) return void response.writeHead(404).end();
  response.writeHead(200, { 'content-type': file.contentType });
  response.end(file.path === undefined ? file.content : await readFile(file.path));
}

async function hub(
  site: Pick<TestSite, 'misbehaviour' | 'ranges'>,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [, file = ''] = /^fox\/tales\/resolve\/main\/(.+)$/.exec(path) ?? [];
  if (path === 'api/models/fox/tales/tree/main') {
    const entries = modelFiles.map(async (name) => {
      const content = await readFile(modelFolder + name);
      const isLarge = name.endsWith('.safetensors');
      const oid = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
      const lfs = { oid: createHash('sha256').update(content).digest('hex'), size: content.length };
      return { type: 'file', path: name, size: content.length, oid, ...(isLarge && { lfs }) };
    });
    return void response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify(await Promise.all(entries)));
  }
  if (!modelFiles.includes(file)) return void response.writeHead(404).end();
  const content = Buffer.from(await readFile(modelFolder + file));
  const range = request.headers.range ?? '';
  const from = Number(/^bytes=(\d+)-/.exec(range)?.[1] ?? 0);
  const headers = { 'content-length': content.length - from, 'access-control-allow-origin': '*' };
  if (range === '') response.writeHead(200, headers);
  else
    response.writeHead(206, { ...headers, 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` });
  if (!file.endsWith('.safetensors')) return void response.end(content.subarray(from));
  site.ranges.push(range);
  const { misbehaviour } = site;
  if (misbehaviour.damaged) content[1_000_000]! ^= 1;
  const { hangUp } = misbehaviour;
  if (hangUp && hangUp.times > 0) {
    hangUp.times--;
    response.write(content.subarray(from, from + hangUp.after));
    setTimeout(() => response.destroy(), 100);
    return;
  }
  let at = from;
  while (misbehaviour.paced && !response.destroyed) {
    const { bytesPerSecond, upTo } = misbehaviour.paced;
    const next = Math.min(at + bytesPerSecond / 20, upTo);
    if (next > at) response.write(content.subarray(at, next));
    at = Math.max(at, next);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  response.end(content.subarray(at));
}

/** Streams an answer in the shape of llama-server, word by word. */
async function openAi(
  site: Pick<TestSite, 'asked'>,
  route: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (route === 'models')
    return void response.end(JSON.stringify({ data: [{ id: 'far-away', meta: { n_ctx: 2048 } }] }));
  let text = '';
  for await (const chunk of request) text += chunk;
  site.asked.push(JSON.parse(text));
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (chunk: object) => response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  for (const word of ['Hello', ' from', ' **afar**', '.']) {
    send({ choices: [{ index: 0, delta: { content: word }, finish_reason: null }] });
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  send({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
  send({ choices: [], usage: { prompt_tokens: 5, completion_tokens: 4 }, timings: { predicted_per_second: 321 } });
  response.end('data: [DONE]\n\n');
}
