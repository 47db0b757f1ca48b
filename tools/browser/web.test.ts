// The chat page in headless Chromium, from plain files at a sub-path, by what a person does with chats and neurons.
// Where no Chromium is found, the tests are skipped, by name. The pictures of docs/web.md are made by
// web-pictures.mjs.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from '../checks/workspace.js';
import { maxNewTokens, question, story } from '../testing/story.js';
import { chromiumPath, chromiumTitle, launchChromium } from './chromium.js';
import { furtherTest, Person } from './web/person.js';
import { startSite, type TestSite } from './web/site.js';

describe.skipIf(!chromiumPath)(`the chat page in ${chromiumTitle}`, () => {
  let browser: Browser;
  let site: TestSite;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'relufy-web-'));
    [browser, site] = await Promise.all([launchChromium(), startSite()]);
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('opens at once and small, isolates itself, writes what Node writes, asks nobody else, and works offline', async () => {
    const context = await browser.newContext();
    const scripts: number[] = [];
    const person = await Person.inTab(context, site.url, async (page) => {
      page.on('response', async (response) => {
        if (/\.js$/.test(response.url()) && !response.fromServiceWorker() && !response.url().endsWith('sw.js'))
          scripts.push(gzipSync(await response.body().catch(() => Buffer.alloc(0))).byteLength);
      });
    });
    const { page } = person;
    // the first load, whose scripts came from the server, was followed by the isolated one
    await page.waitForFunction('crossOriginIsolated');
    await person.ready();
    const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime);
    // room for a machine that does other work too
    expect(paint).toBeLessThan(10_000);
    expect(scripts.length).toBeGreaterThan(0);
    expect(scripts.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(150_000);
    await person.greedy(maxNewTokens);
    expect(await person.ask(question)).toBe(story.trim());
    await expect.poll(() => page.getByText('WebAssembly,').innerText()).toMatch(/\d threads?/);
    await context.setOffline(true);
    await person.reload();
    await page.getByText('llama-tales').first().waitFor();
    await person.button('New chat').click();
    expect(await person.ask(question)).toBe(story.trim());
    person.calm(/ERR_INTERNET_DISCONNECTED|Failed to load resource/);
    await person.leave();
  });

  furtherTest('one thread where nothing isolates the page: answers stop, and the page goes on', async () => {
    const person = await Person.visit(browser, site.url, { serviceWorkers: 'block' });
    const { page } = person;
    // the whole answer may take less time than a key pressed from outside: Escape is pressed in the page, at its first words
    await page.evaluate(() => {
      const words = () => document.querySelector('.message.assistant .markdown')?.textContent ?? '';
      new MutationObserver((_, observer) => {
        if (!/\w+ \w+ \w+/.test(words())) return;
        observer.disconnect();
        document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
      }).observe(document.body, { childList: true, subtree: true, characterData: true });
    });
    await person.say('Tell me a long story about a fox.');
    await page.getByText('Stopped.').waitFor();
    expect(await page.evaluate('crossOriginIsolated')).toBe(false);
    await expect.poll(() => page.getByText('WebAssembly,').innerText()).toMatch(/1 thread/);
    const text = await person.answer();
    expect(text.length).toBeGreaterThan(10);
    await person.reload();
    await person.button(/^Tell me a long story/).click();
    await expect.poll(() => person.answer()).toBe(text);
    await person.leave();
  });

  describe('a conversation', () => {
    let person: Person;
    let page: Page;
    beforeAll(async () => {
      person = await Person.visit(browser, site.url, { permissions: ['clipboard-read', 'clipboard-write'] });
      page = person.page;
      await person.greedy(24);
    });
    afterAll(() => person?.leave());

    test('edits, answers anew and keeps every version; copies; counts the context', async () => {
      await page.evaluate(() => {
        let hadText = false;
        const look = () => {
          const text = document.querySelector('.message.assistant .markdown')?.textContent ?? '';
          if (hadText && text === '') Object.assign(window, { wentBlank: true });
          hadText ||= text !== '';
        };
        new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
      });
      const first = await person.ask('Tell me a story about a cat.');
      expect(await page.evaluate('window.wentBlank')).toBeUndefined();
      await page.locator('.message.user').getByRole('button', { name: 'Edit' }).click();
      await page.getByLabel('Edit the message').fill('Tell me a story about a dog.');
      await page.keyboard.press('Enter');
      await page.locator('.message.user .said').getByText('Tell me a story about a dog.').waitFor();
      const second = await person.answer();
      expect(second).not.toBe(first);
      await person.button('Version before').click();
      await expect.poll(() => page.locator('.message.user .said').innerText()).toBe('Tell me a story about a cat.');
      await expect.poll(() => person.answer()).toBe(first);
      await person.button('Regenerate').click();
      await page.locator('.message.assistant').getByText('2/2').waitFor();
      await expect.poll(() => person.answer()).toBe(first); // greedy
      // it says so for a second and a half: who looks from before the click on does not miss it
      const copied = person.button('Copied').waitFor();
      await page.locator('.message.assistant').getByRole('button', { name: 'Copy' }).click();
      await copied;
      expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(first);
      await expect.poll(() => page.locator('.context').innerText()).toMatch(/^\d+ of 512 tokens$/);
    });

    test('is found, renamed, deleted; goes out as a file and comes back', async () => {
      await person.button('New chat').click();
      // who begins to search before the answer ends is not taken back to the message field
      await person.say('Tell me about a storm at sea.');
      await page.keyboard.press('Control+k');
      await person.answer();
      await page.keyboard.type('a dog');
      await page.locator('.sidebar li').getByText('storm').waitFor({ state: 'detached' });
      await expect
        .poll(() => page.locator('.sidebar li .title').allInnerTexts())
        .toEqual(['Tell me a story about a cat.']);
      await page.getByLabel('Search in chats').fill('');
      await person.button('Rename Tell me about a storm at sea.').click();
      await page.getByLabel('Name of the chat').fill('Weather');
      await page.keyboard.press('Enter');
      await person.button('Weather').waitFor();
      const [download] = await Promise.all([page.waitForEvent('download'), person.button('Export all').click()]);
      const file = join(folder, 'chats.json');
      await download.saveAs(file);
      for (const name of ['Weather', 'Tell me a story about a cat.']) {
        await person.button(`Delete ${name}`).click();
        await page.locator('.deleting').getByRole('button', { name: 'Delete', exact: true }).click();
      }
      await page.getByText('No chats yet.').waitFor();
      await page.getByLabel('File of chats').setInputFiles(file);
      await page.getByText('2 chats imported').waitFor();
      await person.button('Tell me a story about a cat.').click();
      await expect.poll(() => page.locator('.message').count()).toBe(2);
      await expect.poll(() => page.locator('.message.assistant').getByText('2/2').count()).toBe(1);
      writeFileSync(file, '{"format":"relufy-chats","version":1,"chats":[{"id":1}]}');
      await page.getByLabel('File of chats').setInputFiles(file);
      await page.getByText('chats[0].messages: expected a list').waitFor();
    });

    test('has a system prompt, settings that say what they take, and presets', async () => {
      await person.button('New chat').click();
      await person.button('Settings').click();
      await page.getByLabel('System prompt').fill('You are a pirate.');
      await page.getByLabel('temperature').fill('-1');
      await page.keyboard.press('Tab');
      await page.getByText('Expected a number >= 0.').waitFor();
      await page.getByLabel('temperature').fill('0');
      await page.getByLabel('Name of the preset').fill('Pirate');
      await person.button('Save as a preset').click();
      await person.button('As the model says').click();
      await expect.poll(() => page.getByLabel('System prompt').inputValue()).toBe('');
      await person.button('Pirate').click();
      await expect.poll(() => page.getByLabel('System prompt').inputValue()).toBe('You are a pirate.');
      await person.button('Close').click();
      await person.reload();
      await person.button('Settings').click();
      await expect.poll(() => page.getByLabel('System prompt').inputValue()).toBe('You are a pirate.');
      await person.button('Delete the preset Pirate').click();
      await person.button('As the model says').click();
      await person.button('Close').click();
    });

    test('shows Markdown with coloured code, and nothing that a model could do harm with', async () => {
      const text = [
        '# Title',
        '`code` and **bold**, a [link](https://example.org), and a ![picture](https://example.org/a.png)',
        '<img src="https://example.org/b.png" onerror="window.harm = 1"><script>window.harm = 1</script>',
        '<a href="javascript:window.harm=1">click</a><form action="https://example.org"><input name=x></form>',
        '```js\nconst a = 1;\n```',
        '| a | b |\n|---|---|\n| 1 | 2 |',
      ].join('\n\n');
      const message = { id: 'm', parent: '', role: 'assistant', text, createdAt: 1 };
      const chat = { id: 'md', title: 'Markdown', createdAt: 1, updatedAt: 1, system: '', settings: {}, leaf: 'm' };
      const file = join(folder, 'markdown.json');
      writeFileSync(
        file,
        JSON.stringify({ format: 'relufy-chats', version: 1, chats: [{ ...chat, messages: [message] }] }),
      );
      await page.getByLabel('File of chats').setInputFiles(file);
      await person.button('Markdown').click();
      await page.locator('.hljs-keyword').getByText('const').waitFor();
      const article = page.locator('.message.assistant .markdown');
      await expect.poll(() => article.locator('h1, strong, table, pre').count()).toBe(4);
      await expect
        .poll(() => article.locator('img, script, form, input, [onerror], a[href^="javascript"]').count())
        .toBe(0);
      expect(await article.getByRole('link', { name: 'picture' }).getAttribute('rel')).toBe('noopener noreferrer');
      await person.button('Copy code').click();
      await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe('const a = 1;');
      expect(await page.evaluate('window.harm')).toBeUndefined();
    });

    // the hostile answer's handler is refused twice: by the policy while it is parsed, then it is taken out
    test('nothing went wrong meanwhile', () => person.calm(/inline event handler violates/));
  });

  test('neurons: each token has its own, frames keep coming, dense is the same text', async () => {
    const person = await Person.visit(browser, site.url);
    const { page } = person;
    // how many frames a second is measured by web-pictures.mjs; here, that they change while text streams
    await page.evaluate(() => {
      const pictures = new Set<string>();
      const look = () => {
        const canvas = document.querySelector<HTMLCanvasElement>('.neurons canvas');
        const isStreaming = document.querySelector('.message.assistant[aria-busy=true]') !== null;
        if (canvas && isStreaming && pictures.size < 5) pictures.add(canvas.toDataURL());
        Object.assign(window, { picturesWhileStreaming: pictures.size });
        requestAnimationFrame(look);
      };
      look();
    });
    await person.ask('Tell me a story about a fox who learns to read.');
    expect(await page.evaluate('window.picturesWhileStreaming')).toBeGreaterThan(1);
    const sums = page.locator('.sums');
    await expect.poll(() => sums.innerText()).toMatch(/of 8,192 neurons read/);
    const pixels = () =>
      page.locator('.neurons canvas').evaluate((canvas: HTMLCanvasElement) => {
        const { data } = (canvas.getContext('2d') as CanvasRenderingContext2D).getImageData(
          0,
          0,
          canvas.width,
          canvas.height,
        );
        let sum = 0;
        for (let i = 0; i < data.length; i += 4) sum = (sum * 31 + (data[i] as number)) >>> 0;
        return sum;
      });
    const rest = await pixels();
    await page.locator('.tokens button').nth(3).hover();
    await page.getByText('Token 4').waitFor();
    const third = await pixels();
    await page.locator('.tokens button').nth(6).focus();
    await page.getByText('Token 7').waitFor();
    await page.keyboard.press('ArrowRight');
    await page.getByText('Token 8').waitFor();
    const eighth = await pixels();
    expect(new Set([rest, third, eighth]).size).toBe(3);
    await person.button('Run the same prompt dense').click();
    await page.getByText(/The same text, \d\.\d\d times as fast/).waitFor();
    const [sparse, dense] = await page.locator('.compare tbody tr').allInnerTexts();
    expect(sparse).toMatch(/10\.\d+ MB|9\.\d+ MB/);
    expect(dense).toMatch(/17\.8 MB/);
    person.calm();
    await person.leave();
  });

  test('a server: its model answers, stop and settings reach it', async () => {
    const person = await Person.visit(browser, site.url);
    await person.greedy(7);
    await person.button('Choose a model').click();
    await person.page.getByLabel('Address of the server').fill(site.server);
    await person.button('Connect').click();
    await person.page.getByText('far-away').waitFor();
    expect(await person.ask('Hello?')).toBe('Hello from afar.');
    await expect.poll(() => person.page.locator('.figures').innerText()).toBe('4 tokens, 321 tokens/s');
    expect(site.asked[0]).toMatchObject({
      model: 'far-away',
      stream: true,
      temperature: 0,
      max_tokens: 7,
      messages: [{ role: 'user', content: 'Hello?' }],
    });
    person.calm();
    await person.leave();
  });

  furtherTest('reports of relufy measure open in the page', async () => {
    const report = join(folder, 'report.html');
    writeFileSync(report, '<!doctype html><title>r</title><h1>Measured</h1><script>parent.harm = 1</script>');
    const person = await Person.visit(browser, site.url);
    const { page } = person;
    await person.button('Open a report').click();
    const picker = page.getByLabel('Choose report.html or measurement.json');
    await picker.setInputFiles(report);
    await page.frameLocator('iframe').getByText('Measured').waitFor();
    writeFileSync(join(folder, 'text.txt'), 'Once upon a time there was a fox who liked to read. '.repeat(12));
    const args = [
      'measure',
      'llama-tales',
      '--data',
      'text.txt',
      '--tokens',
      '64',
      '--window',
      '32',
      '--out',
      'measured',
    ];
    execFileSync(process.execPath, [join(root, 'packages/relufy/dist/cli.js'), ...args], {
      cwd: folder,
      stdio: 'pipe',
    });
    await picker.setInputFiles(join(folder, 'measured/measurement.json'));
    await page.frameLocator('iframe').getByText('active FFN neurons').first().waitFor();
    const wrong = join(folder, 'wrong.json');
    writeFileSync(wrong, '{}');
    await picker.setInputFiles(wrong);
    await page.getByText('wrong.json is no measurement of relufy measure').waitFor();
    expect(await page.evaluate('window.harm')).toBeUndefined();
    await person.leave();
  });

  test('accessible by axe: light, wide', () => accessible('light', 1280));
  furtherTest('accessible by axe: dark, a phone', () => accessible('dark', 390));
  furtherTest('accessible by axe: dark, wide', () => accessible('dark', 1280));
  furtherTest('accessible by axe: light, a phone', () => accessible('light', 390));

  async function accessible(scheme: 'light' | 'dark', width: number): Promise<void> {
    const person = await Person.visit(browser, site.url, { colorScheme: scheme, viewport: { width, height: 800 } });
    const { page } = person;
    const check = async (what: string) => {
      await page.evaluate(axe.source);
      const { violations } = (await page.evaluate('axe.run()')) as {
        violations: { id: string; nodes: { html: string }[] }[];
      };
      expect(
        violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`),
        what,
      ).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), `${what} fits`).toBe(true);
    };
    await check('welcome');
    await person.greedy(12);
    await person.ask('Tell me a story.');
    if (width < 900) {
      await person.button('Neurons').click();
      await check('neurons');
    } else await check('chat');
    await person.button('Settings').click();
    await check('settings');
    await person.button('Close').click();
    await person.button(/^llama-tales/).click();
    await check('models');
    await person.leave();
  }
});
