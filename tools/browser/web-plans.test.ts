// Files that are dropped on the chat page, and sparsity plans, in headless Chromium. Where none is found, the tests are skipped,
// by name. Does not own other sources of models (web-models.test.ts).
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { maxNewTokens, question, story } from '../testing/story.js';
import { chromiumPath, chromiumTitle, launchChromium } from './chromium.js';
import { furtherTest, Person } from './web/person.js';
import { modelFolder, startSite, type TestSite } from './web/site.js';

describe.skipIf(!chromiumPath)(`dropped files and plans of the chat page in ${chromiumTitle}`, () => {
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

  /** The bundled model in the dialog. */
  const offer = (page: Page) => page.getByRole('dialog').getByRole('button', { name: /^llama-tales/ });

  /** As the system gives files to a browser: with folders that can be read. */
  async function drop(page: Page, ...paths: string[]): Promise<void> {
    const session = await page.context().newCDPSession(page);
    const data = { items: [], files: paths, dragOperationsMask: 1 };
    for (const type of ['dragEnter', 'dragOver', 'drop'] as const)
      await session.send('Input.dispatchDragEvent', { type, x: 600, y: 300, data });
    await session.detach();
  }

  test('a folder that is dropped is a model; what is none is refused in words', async () => {
    const model = join(folder, 'my-tales');
    mkdirSync(model);
    for (const name of [
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ])
      copyFileSync(modelFolder + name, join(model, name));
    const letter = join(folder, 'letter.txt');
    writeFileSync(letter, 'Dear model, ...');
    const person = await Person.visit(browser, site.url);
    const { page } = person;
    await person.greedy(maxNewTokens);
    await drop(page, letter);
    await page.getByText('1 file, 15 B').waitFor();
    await person.button('Load letter.txt').click();
    await page.getByText(/letter\.txt: expected a config\.json, found none/).waitFor();
    await drop(page, model);
    await page.getByText(/^5 files, 18\.\d MB/).waitFor();
    await person.button('Load my-tales').click();
    await page.getByText('WebAssembly,').waitFor();
    await person.button(/^my-tales/).waitFor();
    expect(await person.ask(question)).toBe(story.trim());
    await person.leave();
  });

  test("a plan's files: the model reads less and says something else; without it, the same as ever", async () => {
    const plan = join(folder, 'sparsity_config.json');
    // few signs have to disagree for a neuron to be left out
    const predictor = { kind: 'signs', alpha: Array.from({ length: 8 }, () => 70) };
    writeFileSync(plan, JSON.stringify({ format: 1, method: 'signs', predictor }));
    const person = await Person.visit(browser, site.url);
    const { page } = person;
    const share = async () =>
      Number(/read (\d+) % of the weights/.exec(await page.locator('.figures').last().innerText())?.[1]);
    await person.greedy(40);
    await person.button('Choose a model').click();
    await page.getByLabel("Choose the plan's files").setInputFiles(plan);
    await page.getByText('sparsity_config.json', { exact: true }).waitFor();
    await offer(page).click();
    await page.getByText('WebAssembly,').waitFor();
    const planned = await person.ask(question);
    const plannedShare = await share();
    await page.locator('button.model').click();
    await offer(page).click();
    await page.getByText('WebAssembly,').waitFor();
    await person.button('New chat').click();
    const plain = await person.ask(question);
    expect(story.startsWith(plain.slice(0, 60))).toBe(true);
    expect(planned).not.toBe(plain);
    expect(plannedShare).toBeLessThan(await share());
    person.calm();
    await person.leave();
  });

  test('plans that come with the page name their model and their price, and are refused by another', async () => {
    const person = await Person.visit(browser, site.url);
    const { page } = person;
    await person.button('Choose a model').click();
    const plans = page.getByLabel('Plan', { exact: true });
    expect(await plans.locator('option').allInnerTexts()).toContain(
      'smollm2-135m-instruct, TEAL by loss: 40 % of the weights skipped',
    );
    await plans.selectOption({ label: 'smollm2-135m-instruct, TEAL by loss: 40 % of the weights skipped' });
    await page.getByText(/Perplexity 20\.41 without, \d+\.\d+ with it/).waitFor();
    // this site has llama-tales alone
    expect(await person.button(/^Load smollm2/).count()).toBe(0);
    await offer(page).click();
    await page
      .locator('.notices')
      .getByText(/plan|sparsity_config/)
      .first()
      .waitFor();
    await person.leave();
  });

  furtherTest('a plan that comes with the page makes the chat model sparse, after a reload too', async () => {
    const models = ['llama-tales', 'smollm2-135m-instruct'];
    const other = await startSite(models);
    const person = await Person.visit(browser, other.url);
    const { page } = person;
    await person.greedy(12);
    await person.button('Choose a model').click();
    await page.getByLabel('Plan', { exact: true }).selectOption({ index: 2 });
    await person.button('Load smollm2-135m-instruct with it').click();
    const isSparse = async () => {
      await page.getByText('WebAssembly,').waitFor({ timeout: 120_000 });
      await person.ask('Name a bird.');
      await expect.poll(() => page.locator('.figures').last().innerText()).toMatch(/read [67]\d % of the weights/);
    };
    await isSparse();
    await person.reload();
    await isSparse();
    await person.leave();
    other.close();
  });
});
