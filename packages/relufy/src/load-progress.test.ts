import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { showProgress } from './load-progress.js';

const event = { status: 'progress', name: 'm', file: 'f', loaded: 1, total: 2, progress: 50.7 } as const;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

function show(isTTY: boolean) {
  const written: string[] = [];
  const write = (text: string | Uint8Array) => written.push(String(text)) > 0;
  return { written, progress: showProgress('tales', { isTTY, write } as never) };
}

test('a quick load shows nothing', () => {
  const { written, progress } = show(true);
  progress.hear(event);
  progress.clear();
  expect(written).toEqual([]);
});

test('a slow load shows one line, and takes it away', () => {
  const { written, progress } = show(true);
  vi.advanceTimersByTime(600);
  progress.hear(event);
  progress.hear({ status: 'done', name: 'm', file: 'f' });
  progress.clear();
  progress.hear(event);
  progress.clear();
  expect(written).toEqual(['\r\u{1b}[2KLoading tales: f 50 %', '\r\u{1b}[2K']);
});

test('a server that is asked is named at once, and why it is asked again', () => {
  const { written, progress } = show(true);
  const asked = { status: 'connect', name: 'user/model', endpoint: 'https://hub' } as const;
  progress.hear(asked);
  progress.hear({ ...asked, reason: 'ENOTFOUND' });
  expect(written.map((line) => line.slice('\r\u{1b}[2K'.length))).toEqual([
    'Asking https://hub for user/model',
    'Asking https://hub for user/model: ENOTFOUND, once more',
  ]);
});

test('without a terminal there is no line', () => {
  const { written, progress } = show(false);
  vi.advanceTimersByTime(600);
  progress.hear(event);
  progress.clear();
  expect(written).toEqual([]);
});
