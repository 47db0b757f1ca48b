// The reports of `relufy measure` and `relufy eval`, as the commands write them, in headless Chromium: no request, text
// that can be read in light and in dark, nothing cut off or on top of each other. Does not own what they say.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from '../checks/workspace.js';
import { chromiumPath, chromiumTitle, launchChromium } from './chromium.js';

const reports = ['measured', 'measured-both', 'scored', 'scored-both'];

function writeReports(folder: string): void {
  const relufy = (...args: string[]) =>
    execFileSync(process.execPath, [join(root, 'packages/relufy/dist/cli.js'), ...args], {
      cwd: folder,
      stdio: 'pipe',
    });
  writeFileSync(join(folder, 'text.txt'), 'Once upon a time there was a fox who liked to read. '.repeat(12));
  const measure = (out: string, ...more: string[]) =>
    relufy('measure', 'llama-tales', '--data', 'text.txt', '--tokens', '128', '--window', '64', '--out', out, ...more);
  measure('measured', '--ppl', '5', '--reuse', '1,4', '--speculate', 'prompt', '--draft-tokens', '1,2');
  measure('measured-dense', '--sparsity', 'dense', '--name', 'a-model-with-a-name-that-is-longer-than-most/dense');
  const records = ['measured', 'measured-dense'].map((run) => join(run, 'measurement.json'));
  relufy('measure', '--report', ...records, '--out', 'measured-both');
  const names = [
    'cats',
    'dogs_and_other_animals',
    'foxes_that_read',
    'hens',
    'owls_at_night',
    'toads',
    'voles_in_spring',
  ];
  for (const name of names) {
    const docs = Array.from({ length: 4 }, (_, i) => ({
      q: `The ${name} ${i} sat on the`,
      c: [' mat.', ' of.'],
      a: 0,
    }));
    writeFileSync(join(folder, `${name}__test.jsonl`), docs.map((doc) => JSON.stringify(doc)).join('\n'));
    writeFileSync(
      join(folder, `${name}.yaml`),
      `task: ${name}\ndataset_path: ${name}\noutput_type: multiple_choice\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\ndoc_to_choice: c\nmetric_list: [{metric: acc}, {metric: acc_norm}]\n`,
    );
  }
  const tasks = names.map((name) => `${name}.yaml`).join(',');
  const score = (out: string, ...more: string[]) =>
    relufy('eval', 'llama-tales', '--tasks', tasks, '--data', '.', '--bootstrap-iters', '50', '--out', out, ...more);
  score('scored');
  score('scored-dense', '--sparsity', 'dense');
  relufy('eval', '--compare', 'scored', 'scored-dense', '--out', 'scored-both');
}

interface Finding {
  readonly text: string;
  readonly what: string;
}

/** In the page: texts with too little contrast, outside their chart, or on each other. */
function findings(): Finding[] {
  const luminance = (color: string): number => {
    const channels = (color.match(/[\d.]+/g) ?? []).slice(0, 3).map((part) => {
      const share = Number(part) / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    const [red = 0, green = 0, blue = 0] = channels;
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (a: string, b: string): number => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
    return (high + 0.05) / (low + 0.05);
  };
  const found: Finding[] = [];
  const check = (text: string, color: string, paper: string) => {
    const ratio = contrast(color, paper);
    if (ratio < 4.5) found.push({ text, what: `contrast ${ratio.toFixed(2)}: ${color} on ${paper}` });
  };
  const page = getComputedStyle(document.body).backgroundColor;
  for (const element of document.querySelectorAll('h1, h2, th, td, footer'))
    check(element.textContent ?? '', getComputedStyle(element).color, page);
  for (const chart of document.querySelectorAll('svg.chart')) {
    const outer = chart.getBoundingClientRect();
    const paper = getComputedStyle(chart.querySelector('.paper') as Element).fill;
    const texts = [...chart.querySelectorAll('text')].map((element) => ({
      text: element.textContent ?? '',
      box: element.getBoundingClientRect(),
      turned: element.hasAttribute('transform'),
      color: getComputedStyle(element).fill,
    }));
    for (const [at, { text, box, color, turned }] of texts.entries()) {
      check(text, color, paper);
      if (box.left < outer.left || box.right > outer.right || box.top < outer.top || box.bottom > outer.bottom)
        found.push({ text, what: 'is cut off' });
      const covered = texts
        .slice(at + 1)
        .find(
          (other) =>
            !turned &&
            !other.turned &&
            box.left < other.box.right - 1 &&
            other.box.left < box.right - 1 &&
            box.top < other.box.bottom - 3 &&
            other.box.top < box.bottom - 3,
        );
      if (covered) found.push({ text, what: `lies on "${covered.text}"` });
    }
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push({ text: 'page', what: 'is wider than the window' });
  return found;
}

describe.skipIf(!chromiumPath)(`reports in ${chromiumTitle}`, () => {
  let browser: Browser;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'relufy-reports-'));
    writeReports(folder);
    browser = await launchChromium();
  }, 240_000);
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function open(report: string, colorScheme: 'light' | 'dark', width: number): Promise<Page> {
    const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
    const address = pathToFileURL(join(folder, report, 'report.html')).href;
    const requests: string[] = [];
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(address, { waitUntil: 'networkidle' });
    expect(requests).toEqual([address]);
    return page;
  }

  test.each(
    reports.flatMap((report) =>
      (['light', 'dark'] as const).flatMap((scheme) => [1200, 390].map((width) => ({ report, scheme, width }))),
    ),
  )('$report, $scheme, $width wide', async ({ report, scheme, width }) => {
    const page = await open(report, scheme, width);
    try {
      const [paper] = await page.evaluate(() =>
        [...document.querySelectorAll('.paper')].map((element) => getComputedStyle(element).fill),
      );
      expect(paper).toBe(scheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(18, 22, 28)');
      expect(await page.evaluate(`(${findings})()`)).toEqual([]);
    } finally {
      await page.close();
    }
  });

  test('what is looked for is found', async () => {
    const page = await open('scored', 'light', 1200);
    try {
      await page.addStyleTag({ content: '.chart text.faint{fill:#ccc}' });
      await page.evaluate(() => document.querySelector('.chart .title')?.setAttribute('x', '400'));
      const what = ((await page.evaluate(`(${findings})()`)) as Finding[]).map((finding) => finding.what).join();
      expect(what).toMatch(/contrast 1\.\d+/);
      expect(what).toContain('is cut off');
    } finally {
      await page.close();
    }
  });
});
