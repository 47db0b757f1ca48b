// `node tools/browser/web-pictures.mjs [--pictures]`: measures the chat page in headless Chromium as a person meets it, and
// with --pictures takes the screenshots of docs/web.md. Prints numbers, judges none. The browser draws in software.
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { siteFile } from '../../apps/web/dist/site/index.js';

const pictures = process.argv.includes('--pictures');
const folder = fileURLToPath(new URL('../../docs/pictures/', import.meta.url));
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

const server = createServer(async ({ url }, response) => {
  const file = await siteFile(decodeURIComponent(new URL(url, 'http://localhost').pathname).slice(1));
  if (file === undefined) return response.writeHead(404).end();
  response.writeHead(200, {
    'content-type': file.contentType,
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-embedder-policy': 'require-corp',
  });
  if (file.path === undefined) response.end(file.content);
  else createReadStream(file.path).pipe(response);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const address = `http://127.0.0.1:${server.address().port}/`;
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });

try {
  await firstSecond();
  await stream('llama-tales', 'Tell me a story about a fox who learns to read.', 'dark');
  if (pictures) {
    await stream('llama-tales', 'Tell me a story about a fox who learns to read.', 'light');
    await phone();
  }
} finally {
  await browser.close();
  server.close();
}

/** First paint, and the script that comes before a model. */
async function firstSecond() {
  const context = await browser.newContext();
  const page = await context.newPage();
  let [bytes, all] = [0, 0];
  page.on('response', async (response) => {
    if (!/\.js$/.test(response.url())) return;
    const body = await response.body().catch(() => Buffer.alloc(0));
    bytes += gzipSync(body).byteLength;
    all += body.byteLength;
  });
  await page.goto(address);
  await page.getByLabel('Message', { exact: true }).waitFor();
  const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime);
  console.log(
    `first paint ${paint.toFixed(0)} ms; script ${(bytes / 1000).toFixed(1)} KB gzipped (${(all / 1000).toFixed(0)} KB)`,
  );
  await context.close();
}

/** Frames while an answer streams, and the comparison with dense. */
async function stream(model, prompt, colorScheme) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme });
  const page = await context.newPage();
  page.setDefaultTimeout(90_000);
  await page.goto(`${address}?model=${model}`);
  await page.getByText('WebAssembly,').waitFor();
  await page.getByLabel('Message', { exact: true }).fill('Hello.');
  await page.keyboard.press('Enter');
  await page.getByText('Regenerate').waitFor();
  await page.getByRole('button', { name: 'New chat' }).click();
  await page.getByLabel('Message', { exact: true }).fill(prompt);
  await page.keyboard.press('Enter');
  await page.locator('.tokens li').nth(3).waitFor();
  const session = await context.newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const before = await cpuOf(session);
  const tokensBefore = await page.locator('.tokens li').count();
  const frames = await page.evaluate(async () => {
    const times = [];
    while (document.querySelector('.message.assistant[aria-busy="true"]') && times.length < 600)
      times.push(await new Promise(requestAnimationFrame));
    return times;
  });
  const after = await cpuOf(session);
  const tokens = (await page.locator('.tokens li').count()) - tokensBefore;
  const gaps = frames.slice(1).map((time, i) => time - frames[i]);
  gaps.sort((a, b) => a - b);
  const seconds = (frames.at(-1) - frames[0]) / 1000;
  const at = (share) => gaps[Math.min(gaps.length - 1, Math.floor(share * gaps.length))]?.toFixed(1);
  console.log(
    `${model}: ${((frames.length - 1) / seconds).toFixed(1)} frames a second over ${seconds.toFixed(2)} s of text; between two frames ${at(0.5)} ms (median), ${at(0.95)} ms (95 %), ${at(1)} ms (most)`,
  );
  const each = (name) => ((1000 * (after[name] - before[name])) / frames.length).toFixed(2);
  console.log(
    `  of the page's thread, processor time a frame: ${each('TaskDuration')} ms in all, ${each('ScriptDuration')} script, ${each('LayoutDuration')} layout, ${each('RecalcStyleDuration')} style; ${(tokens / frames.length).toFixed(1)} tokens a frame`,
  );
  console.log(
    `  ${await page.locator('.figures').last().innerText()}; ${await page.locator('header .backend').innerText()}`,
  );
  await page.getByText('Run the same prompt dense').click();
  await page.getByText(/times as fast/).waitFor();
  console.log(`  ${(await page.locator('.compare').innerText()).replaceAll(/\s+/g, ' ')}`);
  if (pictures) {
    await page.locator('.tokens button').nth(12).hover();
    await page.screenshot({ path: `${folder}web-${colorScheme}.png` });
  }
  await context.close();
}

/** Seconds of processor time of the page's thread, by what it did. */
async function cpuOf(session) {
  const { metrics } = await session.send('Performance.getMetrics');
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
}

async function phone() {
  const context = await browser.newContext({ viewport: { width: 390, height: 780 }, colorScheme: 'dark' });
  const page = await context.newPage();
  await page.goto(`${address}?model=llama-tales`);
  await page.getByLabel('Message', { exact: true }).fill('Tell me a story about a storm at sea.');
  await page.keyboard.press('Enter');
  await page.getByText('Regenerate').waitFor();
  await page.getByRole('button', { name: 'Neurons' }).first().click();
  await page.screenshot({ path: `${folder}web-phone.png` });
  await context.close();
}
