// Serves the repository's files to a browser on this machine, with the headers that isolate a page (threads) or
// without them. Owns an empty page with an import map. Read only, and nothing above the repository.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, normalize } from 'node:path/posix';

const types: Readonly<Record<string, string>> = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

export interface PageServer {
  /** Of the empty page. */
  readonly url: string;
  close(): void;
}

export async function servePage(
  folder: string,
  imports: Readonly<Record<string, string>>,
  isolated: boolean,
): Promise<PageServer> {
  const map = JSON.stringify({ imports });
  const page = `<!doctype html><meta charset="utf-8"><title>relufy</title><link rel="icon" href="data:,"><script type="importmap">${map}</script>`;
  const isolation = isolated
    ? { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }
    : {};
  const server = createServer(async ({ url = '/' }, response) => {
    const path = normalize(decodeURIComponent(new URL(url, 'http://localhost').pathname));
    const body = path === '/' ? page : await readFile(folder + path.slice(1)).catch(() => undefined);
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
