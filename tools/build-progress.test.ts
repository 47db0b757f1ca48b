import { expect, test } from 'vitest';
import { buildProgress, failedLines } from './build-progress.mjs';

function setUp(options: { readonly first: boolean; readonly isTTY: boolean; readonly columns?: number }) {
  const written: string[] = [];
  let time = 0;
  const { first, ...terminal } = options;
  const stream = { ...terminal, write: (text: string) => written.push(text) };
  const progress = buildProgress(stream, { first, total: 11, now: () => time });
  return { written, progress, after: (ms: number) => (time += ms) };
}
const miss = (name: string) => `${name}:build: cache miss, executing 0123456789abcdef`;

test('a first build says so once, and its steps', () => {
  const { written, progress, after } = setUp({ first: true, isTTY: false });
  for (const line of ['', '   • turbo 2', miss('@relufy/tensor'), '@relufy/tensor:build: > tsup', miss('relufy')])
    progress.hear(line);
  after(34_600);
  progress.tick();
  progress.end(true);
  expect(written.join('')).toBe(
    'Building Relufy, 11 packages: once, for about a minute. The next start takes a second.\n' +
      '  1 of 11: @relufy/tensor\n  2 of 11: relufy\nBuilt in 35 s.\n',
  );
});

test('at a terminal the step is one line that lives, and is never too wide', () => {
  const { written, progress, after } = setUp({ first: false, isTTY: true, columns: 20 });
  progress.hear(miss('@relufy/checkpoint'));
  after(3000);
  progress.tick();
  progress.end(false);
  expect(written).toEqual([
    'Building what has changed.\n',
    '  1: @relufy/checkp',
    '\r\u{1b}[2K  1: @relufy/checkp',
    '\r\u{1b}[2KThe build failed after 3 s.\n',
  ]);
});

test('nothing to build, nothing to say', () => {
  const { written, progress } = setUp({ first: true, isTTY: true });
  progress.hear('@relufy/tensor:build: cache hit, replaying logs 0123456789abcdef');
  progress.tick();
  progress.end(true);
  expect(written).toEqual([]);
});

test('of a failed build the lines of the package that failed are shown', () => {
  const lines = [
    miss('@relufy/tensor'),
    '@relufy/tokenizer:build: ERROR: no such thing',
    '@relufy/kernels:build:  ELIFECYCLE  Command failed.',
    '@relufy/tokenizer#build:  ERROR  command (x) pnpm run build exited (1)',
    'Failed:    @relufy/tokenizer#build',
  ];
  expect(failedLines(lines)).toEqual([lines[1], lines[3], lines[4]]);
  expect(failedLines(['turbo fell over'])).toEqual(['turbo fell over']);
});
