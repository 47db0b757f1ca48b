// The browsers that what needs nothing but a page and scripts in it is tried in, by one interface: Chromium and Firefox, each
// where it is found. Does not own how they are started (chromium.ts, firefox.ts), nor what a person does on a page (web/).
import { chromiumPath, chromiumTitle, launchProfile } from './chromium.js';
import { Firefox, firefoxPath, firefoxTitle } from './firefox.js';

export interface OpenPage {
  /** What went wrong in it, as the browser says. */
  readonly errors: readonly string[];
  /** An expression's value, as JSON has it; promises are waited for. */
  evaluate(expression: string): Promise<unknown>;
  close(): Promise<void>;
}

export interface OpenBrowser {
  open(url: string): Promise<OpenPage>;
  close(): Promise<void>;
}

export interface BrowserKind {
  /** Says why it is skipped where there is none. */
  readonly title: string;
  readonly isFound: boolean;
  /** `folder`: where it may keep files. */
  launch(folder: string): Promise<OpenBrowser>;
}

export const browsers: readonly BrowserKind[] = [
  { title: chromiumTitle, isFound: chromiumPath !== undefined, launch: openChromium },
  { title: firefoxTitle, isFound: firefoxPath !== undefined, launch: () => Firefox.launch() },
];

async function openChromium(folder: string): Promise<OpenBrowser> {
  const context = await launchProfile(folder);
  return {
    close: () => context.close(),
    async open(url) {
      const page = await context.newPage();
      const errors: string[] = [];
      page.on('pageerror', (error) => errors.push(String(error)));
      await page.goto(url);
      return { errors, evaluate: (expression) => page.evaluate(expression), close: () => page.close() };
    },
  };
}
