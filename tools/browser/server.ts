// Serves a folder's files to a browser on this machine, with the headers that isolate a page (threads) or without them.
// Owns an empty page with an import map, for a folder without a page of its own. Read only, and nothing above the folder.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path/posix';

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

export interface PageServer {
  /** Of the page. */
  readonly url: string;
  close(): void;
}

/** Files beside those of the folder: by the path of each, where it lies or what is in it. */
export type FilesBeside = Readonly<Record<string, { readonly file: string } | { readonly text: string }>>;

/** The folder, and at `/` an empty page whose imports are known. */
export function servePage(
  folder: string,
  imports: Readonly<Record<string, string>>,
  isolated: boolean,
  beside: FilesBeside = {},
): Promise<PageServer> {
  const map = JSON.stringify({ imports });
  return serve(
    folder,
    isolated,
    `<!doctype html><meta charset="utf-8"><title>relufy</title><link rel="icon" href="data:,"><script type="importmap">${map}</script>`,
    beside,
  );
}

/** A site: at `/` its index.html. */
export const serveSite = (folder: string, isolated: boolean): Promise<PageServer> => serve(folder, isolated);

async function serve(folder: string, isolated: boolean, page?: string, beside: FilesBeside = {}): Promise<PageServer> {
  const isolation = isolated
    ? { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }
    : {};
  const server = createServer(async ({ url = '/' }, response) => {
    const path = normalize(decodeURIComponent(new URL(url, 'http://localhost').pathname));
    const given = path === '/' && page ? { text: page } : Object.hasOwn(beside, path) ? beside[path] : undefined;
    const { file, text } = { file: join(folder, path === '/' ? 'index.html' : path), text: undefined, ...given };
    const body = text ?? (await readFile(file).catch(() => undefined));
    const type = path === '/' ? 'text/html' : (types[extname(path)] ?? 'application/octet-stream');
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': type, ...isolation }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
