// The chat page in a stock Firefox without a window: what differs from Chromium is isolation by the service worker, storage, and
// threads, models that are kept. Where no Firefox is found, the test is skipped, by name. Does not own the page's features (web.test.ts).
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { maxNewTokens, question, story } from '../testing/story.js';
import { Firefox, type FirefoxPage, firefoxPath, firefoxTitle } from './firefox.js';
import { furtherTest } from './web/person.js';
import { startSite, type TestSite } from './web/site.js';

const message = `document.querySelector('[aria-label="Message"]')`;
const button = (name: string) =>
  `[...document.querySelectorAll('button')].find((one) => (one.ariaLabel ?? one.innerText).trim() === ${JSON.stringify(name)})`;
const answers = `[...document.querySelectorAll('.message.assistant')]`;

describe.skipIf(!firefoxPath)(`the chat page in ${firefoxTitle}`, () => {
  let firefox: Firefox;
  let site: TestSite;
  beforeAll(async () => {
    [firefox, site] = await Promise.all([Firefox.launch(), startSite()]);
  }, 60_000);
  afterAll(async () => {
    await firefox?.close();
    site?.close();
  });

  async function ask(page: FirefoxPage, text: string): Promise<string> {
    const before = (await page.evaluate(`${answers}.length`)) as number;
    await page.click(message);
    await page.type(`${text}\uE007`);
    await page.until(
      `${answers}.length > ${before} && ${answers}.at(-1).querySelector('footer')?.innerText.includes('Regenerate')`,
      60_000,
    );
    return (await page.evaluate(`${answers}.at(-1).querySelector('.markdown').innerText.trim()`)) as string;
  }

  test('isolates itself, writes what Node writes on several threads, and keeps the chat and the model', async () => {
    const page = await firefox.open(site.url);
    await page.until('crossOriginIsolated');
    await page.until(`!!${message}`);
    await page.click(button('Settings'));
    await page.click(button('Always the likeliest'));
    await page.click(
      `document.querySelector('[aria-label="maxNewTokens"]') ?? [...document.querySelectorAll('label')].find((one) => one.innerText.includes('maxNewTokens'))`,
    );
    await page.type(`${maxNewTokens}\t`);
    await page.click(button('Close'));
    expect(await ask(page, question)).toBe(story.trim());
    expect(await page.evaluate('document.body.innerText')).toMatch(/WebAssembly, \d+ threads?/);
    await page.visit(site.url);
    await page.until(`document.body.innerText.includes(${JSON.stringify(question)})`);
    await page.until(`/WebAssembly,/.test(document.body.innerText)`);
    expect(page.errors).toEqual([]);
    await page.close();
  }, 120_000);

  furtherTest('a model from the hub is kept in the private file system, listed, and deleted', async () => {
    const page = await firefox.open(site.url);
    await page.until('crossOriginIsolated');
    const field = (name: string) => `document.querySelector('input[aria-label=${JSON.stringify(name)}]')`;
    const chooser = (model: string) =>
      `[...document.querySelectorAll('button')].find((one) => /^(Choose a model|${model.replace('/', '.')})/.test((one.ariaLabel ?? one.innerText).trim()))`;
    await page.click(chooser('llama-tales'));
    await page.click(
      `[...document.querySelectorAll('summary')].find((one) => one.innerText.includes('Address of the hub'))`,
    );
    await page.fill(field('Address of the hub'), site.hub);
    await page.fill(field('Name on the hub'), 'fox/tales');
    await page.click(button('Download and load'));
    await page.until(
      `/^fox.tales/.test((${chooser('fox/tales')})?.innerText.trim()) && /WebAssembly,/.test(document.body.innerText)`,
      90_000,
    );
    expect(await ask(page, 'Tell me a story.')).not.toBe('');
    const downloads = site.ranges.length;
    expect(downloads).toBeGreaterThan(0);
    await page.visit(site.url);
    await page.until(`/WebAssembly,/.test(document.body.innerText)`, 90_000);
    expect(site.ranges.length).toBe(downloads);
    await page.click(chooser('fox/tales'));
    await page.click(button('Delete fox/tales from this browser'));
    await page.until(`!document.querySelector('.kept').innerText.includes('fox/tales')`);
    expect(page.errors).toEqual([]);
    await page.close();
  });

  furtherTest('without a service worker nothing isolates the page: one thread, in a worker', async () => {
    const plain = await Firefox.launch({ 'dom.serviceWorkers.enabled': false });
    try {
      const page = await plain.open(site.url);
      expect(await ask(page, 'Tell me a story.')).not.toBe('');
      expect(await page.evaluate('crossOriginIsolated')).toBe(false);
      expect(await page.evaluate('document.body.innerText')).toMatch(/WebAssembly, 1 thread/);
    } finally {
      await plain.close();
    }
  });
});
