// The user's token reaches the origin of HF_ENDPOINT and nobody else: every kind of request is sent to other servers.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { messageOf } from '../../../testing/craft.js';
import { gitHash, sha256 } from '../../../testing/fake-hub.js';
import { cacheDir, config, hub, load, useFakeHub, weights } from '../../../testing/hub-setup.js';
import { hubFetch } from './request.js';
import { headersFor, isPrivate } from './token.js';

useFakeHub();

const secret = 'hf_secret';
/** Another server on this machine, and everything that it was told. */
let other: Server;
let otherUrl: string;
let heard: string[];
let answer: (request: IncomingMessage, response: ServerResponse) => void;

beforeEach(async () => {
  heard = [];
  other = createServer((request, response) => {
    heard.push(JSON.stringify([request.url, request.rawHeaders]));
    answer(request, response);
  });
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  otherUrl = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
  vi.stubEnv('HF_TOKEN', secret);
});
afterEach(() => {
  other.close();
  other.closeAllConnections();
});

/** The other server was asked, and did not see the token; the hub saw it with every request. */
function expectSecrecy(): void {
  expect(heard.length).toBeGreaterThan(0);
  expect(heard.filter((line) => line.includes(secret))).toEqual([]);
  expect(new Set(hub.tokens)).toEqual(new Set([`Bearer ${secret}`]));
}

const redirect = (response: ServerResponse, location: string, status = 302): void => {
  response.writeHead(status, { location }).end('elsewhere');
};
const json = (response: ServerResponse, value: unknown, headers = {}): void => {
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
};
const range = (response: ServerResponse, bytes: Uint8Array, header: string | undefined): void => {
  const [, begin = 0, end = bytes.byteLength - 1] = /bytes=(\d+)-(\d+)?/.exec(header ?? '') ?? [];
  const body = bytes.subarray(Number(begin), Number(end) + 1);
  response.writeHead(206, { etag: '"x"', 'content-range': `bytes ${begin}-${end}/${bytes.byteLength}` }).end(body);
};
const entries = [
  { type: 'file', path: 'config.json', size: config.byteLength, oid: gitHash(config) },
  {
    type: 'file',
    path: 'model.safetensors',
    size: weights.byteLength,
    oid: gitHash(weights),
    lfs: { oid: sha256(weights), size: weights.byteLength, pointerSize: 130 },
  },
];

