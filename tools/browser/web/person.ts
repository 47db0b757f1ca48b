// What a person does on the chat page, in a person's words: by labels and names, never by the page's own state.
// Does not own what is expected of it.
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { expect, test } from 'vitest';

const all = process.env.RELUFY_WEB_TESTS === 'all';

/** A test that every change need not wait for: `RELUFY_WEB_TESTS=all` runs it. */
export const furtherTest = (title: string, run: () => Promise<void>): void =>
  test.skipIf(!all)(all ? title : `${title} (skipped: RELUFY_WEB_TESTS=all runs it)`, run);

export class Person {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Everything that went wrong in the page: errors, failed requests, requests to other servers. */
  readonly troubles: string[] = [];
  readonly #url: string;

  private constructor(context: BrowserContext, page: Page, url: string) {
    this.context = context;
    this.page = page;
    this.#url = url;
    const { origin } = new URL(url);
    page.on('pageerror', (error) => this.troubles.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && this.troubles.push(message.text()));
    page.on('response', (answer) => answer.status() >= 400 && this.troubles.push(`${answer.status()} ${answer.url()}`));
    page.on('request', (request) => {
      const asked = new URL(request.url());
      if (/^http/.test(asked.protocol) && asked.origin !== origin) this.troubles.push(`asked ${asked.origin}`);
    });
  }

  static async visit(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Person> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    return Person.inTab(context, url);
  }

  static async inTab(context: BrowserContext, url: string, prepare = async (_page: Page) => {}): Promise<Person> {
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    const person = new Person(context, page, url);
    await prepare(page);
    await page.goto(url);
    await person.ready();
    return person;
  }

  async ready(): Promise<void> {
    await this.page.getByLabel('Message', { exact: true }).waitFor();
  }

  async reload(): Promise<void> {
    await this.page.goto(this.#url);
    await this.ready();
  }

  async say(text: string): Promise<void> {
    await this.page.getByLabel('Message', { exact: true }).fill(text);
    await this.page.keyboard.press('Enter');
  }

  /** The newest answer, when it is whole. */
  async answer(): Promise<string> {
    await this.page.locator('.message.assistant').last().locator('footer >> text=Regenerate').waitFor();
    return (await this.page.locator('.message.assistant').last().locator('.markdown').innerText()).trim();
  }

  async ask(text: string): Promise<string> {
    const before = await this.page.locator('.message').count();
    await this.say(text);
    await this.page
      .locator('.message')
      .nth(before + 1)
      .waitFor();
    return this.answer();
  }

  button(name: string | RegExp) {
    return this.page.getByRole('button', { name, exact: typeof name === 'string' });
  }

  /** Settings of answers that are the same every time. */
  async greedy(maxNewTokens = 40): Promise<void> {
    await this.button('Settings').click();
    await this.button('Always the likeliest').click();
    await this.page.getByLabel('maxNewTokens').fill(String(maxNewTokens));
    await this.page.keyboard.press('Tab');
    await this.button('Close').click();
  }

  async leave(): Promise<void> {
    await this.context.close();
  }

  /** Nothing went wrong but for what is expected. */
  calm(...expected: RegExp[]): void {
    expect(this.troubles.filter((trouble) => !expected.some((one) => one.test(trouble)))).toEqual([]);
  }
}
