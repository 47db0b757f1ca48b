// Weights that stay in a file of the browser's private file system, in headless Chromium and Firefox: the bits of the model in
// memory, by a team of workers and by one worker alone; what is refused where no thread can read at once. Where a browser is not
// found, its tests are skipped, by name. Does not own the same on Node (memory-budget.test.ts of models).
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { modelUrl } from '@relufy/llama-tales';
import { convertModel, loadModel, type NeuronStats, openModelFiles } from '@relufy/models';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from '../checks/workspace.js';
import { browsers, type OpenBrowser } from './browsers.js';
import { type FilesBeside, servePage } from './server.js';

interface Answer {
  readonly logits: readonly number[];
  readonly tokenIds: readonly number[];
}
interface Outcome {
  readonly expected: Answer;
  readonly found: Answer;
  readonly neurons: NeuronStats;
  readonly backend: string;
  /** Names of errors. */
  readonly changes: Readonly<Record<'write' | 'remove' | 'later', string>>;
  readonly refusal?: { readonly code: string; readonly message: string };
}

const prompt = Array.from({ length: 40 }, (_, i) => (i * 37) % 300);
const options = { contextLength: 64 };
/** Beside the kernels, where their files lie. */
const script = 'packages/kernels/dist/flash.js';

for (const { title, isFound, launch } of browsers)
  describe.skipIf(!isFound)(`weights in the private file system of ${title}`, () => {
    let browser: OpenBrowser;
    let folder: string;
    let files: FilesBeside;
    let asked: Record<string, unknown>;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'relufy-flash-'));
      const model = join(folder, 'model');
      await convertModel(await openModelFiles(modelUrl), model, { dtype: 'int8', bundle: true });
      // the least that it takes, as it says itself; a browser's workers are not counted
      const refused = await loadModel(model, { ...options, backend: 'reference', memoryBudget: '1MB' }).catch(
        (error: Error) => error.message,
      );
      const [, memoryBudget] = /expected at least (\d+MB)/.exec(refused as string) as unknown as [string, string];
      const names = await readdir(model);
      asked = { names, prompt, memoryBudget };
      const { outputFiles } = await build({
        absWorkingDir: root,
        entryPoints: ['tools/browser/flash.js'],
        bundle: true,
        format: 'esm',
        platform: 'browser',
        write: false,
        logLevel: 'error',
      });
      files = {
        [`/${script}`]: { text: outputFiles[0]?.text as string },
        ...Object.fromEntries(names.map((name) => [`/converted/${name}`, { file: join(model, name) }])),
      };
      browser = await launch(join(folder, 'profile'));
    });
    afterAll(async () => {
      await browser?.close();
      await rm(folder, { recursive: true, force: true });
    });

    async function compare(isolated: boolean, place: 'page' | 'worker', loading: object): Promise<Outcome> {
      const server = await servePage(root, {}, isolated, files);
      const page = await browser.open(server.url);
      try {
        expect(await page.evaluate('crossOriginIsolated')).toBe(isolated);
        const address = `${server.url}converted/`;
        const argument = JSON.stringify({ ...asked, address, options: { ...options, ...loading } });
        const told = await page.evaluate(
          place === 'page'
            ? `import('/${script}').then(() => globalThis.compare(${argument}))`
            : `new Promise((resolve, reject) => {
              const worker = new Worker('/${script}', { type: 'module' });
              worker.onmessage = ({ data }) => resolve(data);
              worker.onerror = ({ message }) => reject(new Error(message));
              worker.postMessage(${argument});
            })`,
        );
        return told as Outcome;
      } finally {
        await page.close();
        server.close();
      }
    }

    test.each([
      { where: 'an isolated page, by a team', isolated: true, place: 'page', loading: { threads: 2 }, by: /2 threads/ },
      { where: 'a worker alone', isolated: false, place: 'worker', loading: {}, by: /1 thread, the calling one/ },
    ] as const)('$where: the bits of the model in memory', async ({ isolated, place, loading, by }) => {
      const { expected, found, neurons, backend, changes, refusal } = await compare(isolated, place, loading);
      expect(refusal).toBeUndefined();
      expect(backend).toMatch(by);
      expect(found).toEqual(expected);
      expect(found.logits.length).toBe(4096);
      expect(neurons.slots).toBeLessThan(neurons.neurons / 2);
      expect(neurons.read).toBeGreaterThan(neurons.slots);
      expect(neurons.hitShare).toBeGreaterThan(0);
      // nobody changes a file while a step may read it
      expect(changes).toEqual({
        write: 'NoModificationAllowedError',
        remove: 'NoModificationAllowedError',
        later: 'done',
      });
    });

    test('a page without shared memory is told what would do', async () => {
      const { refusal } = await compare(false, 'page', {});
      expect(refusal?.code).toBe('backend');
      expect(refusal?.message).toContain('a thread that is no dedicated worker');
      expect(refusal?.message).toContain('or load without memoryBudget');
    });
  });