describe('the token stays with the hub', () => {
  for (const status of [301, 302, 303, 307, 308])
    it(`when a download is redirected with ${status}, and back`, async () => {
      answer = ({ headers, url }, response) =>
        url === '/back'
          ? redirect(response, `${hub.url}/user/model/resolve/main/model.safetensors`)
          : range(response, weights, headers.range);
      hub.fault = (request, response, path) => {
        if (!path.endsWith('model.safetensors') || path.includes('/main/')) return false;
        redirect(response, request.headers.range === 'bytes=0-0' ? `${otherUrl}/back` : `${otherUrl}/signed`, status);
        return true;
      };
      await load();
      expectSecrecy();
    });

  it('when a list of files goes on elsewhere', async () => {
    answer = (_, response) => json(response, entries.slice(1));
    hub.fault = (_, response, path) => {
      if (!path.includes('/tree/')) return false;
      json(response, entries.slice(0, 1), {
        link: `<${otherUrl}/api/models/user/model/tree/main?cursor=x>; rel="next"`,
      });
      return true;
    };
    await load();
    expectSecrecy();
  });

  it('when the description of the model is elsewhere', async () => {
    const sha = 'c0ffee'.padEnd(40, '0');
    answer = (_, response) => json(response, { _id: '1', id: 'user/model', sha, lastModified: '2024-01-01' });
    hub.fault = (_, response, path) => {
      if (!path.includes('/revision/')) return false;
      redirect(response, `${otherUrl}/revision`);
      return true;
    };
    await load();
    expectSecrecy();
  });

  for (const asHub of [false, true])
    it(`when a storage host speaks Xet and names ${asHub ? 'the hub' : 'itself'} as xet-auth`, async () => {
      const xet = {
        'content-type': 'application/vnd.xet-fileinfo+json',
        'x-linked-size': weights.byteLength,
        'x-linked-etag': '"x"',
        'x-xet-hash': 'f'.repeat(64),
        link: `<${asHub ? `${hub.url}/api/xet` : otherUrl}/auth>; rel="xet-auth", <${otherUrl}/v1/reconstructions/x>; rel="xet-reconstruction-info"`,
      };
      answer = ({ headers, url }, response) => {
        if (url === '/info') response.writeHead(200, xet).end('{}');
        else if (url?.includes('reconstructions')) response.writeHead(500).end();
        else if (url === '/auth') json(response, { accessToken: 'jwt', casUrl: otherUrl, exp: 4e9 });
        else range(response, weights, headers.range);
      };
      hub.fault = (request, response, path) => {
        if (path === '/api/xet/auth') throw new Error('asked for a token of Xet');
        if (!path.endsWith('model.safetensors')) return false;
        redirect(response, `${otherUrl}/${request.headers.range === 'bytes=0-0' ? 'info' : 'signed'}`);
        return true;
      };
      await load();
      expectSecrecy();
      expect(heard.filter((line) => /reconstructions|auth"/.test(line))).toEqual([]);
    });

  it('when the hub itself speaks Xet: its storage gets the token of Xet only, and the file comes either way', async () => {
    let auth: string | undefined;
    answer = (_, response) => response.writeHead(404).end();
    hub.fault = (request, response, path) => {
      if (path === '/xet-auth') {
        auth = request.headers.authorization;
        json(response, { accessToken: 'jwt', casUrl: otherUrl, exp: 4e9 });
        return true;
      }
      if (!path.endsWith('model.safetensors') || request.headers.range !== 'bytes=0-0') return false;
      response
        .writeHead(200, {
          'content-type': 'application/vnd.xet-fileinfo+json',
          'x-linked-size': weights.byteLength,
          'x-linked-etag': '"x"',
          'x-xet-hash': 'f'.repeat(64),
          link: `<${hub.url}/xet-auth>; rel="xet-auth", <${otherUrl}/v1/reconstructions/x>; rel="xet-reconstruction-info"`,
        })
        .end('{}');
      return true;
    };
    await load();
    expectSecrecy();
    expect(auth).toBe(`Bearer ${secret}`);
    expect(heard.join()).toContain('Bearer jwt');
  });

  it('when a proxy of another machine would carry it in the clear', () => {
    const secrecy = { endpoint: 'http://localhost:1', token: secret };
    vi.stubEnv('HTTP_PROXY', 'http://192.0.2.1:3128');
    vi.stubEnv('NO_PROXY', '');
    expect(headersFor(new URL('http://localhost:1/x'), new Headers(), secrecy).has('authorization')).toBe(false);
    vi.stubEnv('HTTP_PROXY', 'http://127.0.0.1:3128');
    expect(headersFor(new URL('http://localhost:1/x'), new Headers(), secrecy).get('authorization')).toContain(secret);
  });
});

it('nothing secret goes over plain http, but on this machine', () => {
  for (const url of [
    'https://x',
    'http://localhost:1',
    'http://127.0.0.1',
    'http://127.9.9.9:8',
    'http://[::1]:2',
    'http://127.1',
  ])
    expect(isPrivate(new URL(url)), url).toBe(true);
  for (const url of [
    ...['http://x', 'http://127.0.0.1.example.org', 'http://localhost.example.org', 'http://10.0.0.1'],
    ...['http://0.0.0.0', 'http://[::2]', 'http://evil.localhost', 'ftp://localhost', 'data:text/plain,x'],
  ])
    expect(isPrivate(new URL(url)), url).toBe(false);
  const over = (url: string, headers = {}) =>
    headersFor(new URL(url), new Headers(headers), { endpoint: 'http://mirror.example', token: secret });
  expect(over('http://mirror.example/x').has('authorization')).toBe(false);
  expect(over('http://cas.example/x', { authorization: 'Bearer jwt' }).has('authorization')).toBe(false);
  expect(over('https://cas.example/x', { authorization: 'Bearer jwt' }).get('authorization')).toBe('Bearer jwt');
});

it('a mirror over plain http is asked without it, and a refusal says so', async () => {
  const requests = {
    ...({ kind: 'model', repository: 'user/model', endpoint: 'http://192.0.2.7', token: secret } as const),
    ...{ timeoutMs: 1000, attempts: 1, pauseMs: 1, signal: undefined },
  };
  const seen: string[] = [];
  vi.stubGlobal('fetch', async (_: URL, init: RequestInit) => {
    seen.push(JSON.stringify([...new Headers(init.headers)]));
    return new Response('', { status: 401 });
  });
  try {
    expect(await messageOf(() => hubFetch(requests)('http://192.0.2.7/api/models/user/model'), 'io')).toMatch(
      /Your token was not sent: http:\/\/192.0.2.7 is not https/,
    );
  } finally {
    vi.unstubAllGlobals();
  }
  expect(seen).toEqual(['[]']);
});

it('addresses that are no http addresses are refused, and so is what cannot be a token', async () => {
  answer = (_, response) => response.end();
  for (const location of ['data:application/json,{}', 'file:///etc/passwd', 'http://u:p@127.0.0.1/', 'http://[']) {
    hub.fault = (_, response, path) => {
      if (!path.includes('/revision/')) return false;
      redirect(response, location);
      return true;
    };
    expect(await messageOf(() => load(), 'io'), location).toContain('expected an http address');
  }
  hub.fault = (request, response) => {
    redirect(response, request.url as string);
    return true;
  };
  expect(await messageOf(() => load(), 'io')).toContain('at most 10 redirects');
  hub.fault = () => false;
  for (const token of ['hf_two words', 'hf_line\nX-Other: 1', 'hf_ä', 'secret']) {
    const message = await messageOf(() => load({ token, cacheDir: join(cacheDir, 'x') }), 'io');
    expect(message).toContain('hub token: expected');
    expect(message).not.toContain(token);
  }
  for (const endpoint of ['huggingface.co', 'ftp://x', 'http://me:pass@x']) {
    vi.stubEnv('HF_ENDPOINT', endpoint);
    expect(await messageOf(() => load(), 'option')).toMatch(/HF_ENDPOINT: expected an address/);
  }
  expect(heard).toEqual([]);
});
