// The server on a socket of Node's: limits for clients that are slow or hang, and an end that loses nothing. Does not own
// what is answered (handler.ts).
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { RelufyError } from '@relufy/tensor';
import { ApiError } from './api-error.js';
import type { Handler } from './handler.js';

export interface ListenOptions {
  /** Default 8080; 0: any that is free. */
  readonly port?: number;
  /** Default 127.0.0.1: this machine alone. */
  readonly hostname?: string;
  /** How long a request may take to arrive. Default 60 s. */
  readonly requestTimeoutMs?: number;
  /** How long a client may leave what it is sent untouched. Default 60 s. */
  readonly stallMs?: number;
  /** Connections at most. Default 1000. */
  readonly connections?: number;
}

export interface Listening {
  readonly url: string;
  readonly port: number;
  /**
   * Takes no more connections, lets running answers end for as long as `graceMs`, then ends them; resolves when all is
   * closed. Default 30 s.
   */
  readonly close: (graceMs?: number) => Promise<void>;
}

interface Answered {
  readonly response: ServerResponse;
  written: number;
  since: number;
}

/** @throws RelufyError `io` where the port is taken or not ours. */
export async function listen(handler: Handler, options: ListenOptions = {}): Promise<Listening> {
  const { port = 8080, hostname = '127.0.0.1', requestTimeoutMs = 60_000, stallMs = 60_000 } = options;
  const open = new Set<Answered>();
  const listener = getRequestListener(
    (request, { incoming }) =>
      handler.fetch(request, { client: (incoming as IncomingMessage).socket.remoteAddress ?? undefined }),
    { overrideGlobalObjects: false, hostname },
  );
  const server = createServer(
    {
      requestTimeout: requestTimeoutMs,
      headersTimeout: Math.min(requestTimeoutMs, 15_000),
      keepAliveTimeout: 65_000,
      connectionsCheckingInterval: Math.min(5000, Math.max(50, requestTimeoutMs / 4)),
      maxHeaderSize: 16 << 10,
    },
    (incoming, response) => {
      const answered: Answered = { response, written: 0, since: performance.now() };
      open.add(answered);
      response.on('close', () => open.delete(answered));
      listener(incoming, response);
    },
  );
  server.maxConnections = options.connections ?? 1000;
  server.on('clientError', (error, socket) => refuseBroken(error, socket as Socket));
  // who does not read what it is sent holds memory for ever
  const stalls = setInterval(
    () => {
      for (const each of open) dropStalled(each, stallMs);
    },
    Math.max(50, stallMs / 4),
  ).unref();
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(unavailable(error, hostname, port)));
    server.listen(port, hostname, resolve);
  });
  const bound = (server.address() as AddressInfo).port;
  return {
    port: bound,
    url: `http://${hostname.includes(':') ? `[${hostname}]` : hostname}:${bound}`,
    close: async (graceMs = 30_000) => {
      handler.refuse();
      await closeServer(server, handler, open, graceMs);
      clearInterval(stalls);
    },
  };
}

async function closeServer(
  server: Server,
  handler: Handler,
  open: ReadonlySet<Answered>,
  graceMs: number,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // who holds a connection without asking anything is not waited for, nor asked again after its answer
  for (const { response } of open) if (!response.headersSent) response.setHeader('Connection', 'close');
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  const late = new Promise<boolean>((resolve) => setTimeout(() => resolve(true), graceMs).unref());
  const isLate = await Promise.race([closed.then(() => false), late]);
  if (isLate) {
    // streams that still run say that they broke
    await handler.close();
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 500))]);
    server.closeAllConnections();
    await closed;
  } else await handler.close();
  clearInterval(idle);
}

function dropStalled(answered: Answered, stallMs: number): void {
  const { response } = answered;
  const { socket } = response;
  const written = socket?.bytesWritten ?? 0;
  const waits = response.writableNeedDrain || (socket?.writableLength ?? 0) > 0;
  if (!waits || written !== answered.written) {
    answered.written = written;
    answered.since = performance.now();
  } else if (performance.now() - answered.since > stallMs) socket?.destroy();
}

/** What is no HTTP, or takes too long to arrive: 408, which OpenAI's clients ask again after. */
function refuseBroken({ code }: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const [status, error] =
    code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? ['408 Request Timeout', new ApiError(408, 'request: expected all of it sooner, got a part. Send it again.')]
      : ['400 Bad Request', new ApiError(400, 'request: expected HTTP/1.1, got something else or too long headers.')];
  const body = JSON.stringify(error.body);
  const head = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close`;
  socket.end(`HTTP/1.1 ${status}\r\n${head}\r\n\r\n${body}`);
}

function unavailable(error: NodeJS.ErrnoException, hostname: string, port: number): unknown {
  const what = `listen ${hostname}:${port}`;
  if (error.code === 'EADDRINUSE')
    return new RelufyError('io', `${what}: expected a free port, got one in use. Choose another with --port.`, {
      cause: error,
    });
  if (error.code === 'EACCES')
    return new RelufyError(
      'io',
      `${what}: expected a port that may be opened, got none of ours. Choose one above 1023 with --port.`,
      { cause: error },
    );
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND')
    return new RelufyError(
      'io',
      `${what}: expected an address of this machine, got another. Choose 127.0.0.1 or 0.0.0.0 with --host.`,
      { cause: error },
    );
  return error;
}
