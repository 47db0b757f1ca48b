// The programs of examples/ as their README starts them. LangChain.js where it is installed; pages where a Chromium is.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, chromiumTitle, launchChromium } from '../browser/chromium.js';
import { serveSite } from '../browser/server.js';
import { root } from '../checks/workspace.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-examples-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const node = (...args: string[]): string => execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' });

test('story.mjs tells one, and what it cost', () => {
  const said = node('examples/story.mjs', 'a storm at sea');
  expect(said.length).toBeGreaterThan(100);
  expect(said).toMatch(/\n\n\d+ tokens\/s, 5\d % of the weights read for a token\n$/);
});

/** BUN and DENO name one; otherwise the first on the PATH. */
function found(name: string): string | undefined {
  const places = (process.env.PATH ?? '').split(delimiter).map((place) => join(place, name));
  return [process.env[name.toUpperCase()] ?? '', ...places].find((path) => path !== '' && existsSync(path));
}

describe.each([
  { name: 'bun', args: ['examples/story.mjs'] },
  { name: 'deno', args: ['run', '--allow-all', 'examples/story.mjs'] },
])('story.mjs', ({ name, args }) => {
  const program = found(name);
  test.skipIf(!program)(
    `in ${name}${program ? '' : ` (skipped: no ${name} found; name it with ${name.toUpperCase()}=path)`}`,
    () => {
      const said = execFileSync(program as string, args, { cwd: root, encoding: 'utf8' });
      expect(said).toMatch(/\n\n\d+ tokens\/s, 5\d % of the weights read for a token\n$/);
    },
  );
});

test('bot.mjs answers several people, and finds their conversations again', async () => {
  const bot = spawn(process.execPath, ['examples/bot.mjs'], { cwd: root, stdio: ['pipe', 'pipe', 'inherit'] });
  let said = '';
  const heard = (what: RegExp) =>
    new Promise<void>((resolve) => {
      const look = () => what.test(said) && resolve();
      bot.stdout.on('data', look);
      look();
    });
  bot.stdout.on('data', (text) => {
    said += text;
  });
  await heard(/I am here/);
  bot.stdin.end('ann: Tell me a story about a cat.\nbob: Tell me a story about a dog.\nwhat?\nann: And then?\n');
  await new Promise((resolve) => bot.on('close', resolve));
  const cached = [...said.matchAll(/bot to ann: .*\[(\d+) tokens were cached\]/g)].map(([, count]) => Number(count));
  expect(said).toContain('bot: Write "name: message".');
  expect(said).toMatch(/bot to bob: /);
  expect(cached).toHaveLength(2);
  expect(cached[1]).toBeGreaterThan(20);
});

describe.skipIf(!chromiumPath)(`pages in ${chromiumTitle}`, () => {
  async function open(out: string, use: (page: Page) => Promise<void>): Promise<void> {
    const [browser, server] = await Promise.all([launchChromium(), serveSite(out, true)]);
    try {
      const page = await browser.newPage();
      const troubles: string[] = [];
      page.on('pageerror', (error) => troubles.push(String(error)));
      page.on('response', (response) => response.status() >= 400 && troubles.push(response.url()));
      await page.goto(server.url);
      await use(page);
      expect(troubles).toEqual([]);
    } finally {
      await browser.close();
      server.close();
    }
  }

  test('html: a worker from a folder as a CDN has it', async () => {
    const out = join(folder, 'html');
    node('examples/html/build.mjs', out);
    await open(out, async (page) => {
      await page.getByRole('button', { name: 'Ask' }).click();
      await page.getByText(/\d+ tokens\/s; WebAssembly|\d+ tokens\/s; wasm/i).waitFor();
      expect((await page.locator('#answer').innerText()).length).toBeGreaterThan(50);
    });
  });

  test('vite-chat: useChat without a server', async () => {
    const out = join(folder, 'vite-chat');
    node(
      'examples/node_modules/vite/bin/vite.js',
      'build',
      'examples/vite-chat',
      '--outDir',
      out,
      '--logLevel',
      'error',
    );
    await open(out, async (page) => {
      await page.getByRole('button', { name: 'Send' }).click();
      // "Stop" stands there for as long as the answer takes: perhaps too short to be seen
      await expect.poll(() => page.locator('.assistant').innerText()).toMatch(/.{50}/s);
      await page.getByRole('button', { name: 'Send' }).waitFor();
    });
  });
});

const next = existsSync(`${root}examples/next-chat/node_modules/next`);
test.skipIf(!next)(
  next
    ? 'next-chat: built and started, its route streams, and its page asks it'
    : 'next-chat (skipped: npm --prefix examples/next-chat install --ignore-scripts)',
  { timeout: 300_000 },
  async () => {
    const cwd = `${root}examples/next-chat`;
    const program = `${cwd}/node_modules/next/dist/bin/next`;
    const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' as const };
    execFileSync(process.execPath, [program, 'build', '--webpack'], { cwd, env, encoding: 'utf8' });
    const server = spawn(process.execPath, [program, 'start', '-p', '0', '-H', '127.0.0.1'], {
      ...{ cwd, env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const url = await new Promise<string>((resolve, reject) => {
        let said = '';
        server.stdout.on('data', (text) => {
          said += text;
          const [address] = /http:\/\/127\.0\.0\.1:\d+/.exec(said) ?? [];
          if (address && /Ready/.test(said)) resolve(address);
        });
        server.on('exit', () => reject(new Error(said)));
      });
      const messages = [{ id: '1', role: 'user', parts: [{ type: 'text', text: 'Tell me a story about a fox.' }] }];
      const answer = await fetch(`${url}/api/chat`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ messages }),
      });
      const parts = (await answer.text()).match(/"type":"text-delta"/g) ?? [];
      expect(parts.length).toBeGreaterThan(20);
      if (!chromiumPath) return;
      const browser = await launchChromium();
      try {
        const page = await browser.newPage();
        await page.goto(url);
        await page.getByRole('button', { name: 'Send' }).click();
        await expect.poll(() => page.locator('.assistant span').innerText()).toMatch(/.{50}/s);
        await page.getByRole('button', { name: 'Send' }).waitFor();
      } finally {
        await browser.close();
      }
    } finally {
      server.kill();
    }
  },
);

const langchain = existsSync(`${root}examples/langchain/node_modules/@langchain/core`);
test.skipIf(!langchain)(
  langchain ? 'langchain: a chain streams' : 'langchain (skipped: npm --prefix examples/langchain install)',
  () => {
    expect(node('examples/langchain/story.mjs').length).toBeGreaterThan(50);
  },
);
