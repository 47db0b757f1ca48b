// The chat page in a stock Firefox without a window: what differs from Chromium is isolation by the service worker, storage, and
// threads. Where no Firefox is found, the test is skipped, by name. Does not own the page's features (web.test.ts).
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { maxNewTokens, question, story } from '../testing/story.js';
import { Firefox, type FirefoxPage, firefoxPath, firefoxTitle } from './firefox.js';
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
  }, 120_000);
});
