// What somebody gets who bundles relufy: the packed packages, built for production by each bundler, away from their
// node_modules, write the bundled model's story in Node and in Chromium, and no request of theirs fails.
// esbuild and Vite always; the others where they are installed (README.md). Without Chromium, Node alone.
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, chromiumTitle, launchChromium } from '../browser/chromium.js';
import { serveSite } from '../browser/server.js';
import { installPacked, run } from '../checks/packed.js';
import { root } from '../checks/workspace.js';
import { maxNewTokens, question, story } from '../testing/story.js';
import { type Bundler, bareEsbuild, bundlers, isInstalled, type Place } from './build.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-bundled-'));
  installPacked(folder);
  cpSync(`${root}tools/bundlers/app`, folder, { recursive: true });
  Object.assign(process.env, { QUESTION: question, MAX_NEW_TOKENS: maxNewTokens, NEXT_TELEMETRY_DISABLED: '1' });
}, 180_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const place = (inside = false): Place => ({
  folder,
  out: mkdtempSync(join(inside ? folder : tmpdir(), 'relufy-bundle-')),
});

/** What only `node_modules` could give is not there while `use` runs. */
function withoutPackages<Result>(use: () => Result): Result {
  const [here, away] = [join(folder, 'node_modules'), join(folder, 'away')];
  renameSync(here, away);
  try {
    return use();
  } finally {
    renameSync(away, here);
  }
}

const missing = ({ needs }: Bundler): boolean => needs !== undefined && !isInstalled(needs);
for (const { name } of bundlers.filter(missing))
  test.skip(`${name} (skipped: npm --prefix tools/bundlers ci)`, () => {});

describe.each(bundlers.filter((bundler) => !missing(bundler)))('$name', (bundler) => {
  const { forNode, forBrowsers } = bundler;

  if (forNode)
    test('a bundle for Node writes the story', { timeout: 120_000 }, async () => {
      const at = place(bundler.nodeKeepsPackages);
      try {
        const program = await forNode(at);
        const write = () => run(process.execPath, [program, question, String(maxNewTokens)], at.out);
        expect(bundler.nodeKeepsPackages ? write() : withoutPackages(write)).toBe(story);
      } finally {
        rmSync(at.out, { recursive: true });
      }
    });

  describe.skipIf(!forBrowsers || !chromiumPath)(chromiumTitle, () => {
    let browser: Browser;
    let at: Place;
    beforeAll(async () => {
      at = place();
      await forBrowsers?.(at);
      browser = await launchChromium();
    }, 300_000);
    afterAll(async () => {
      await browser?.close();
      rmSync(at.out, { recursive: true });
    });

    test.each([
      { title: 'a cross-origin isolated page', isolated: true, options: { threads: 2 }, backend: /2 threads/ },
      { title: 'a page that is not isolated', isolated: false, options: {}, backend: /1 thread, the calling one/ },
    ])('$title writes it, and no request fails', async ({ isolated, options, backend }) => {
      const server = await serveSite(at.out, isolated);
      const page = await browser.newPage();
      const failures: string[] = [];
      page.on('pageerror', (error) => failures.push(String(error)));
      page.on('console', (message) => message.type() === 'error' && failures.push(message.text()));
      page.on(
        'response',
        (response) => response.status() >= 400 && failures.push(`${response.status()} ${response.url()}`),
      );
      try {
        await page.goto(server.url);
        await page.waitForFunction('typeof writeStory === "function"');
        const call = [question, maxNewTokens, options].map((argument) => JSON.stringify(argument)).join();
        const outcome = await page.evaluate<{ text: string; backend: string }>(`writeStory(${call})`);
        expect(outcome.text).toBe(story);
        expect(outcome.backend).toMatch(backend);
        expect(failures).toEqual([]);
      } finally {
        await page.close();
        server.close();
      }
    });

    if (bundler.name === 'Next.js')
      test('the server wrote it too', () => {
        expect(readFileSync(join(at.out, 'story'), 'utf8')).toBe(story);
      });
  });
});

describe('esbuild without the plugin is one error: what is missing where, and what to do', () => {
  const remedy = 'esbuild with `format: "esm"` and the plugin of "relufy/esbuild"';

  test.each([
    {
      format: 'esm',
      program: 'node.mjs',
      error: /llama-tales: expected config\.json at file:\/\/\/\S+\/model\/config\.json, got nothing/,
    },
    {
      format: 'cjs',
      program: 'node.cjs',
      error: /llama-tales: expected an ES module, which knows its own address, got a script/,
    },
  ] as const)('for Node, $format', async ({ format, program, error }) => {
    const at = place();
    try {
      await bareEsbuild(at, { entryPoints: ['node.js'], platform: 'node', format, outfile: join(at.out, program) });
      const failing = () => withoutPackages(() => run(process.execPath, [program, question, '1'], at.out));
      expect(failing).toThrow(error);
      expect(failing).toThrow(remedy);
    } finally {
      rmSync(at.out, { recursive: true });
    }
  });

  describe.skipIf(!chromiumPath)(chromiumTitle, () => {
    test.each([
      {
        format: 'esm',
        error: /llama-tales: expected config\.json at http:\S+\/model\/config\.json, got nothing there/,
      },
      { format: 'iife', error: /llama-tales: expected an ES module, which knows its own address, got a script/ },
    ] as const)('$format', async ({ format, error }) => {
      const at = place();
      await bareEsbuild(at, { entryPoints: ['browser.js'], format, outfile: join(at.out, 'browser.js') });
      const [server, browser] = await Promise.all([serveSite(at.out, false), launchChromium()]);
      try {
        const page = await browser.newPage();
        await page.goto(server.url);
        const got = await page.evaluate<string>(`writeStory('', 1, {}).then(String, (error) => error.message)`);
        expect(got).toMatch(error);
        expect(got).toContain(remedy);
      } finally {
        await browser.close();
        server.close();
        rmSync(at.out, { recursive: true });
      }
    });
  });
});

test('every bundler of this folder is tried', () => {
  const { dependencies } = JSON.parse(readFileSync(`${root}tools/bundlers/package.json`, 'utf8'));
  const needed = bundlers.flatMap(({ needs }) => needs ?? []);
  expect(needed.filter((name) => !(name in dependencies))).toEqual([]);
  expect(existsSync(`${root}tools/bundlers/package-lock.json`)).toBe(true);
});
