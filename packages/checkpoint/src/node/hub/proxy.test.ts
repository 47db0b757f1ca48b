import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, request as httpRequest } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, vi } from 'vitest';
import { messageOf } from '../../../testing/craft.js';
import { cacheDir, hub, load, useFakeHub } from '../../../testing/hub-setup.js';
import { proxyFetch, proxyFor } from './proxy.js';

useFakeHub();

describe('proxies', () => {
  it('carry the requests where a variable names one', async () => {
    const seen: string[] = [];
    const proxy = createServer((request, response) => {
      seen.push(`${request.headers['proxy-authorization']} ${request.url}`);
      const { headers, method, url = '' } = request;
      request.pipe(
        httpRequest(url, { method, headers }, (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        }),
      );
    });
    proxy.on('connect', (request, socket) => {
      seen.push(`CONNECT ${request.url}`);
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as AddressInfo;
    vi.stubEnv('HTTP_PROXY', `http://me:pass%20word@127.0.0.1:${port}`);
    vi.stubEnv('HTTPS_PROXY', `127.0.0.1:${port}`);
    await load();
    expect(seen.length).toBe(hub.requests.length);
    expect(seen[0]).toBe(
      `Basic ${Buffer.from('me:pass word').toString('base64')} ${hub.url}/api/models/user/model/revision/main${seen[0]?.slice(seen[0].indexOf('?'))}`,
    );
    vi.stubEnv('HF_ENDPOINT', 'https://hub.example');
    expect(await messageOf(() => load({ cacheDir: join(cacheDir, 'x') }), 'io')).toMatch(
      /answered 403 to CONNECT hub.example:443/,
    );
    expect(seen).toContain('CONNECT hub.example:443');
    proxy.close();
    proxy.closeAllConnections();
  });

  it('are chosen as curl does', () => {
    const env = { HTTPS_PROXY: 'http://p:1', http_proxy: 'q:2', NO_PROXY: 'localhost, .example.org,host:8080' };
    const host = (url: string) => proxyFor(new URL(url), env)?.host;
    expect(host('https://huggingface.co')).toBe('p:1');
    expect(host('http://huggingface.co')).toBe('q:2');
    expect(host('http://localhost:3')).toBeUndefined();
    expect(host('https://a.example.org')).toBeUndefined();
    expect(host('http://host:8080')).toBeUndefined();
    expect(host('http://host:81')).toBe('q:2');
    expect(proxyFor(new URL('https://x'), { ALL_PROXY: 'p:1', no_proxy: '*' })).toBeUndefined();
    expect(() => proxyFor(new URL('https://x'), { ALL_PROXY: 'socks5://p' })).toThrow('only http://');
  });

  it('tunnel https', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'relufy-tls-'));
    const made = await promisify(execFile)('openssl', [
      ...[
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-days',
        '2',
        '-subj',
        '/CN=localhost',
        '-addext',
        'subjectAltName=DNS:localhost',
      ],
      ...['-keyout', join(folder, 'key'), '-out', join(folder, 'cert')],
    ]).catch(() => undefined);
    if (!made) return; // no openssl on this machine; the CONNECT above is covered everywhere
    const { createServer: createTls } = await import('node:https');
    const target = createTls(
      { key: await readFile(join(folder, 'key')), cert: await readFile(join(folder, 'cert')) },
      (_, response) => response.end('hello'),
    );
    await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
    const proxy = createServer();
    proxy.on('connect', (_, socket) => {
      const upstream = connect((target.address() as AddressInfo).port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        upstream.pipe(socket).pipe(upstream);
      });
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as AddressInfo;
    vi.stubEnv('HTTPS_PROXY', `http://127.0.0.1:${port}`);
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0'); // nobody signed this certificate
    vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const response = await proxyFetch('https://localhost:1234/x');
    expect([response.status, response.url, await response.text()]).toEqual([200, 'https://localhost:1234/x', 'hello']);
    vi.restoreAllMocks();
    target.close();
    proxy.close();
    await rm(folder, { recursive: true });
  });
});
