// A local server that speaks the routes of the Hugging Face hub, and misbehaves on request.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeFile {
  readonly content: Uint8Array;
  /** Stored as a large file: its hash is a SHA-256. */
  readonly large?: boolean;
}

/** Answers a request itself, or gives false to let the server answer as usual. */
export type Fault = (request: IncomingMessage, response: ServerResponse, path: string) => boolean;

export const commit = 'c0ffee'.padEnd(40, '0');
export const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');
export const gitHash = (content: Uint8Array): string =>
  createHash('sha1').update(`blob ${content.byteLength}\0`).update(content).digest('hex');

export class FakeHub {
  readonly files = new Map<string, FakeFile>();
  readonly requests: string[] = [];
  readonly tokens: (string | undefined)[] = [];
  repository = 'user/model';
  revisions = ['main', commit];
  fault: Fault = () => false;
  url = '';
  /** `datasets/` before the repository's addresses, and `/api/datasets`. */
  kind: 'models' | 'datasets' = 'models';
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Which files' bodies were asked for, and from where. */
  bodies(): string[] {
    return this.requests.filter((line) => line.includes('/resolve/') && !line.endsWith('bytes=0-0'));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname);
    this.requests.push(`${path} ${request.headers.range ?? 'whole'}`);
    this.tokens.push(request.headers.authorization);
    if (this.fault(request, response, path)) return;
    const api = new RegExp(`^/api/${this.kind}/${this.repository}/(revision|tree)/(.+)$`).exec(path);
    const resolve = new RegExp(
      `^/${this.kind === 'datasets' ? 'datasets/' : ''}${this.repository}/resolve/([^/]+)/(.+)$`,
    ).exec(path);
    const revision = (api?.[2] ?? resolve?.[1] ?? '').replace(/\/.*/, '');
    if (!path.includes(this.repository)) fail(response, 404, 'RepoNotFound');
    else if (!this.revisions.includes(revision)) fail(response, 404, 'RevisionNotFound');
    else if (api?.[1] === 'revision')
      json(response, { _id: '1', id: this.repository, sha: commit, lastModified: '2024-01-01' });
    else if (api) json(response, this.#tree());
    else {
      const file = this.files.get(resolve?.[2] ?? '');
      if (file) send(request, response, file);
      else fail(response, 404, 'EntryNotFound');
    }
  }

  #tree(): object[] {
    return [...this.files].map(([path, { content, large }]) => ({
      type: 'file',
      path,
      size: content.byteLength,
      oid: gitHash(content),
      ...(large ? { lfs: { oid: sha256(content), size: content.byteLength, pointerSize: 130 } } : {}),
    }));
  }
}

function send(request: IncomingMessage, response: ServerResponse, { content, large }: FakeFile): void {
  response.setHeader('etag', `"${large ? sha256(content) : gitHash(content)}"`);
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const begin = Number(range?.[1] ?? 0);
  const end = Math.min(content.byteLength, range?.[2] ? Number(range[2]) + 1 : content.byteLength);
  if (range) {
    response.statusCode = 206;
    response.setHeader('content-range', `bytes ${begin}-${end - 1}/${content.byteLength}`);
  }
  response.setHeader('content-length', end - begin);
  response.end(content.subarray(begin, end));
}

function json(response: ServerResponse, value: unknown): void {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(value));
}

export function fail(
  response: ServerResponse,
  status: number,
  code?: string,
  headers: Record<string, string> = {},
): void {
  response.statusCode = status;
  if (code) response.setHeader('x-error-code', code);
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ error: 'no' }));
}
