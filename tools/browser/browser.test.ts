// The bundled model in headless Chromium and Firefox, from the built packages as they are, without a bundler: cross-origin
// isolated (a team of workers over shared memory) and not (one thread). The text must be the one that Node writes.
// Where a browser is not found, its tests are skipped, by name.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LoadOptions } from '@relufy/models';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from '../checks/workspace.js';
import { maxNewTokens, question, story } from '../testing/story.js';
import { browsers, type OpenBrowser } from './browsers.js';
import { servePage } from './server.js';

interface Outcome {
  readonly text: string;
  readonly backend: string;
}
type WriteStory = (question: string, maxNewTokens: number, options: LoadOptions) => Promise<Outcome>;

const script = 'tools/browser/story.js';
/** What each bare import of the script, and of what it imports, leads to in a browser: as a bundler resolves it. */
async function importMap(): Promise<Record<string, string>> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [script],
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    outdir: 'out',
    metafile: true,
    write: false,
    logLevel: 'error',
  });
  const imports = Object.values(metafile.inputs).flatMap((input) => input.imports);
  return Object.fromEntries(
    imports.flatMap(({ original, path }) => (original && !/^[./]/.test(original) ? [[original, `/${path}`]] : [])),
  );
}

test('Node writes the story', async () => {
  const { writeStory } = (await import(/* @vite-ignore */ `${root}${script}`)) as { writeStory: WriteStory };
  expect((await writeStory(question, maxNewTokens, {})).text).toBe(story);
});

for (const { title, isFound, launch } of browsers)
  describe.skipIf(!isFound)(title, () => {
    let folder: string;
    let browser: OpenBrowser;
    let imports: Record<string, string>;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'relufy-browser-'));
      imports = await importMap();
      browser = await launch(folder);
    });
    afterAll(async () => {
      await browser?.close();
      await rm(folder, { recursive: true, force: true });
    });

    test.each([
      { place: 'a cross-origin isolated page', isolated: true, options: { threads: 2 }, backend: /2 threads/ },
      { place: 'a page that is not isolated', isolated: false, options: {}, backend: /1 thread, the calling one/ },
    ])('$place writes the story that Node writes', async ({ isolated, options, backend }) => {
      const server = await servePage(root, imports, isolated);
      const page = await browser.open(server.url);
      try {
        expect(await page.evaluate('crossOriginIsolated')).toBe(isolated);
        const call = [question, maxNewTokens, options].map((argument) => JSON.stringify(argument)).join();
        // as text: vitest would rewrite the import of a function
        const told = await page.evaluate(`import('/${script}').then((module) => module.writeStory(${call}))`);
        const outcome = told as Outcome;
        expect(outcome.backend).toMatch(backend);
        expect(outcome.text).toBe(story);
        expect(page.errors).toEqual([]);
      } finally {
        await page.close();
        server.close();
      }
    });
  });
