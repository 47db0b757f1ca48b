// Where a Firefox is, and as much of WebDriver BiDi as its tests need: pages, scripts in them, clicks and keys of a person.
// Playwright's own Firefox is a build of its own, and what it speaks to a stock one asks for commands that the ESR lacks.
// Does not own what the tests do with it.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { WebSocket } from 'undici';

/** FIREFOX names one; otherwise the first of the usual names on the PATH. */
export const firefoxPath: string | undefined = [
  process.env.FIREFOX ?? '',
  ...['firefox', 'firefox-esr'].flatMap((name) =>
    (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name)),
  ),
].find((path) => path !== '' && existsSync(path));

/** The name of tests that need one: says why they are skipped. */
export const firefoxTitle = firefoxPath
  ? 'Firefox'
  : 'Firefox (skipped: no Firefox found; install one, or name it with FIREFOX=path)';

/** Nothing is asked of anybody but the page's server, and nothing is shown on the first start. */
const preferences: Readonly<Record<string, boolean | number | string>> = {
  'app.update.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.homepage_override.mstone': 'ignore',
  'datareporting.policy.dataSubmissionEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,',
  'toolkit.telemetry.enabled': false,
};

export class Firefox {
  readonly #child: ChildProcess;
  readonly #socket: WebSocket;
  readonly #profile: string;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #listeners = new Map<string, (text: string) => void>();
  #commands = 0;

  private constructor(child: ChildProcess, socket: WebSocket, profile: string) {
    this.#child = child;
    this.#socket = socket;
    this.#profile = profile;
    socket.addEventListener('message', ({ data }) => this.#hear(JSON.parse(String(data)) as Answer));
  }

  /** `more`: preferences besides. */
  static async launch(more: typeof preferences = {}): Promise<Firefox> {
    const profile = mkdtempSync(join(tmpdir(), 'relufy-firefox-'));
    const lines = Object.entries({ ...preferences, ...more }).map(
      ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`,
    );
    writeFileSync(join(profile, 'user.js'), lines.join('\n'));
    const child = spawn(
      firefoxPath as string,
      ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0'],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const address = await new Promise<string>((resolve, reject) => {
      let said = '';
      child.stderr?.on('data', (text) => {
        said += text;
        const [, url] = /WebDriver BiDi listening on (ws:\S+)/.exec(said) ?? [];
        if (url) resolve(`${url}/session`);
      });
      child.on('exit', () => reject(new Error(`Firefox ended: ${said.slice(-500)}`)));
    });
    const socket = new WebSocket(address);
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve, { once: true });
      socket.addEventListener('error', () => reject(new Error(`no connection to ${address}`)), { once: true });
    });
    const firefox = new Firefox(child, socket, profile);
    await firefox.send('session.new', { capabilities: {} });
    await firefox.send('session.subscribe', { events: ['log.entryAdded'] });
    return firefox;
  }

  /** A tab at that address. */
  async open(url: string): Promise<FirefoxPage> {
    const { context } = (await this.send('browsingContext.create', { type: 'tab' })) as { context: string };
    const page = new FirefoxPage(this, context);
    this.#listeners.set(context, (text) => page.errors.push(text));
    await page.visit(url);
    return page;
  }

  /** @throws Error of the browser, in its words. */
  async send(method: string, params: object): Promise<unknown> {
    const id = ++this.#commands;
    const answer = await new Promise<Answer>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
    if (answer.type === 'error') throw new Error(`${method}: ${answer.message}`);
    return answer.result;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#socket.close();
    this.#child.kill();
    await ended;
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }

  #hear(answer: Answer): void {
    if (answer.id !== undefined) {
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    } else if (answer.method === 'log.entryAdded' && answer.params?.level === 'error')
      this.#listeners.get(answer.params.source?.context ?? '')?.(answer.params.text ?? '');
  }
}

interface Answer {
  readonly id?: number;
  readonly type: 'success' | 'error' | 'event';
  readonly result?: unknown;
  readonly message?: string;
  readonly method?: string;
  readonly params?: {
    readonly level?: string;
    readonly text?: string;
    readonly source?: { readonly context?: string };
  };
}

export class FirefoxPage {
  /** What the page's console said went wrong. */
  readonly errors: string[] = [];
  readonly #firefox: Firefox;
  readonly #context: string;

  constructor(firefox: Firefox, context: string) {
    this.#firefox = firefox;
    this.#context = context;
  }

  async close(): Promise<void> {
    await this.#firefox.send('browsingContext.close', { context: this.#context });
  }

  async visit(url: string): Promise<void> {
    await this.#firefox.send('browsingContext.navigate', { context: this.#context, url, wait: 'complete' });
  }

  /** An expression's value, as JSON has it; promises are waited for. */
  async evaluate(expression: string): Promise<unknown> {
    const { type, result, exceptionDetails } = (await this.#firefox.send('script.evaluate', {
      expression: `(async () => JSON.stringify(await (${expression})))()`,
      target: { context: this.#context },
      awaitPromise: true,
    })) as { type: string; result?: { value?: string }; exceptionDetails?: { text: string } };
    if (type === 'exception') throw new Error(exceptionDetails?.text);
    return result?.value === undefined ? undefined : JSON.parse(result.value);
  }

  /** Until the expression is true; a navigation on the way is waited for too. */
  async until(expression: string, timeoutMs = 30_000): Promise<void> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const found = await this.evaluate(expression).catch(() => false);
      if (found) return;
      if (Date.now() > end) throw new Error(`expected ${expression} within ${timeoutMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Where the element is that the expression gives, by the mouse. */
  async click(element: string): Promise<void> {
    await this.until(`!!(${element})`);
    const { x, y } = (await this.evaluate(
      `(() => { const at = (${element}); at.scrollIntoView({ block: 'center' }); const box = at.getBoundingClientRect(); return { x: box.x + box.width / 2, y: box.y + box.height / 2 }; })()`,
    )) as { x: number; y: number };
    await this.#actions('pointer', [
      { type: 'pointerMove', x: Math.round(x), y: Math.round(y) },
      { type: 'pointerDown', button: 0 },
      { type: 'pointerUp', button: 0 },
    ]);
  }

  /** Into a field, in place of what is there. */
  async fill(field: string, text: string): Promise<void> {
    await this.until(`!!(${field})`);
    await this.evaluate(`((at) => { at.focus(); at.select(); })(${field})`);
    await this.type(text);
  }

  /** Keys, one after the other; '\uE007' is Enter. */
  async type(text: string): Promise<void> {
    await this.#actions(
      'key',
      [...text].flatMap((value) => [
        { type: 'keyDown', value },
        { type: 'keyUp', value },
      ]),
    );
  }

  async #actions(type: 'key' | 'pointer', actions: readonly object[]): Promise<void> {
    const source = { type, id: type, ...(type === 'pointer' && { parameters: { pointerType: 'mouse' } }), actions };
    await this.#firefox.send('input.performActions', { context: this.#context, actions: [source] });
  }
}
