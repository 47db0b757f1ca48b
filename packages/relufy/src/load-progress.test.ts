import { columnsOf } from '@relufy/chat';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
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

test('a source that does not answer gets a line too', async () => {
  const { written, progress } = show(true);
  await vi.waitFor(() => expect(written).toEqual(['\r\u{1b}[2KLoading tales ...']), { timeout: 20_000 });
  progress.clear();
  expect(written.at(-1)).toBe('\r\u{1b}[2K');
});

test('without a terminal, a server that lets wait is named on a line of its own', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
  const asked = { status: 'connect', name: 'user/model', endpoint: 'https://hub' } as const;
  const quick = show(false);
  quick.progress.hear(asked);
  quick.progress.clear();
  const slow = show(false);
  slow.progress.hear(asked);
  vi.advanceTimersByTime(1500);
  slow.progress.clear();
  expect([quick.written, slow.written]).toEqual([[], ['Asking https://hub for user/model\n']]);
});

test('without a terminal there is no line', () => {
  const { written, progress } = show(false);
  vi.advanceTimersByTime(600);
  progress.hear(event);
  progress.clear();
  expect(written).toEqual([]);
});

describe('at a terminal of so many columns', () => {
  /** A terminal that draws: rows of the screen, with breaks where a line is too wide, as it obeys what we write. */
  function terminal(columns: number) {
    const heard: (() => void)[] = [];
    const written: string[] = [];
    const stream = {
      isTTY: true,
      columns,
      write: (text: string) => written.push(text) > 0,
      on: (_: string, listener: () => void) => heard.push(listener),
      off: (_: string, listener: () => void) => heard.splice(heard.indexOf(listener), 1),
    };
    const resize = (to: number) => {
      stream.columns = to;
      for (const listener of heard) listener();
    };
    const lines = () =>
      written.map((text) => text.replaceAll(/\r|\p{Cc}\[\d*[A-Z]/gu, '')).filter((line) => line !== '');
    return { stream, written, resize, lines, heard };
  }
  const at = (percent: number, file = 'model.safetensors') => ({ ...event, file, progress: percent });
  const folder = '/srv/models/of/somebody/with/long/names/SmolLM2-135M-Instruct';

  test.each([10, 20, 30, 40, 79, 80, 120])('%d: one line, never wider, whatever the names', (columns) => {
    const names = ['tales', folder, `${folder}.gguf`, '模型'.repeat(30), 'a\u{1b}[2Jb\nc'];
    for (const name of names)
      for (const file of ['model.safetensors', `${folder}.gguf`, 'x'.repeat(200), 'onnx/model.bin']) {
        const { stream, written, lines } = terminal(columns);
        const progress = showProgress(name, stream as never);
        vi.advanceTimersByTime(600);
        for (let percent = 0; percent <= 100; percent += 10) progress.hear(at(percent, file));
        progress.clear();
        for (const line of lines()) expect(columnsOf(line), line).toBeLessThan(columns);
        expect(written.join('')).not.toMatch(/\n/);
        expect(written.join('').replaceAll(/\p{Cc}\[(2K|J|\d+A)/gu, '')).not.toMatch(/(?!\r)\p{Cc}/u);
        expect(lines().at(-1)).toContain('100 %');
      }
  });

  test('the name is there once', () => {
    const { stream, lines } = terminal(100);
    const progress = showProgress(`${folder}.gguf`, stream as never);
    vi.advanceTimersByTime(600);
    progress.hear(at(1, `${folder}.gguf`));
    progress.hear(at(2, 'SmolLM2-135M-Instruct.gguf'));
    expect(lines()).toEqual([`Loading ${folder}.gguf 1 %`, `Loading ${folder}.gguf 2 %`]);
  });

  test('what says nothing new is not written', () => {
    const { stream, written } = terminal(80);
    const progress = showProgress('tales', stream as never);
    vi.advanceTimersByTime(600);
    for (let i = 0; i < 100; i++) progress.hear(at(50 + i / 1000));
    expect(written).toHaveLength(1);
  });

  test('a window that becomes narrower: the rows into which it broke the line go, and the line is cut anew', () => {
    const { stream, written, resize, lines, heard } = terminal(60);
    const progress = showProgress(folder, stream as never);
    vi.advanceTimersByTime(600);
    progress.hear(at(42));
    const width = columnsOf(lines()[0] as string);
    resize(25);
    expect(written.at(-1)).toContain(`\r\u{1b}[${Math.ceil(width / 25) - 1}A\u{1b}[J`);
    expect(columnsOf(lines().at(-1) as string)).toBeLessThan(25);
    resize(80);
    progress.clear();
    expect(heard).toEqual([]);
    resize(10);
    progress.hear(at(50));
    expect(written.at(-1)).toBe('\r\u{1b}[2K');
  });
});
