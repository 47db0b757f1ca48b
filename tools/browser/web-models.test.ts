// Where the chat page gets its models from, and what can go wrong, in headless Chromium. Where none is found, the tests are
// skipped, by name. Does not own chats and neurons (web.test.ts).
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from '../checks/workspace.js';
import { chromiumPath, chromiumTitle, launchChromium } from './chromium.js';
import { furtherTest, Person } from './web/person.js';
import { modelFolder, startSite, type TestSite } from './web/site.js';

describe.skipIf(!chromiumPath)(`models of the chat page in ${chromiumTitle}`, () => {
  let browser: Browser;
  let site: TestSite;
  beforeAll(async () => {
    [browser, site] = await Promise.all([launchChromium(), startSite()]);
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  describe('models', () => {
    test('from the hub: hang-ups and a tab that was closed are resumed, in another tab; kept, listed, deleted', async () => {
      const first = await Person.visit(browser, site.url);
      site.misbehaviour.paced = { bytesPerSecond: 8_000_000, upTo: 8_000_000 };
      await first.button('Choose a model').click();
      await first.page.getByText('Address of the hub').click();
      await first.page.getByLabel('Address of the hub').fill(site.hub);
      await first.page.getByLabel('Name on the hub').fill('fox/tales');
      await first.button('Download and load').click();
      await first.page.getByText(/Downloading fox\/tales: .* MB\/s, \d+ s left/).waitFor();
      await first.page.getByText(/Downloading fox\/tales: [6-9]\.\d+ MB/).waitFor();
      await first.page.close();

      delete site.misbehaviour.paced;
      site.misbehaviour.hangUp = { after: 2_000_000, times: 1 };
      site.ranges.length = 0;
      const second = await Person.inTab(first.context, site.url);
      await second.button('Choose a model').click();
      await second.page.getByText('fox/tales, ').waitFor();
      await expect.poll(() => second.page.locator('.kept').innerText()).toContain('(incomplete)');
      await second.button('Resume').click();
      await second.page.getByText('WebAssembly,').waitFor();
      const starts = site.ranges.map((range) => Number(/^bytes=(\d+)-$/.exec(range)?.[1]));
      expect(starts).toHaveLength(2);
      expect(starts[0]).toBeGreaterThan(4_000_000);
      expect(starts[1]).toBe((starts[0] as number) + 2_000_000);
      expect(await second.ask('Tell me a story.')).not.toBe('');

      site.ranges.length = 0;
      await second.reload();
      await second.page.getByText('WebAssembly,').waitFor();
      expect(site.ranges).toEqual([]);
      await second.button(/^fox\/tales/).click();
      await second.button('Delete fox/tales from this browser').click();
      await second.page.getByText('None.').waitFor();
      await second.leave();
    });

    furtherTest('damaged bytes are refused by their hash', async () => {
      const person = await Person.visit(browser, site.url);
      site.misbehaviour.damaged = true;
      await person.button('Choose a model').click();
      await person.page.getByText('Address of the hub').click();
      await person.page.getByLabel('Address of the hub').fill(site.hub);
      await person.page.getByLabel('Name on the hub').fill('fox/tales');
      await person.button('Download and load').click();
      await person.page.getByText(/model\.safetensors: expected the SHA-256 \w+, got \w+/).waitFor();
      site.misbehaviour.damaged = false;
      await person.leave();
    });

    furtherTest('files of a folder, and what is no model', async () => {
      const person = await Person.visit(browser, site.url);
      const { page } = person;
      const files = (...names: string[]) => names.map((name) => join(modelFolder, name));
      await person.button('Choose a model').click();
      await page.getByLabel('Choose files').setInputFiles(files('tokenizer.json'));
      await person.button(/^Load tokenizer/).click();
      await page.getByText(/expected a config\.json, found none/).waitFor();
      await person.button(/Choose a model/).click();
      await page
        .getByLabel('Choose files')
        .setInputFiles(files('config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'));
      await page.getByText('4 files, 18.1 MB').waitFor();
      await person.button(/^Load config/).click();
      await page.getByText('WebAssembly,').waitFor();
      expect(await person.ask('Tell me a story.')).not.toBe('');
      await person.leave();
    });

    furtherTest('no room: it is said beforehand, and the model is held in memory', async () => {
      const context = await browser.newContext();
      await context.addInitScript(() => {
        navigator.storage.estimate = async () => ({ quota: 5_000_000, usage: 1_000_000 });
      });
      // the worker asks, so it is told so too
      await context.route('**/assets/worker-*.js', async (route) => {
        const response = await route.fetch();
        const body = `navigator.storage.estimate = async () => ({ quota: 5e6, usage: 1e6 });\n${await response.text()}`;
        await route.fulfill({ response, body });
      });
      const person = await Person.inTab(context, site.url);
      expect(await person.ask('Tell me a story.')).not.toBe('');
      await person.page
        .getByText('llama-tales is in memory only. The model has 18 MB, this browser has room for 4 MB.')
        .waitFor();
      await person.leave();
    });
  });

  furtherTest('relufy serve has the page at /, which asks the server beside it', async () => {
    const cli = join(root, 'packages/relufy/dist/cli.js');
    const server = spawn(process.execPath, [cli, 'serve', 'llama-tales', '--port', '0', '--log-level', 'error'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    try {
      const url = await new Promise<string>((resolve) => {
        server.stderr.on('data', (text) => {
          const [, address] = /Listening on (\S+)/.exec(String(text)) ?? [];
          if (address) resolve(`${address}/`);
        });
      });
      const person = await Person.visit(browser, url);
      await person.page.getByText('server at 127.0.0.1').waitFor();
      expect(await person.ask('Tell me a story about a fox.')).not.toBe('');
      await expect
        .poll(() => person.page.locator('.figures').innerText())
        .toMatch(/tokens\/s, read 5\d % of the weights/);
      person.calm();
      await person.leave();
    } finally {
      server.kill();
    }
  });

  describe('what can go wrong', () => {
    furtherTest('a worker that dies: the chat is kept, and the next message loads the model again', async () => {
      const person = await Person.visit(browser, site.url);
      const { page } = person;
      await person.say('Tell me a long story.');
      await page.locator('.tokens li').nth(2).waitFor();
      const engine = page.workers().find((worker) => /worker-/.test(worker.url()));
      await engine?.evaluate('self.close()').catch(() => {});
      await page
        .getByText(/The engine stopped/)
        .first()
        .waitFor();
      expect(await person.ask('Tell me a story.')).not.toBe('');
      await expect.poll(() => page.locator('.message').count()).toBe(4);
      await person.leave();
    });

    furtherTest('storage that fails: said once, and the chat goes on in memory', async () => {
      const context = await browser.newContext();
      await context.addInitScript(() => {
        indexedDB.open = () => {
          throw new DOMException('The user denied it.', 'SecurityError');
        };
        navigator.storage.getDirectory = () => Promise.reject(new DOMException('No.', 'SecurityError'));
      });
      const person = await Person.inTab(context, site.url);
      await person.page.getByText(/This browser keeps no chats here \(The user denied it\.\)/).waitFor();
      expect(await person.ask('Tell me a story.')).not.toBe('');
      await person.button('New chat').click();
      await person.button('Tell me a story.').click();
      await expect.poll(() => person.page.locator('.message').count()).toBe(2);
      await person.leave();
    });

    furtherTest('two tabs: what one says, the other shows', async () => {
      const first = await Person.visit(browser, site.url);
      const second = await Person.inTab(first.context, site.url);
      const answer = await first.ask('Tell me a story about two tabs.');
      await second.button('Tell me a story about two tabs.').click();
      expect(await second.answer()).toBe(answer);
      expect(await second.ask('Tell me another.')).not.toBe('');
      await first.page.locator('.message').nth(3).waitFor();
      first.calm();
      second.calm();
      await first.leave();
    });
  });
});
