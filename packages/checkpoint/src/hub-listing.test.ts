// A listing that cannot be had whole is none: then every file is asked for.
import { expect, it } from 'vitest';
import { hubListing } from './hub-listing.js';

const address = new URL('https://hub/api/models/u/m/tree/main/sub');
const file = (path: string) => ({ type: 'file', path });

function answers(...pages: { body: unknown; link?: string; status?: number }[]) {
  const asked: [string, string | null][] = [];
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
    asked.push([String(url), new Headers(init?.headers).get('authorization')]);
    const { body, link, status = 200 } = pages.length > 1 ? pages.shift()! : pages[0]!;
    return new Response(typeof body === 'string' ? body : JSON.stringify(body), {
      status,
      headers: link === undefined ? {} : { link: `<${link}>; rel="next"` },
    });
  };
  return { asked, list: () => hubListing(address, { fetch, headers: { authorization: 'Bearer x' } }) };
}

it('gives the names of the folder over all pages', async () => {
  const { asked, list } = answers(
    { body: [file('sub/config.json'), { type: 'directory', path: 'sub/x' }, file('other')], link: 'https://hub/next' },
    { body: [file('sub/x.gguf')] },
  );
  expect(await list()).toEqual(['config.json', 'x.gguf']);
  expect(asked.map(([url]) => url)).toEqual([address.href, 'https://hub/next']);
});

it('gives up on what is no listing, goes on elsewhere or does not end', async () => {
  for (const page of [
    { body: 'no' },
    { body: {} },
    { body: [null] },
    { body: [], status: 404 },
    { body: ' '.repeat(5e6) },
  ])
    expect(await answers(page).list()).toBeUndefined();
  const elsewhere = answers({ body: [], link: 'https://other/next' });
  expect(await elsewhere.list()).toBeUndefined();
  expect(elsewhere.asked.length).toBe(1);
  const endless = answers({ body: [], link: 'https://hub/next' });
  expect(await endless.list()).toBeUndefined();
  expect(endless.asked.length).toBe(20);
});
