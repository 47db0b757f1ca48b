// Where a Chromium is, and how the tests start it. Does not own what they do with it.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, type BrowserContext, chromium } from 'playwright-core';

/** CHROMIUM names one; otherwise the first of the usual names on the PATH. */
export const chromiumPath: string | undefined = [
  process.env.CHROMIUM ?? '',
  ...['chromium', 'chromium-browser', 'google-chrome'].flatMap((name) =>
    (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name)),
  ),
].find((path) => path !== '' && existsSync(path));

/** The name of tests that need one: says why they are skipped. */
export const chromiumTitle = chromiumPath
  ? 'Chromium'
  : 'Chromium (skipped: no Chromium found; install one, or name it with CHROMIUM=path)';

const flags =
  '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';

const options = { executablePath: chromiumPath as string, args: flags.split(' ') };

export const launchChromium = (): Promise<Browser> => chromium.launch(options);

/** One that keeps what pages store in files of that folder, as a person's does, and not in memory. */
export const launchProfile = (folder: string): Promise<BrowserContext> =>
  chromium.launchPersistentContext(folder, options);
