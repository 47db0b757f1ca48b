import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { duration, workLine } from './work-line.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function lineOn(isTTY: boolean, columns = 80) {
  const written: string[] = [];
  const write = (text: string | Uint8Array) => written.push(String(text)) > 0;
  return { written, line: workLine({ isTTY, columns, write } as never) };
}

const erase = '\r\u{1b}[2K';

describe('on a terminal', () => {
  test('a line is drawn over, with its share and the time left, and taken away', () => {
    const { written, line } = lineOn(true);
    line.hear({ what: 'encoding a.txt', share: 0 });
    for (const share of [0.25, 0.5]) {
      vi.advanceTimersByTime(10_000);
      line.hear({ what: 'encoding a.txt', share });
      line.hear({ what: 'encoding a.txt', share });
    }
    line.clear();
    line.clear();
    expect(written).toEqual([
      `${erase}Encoding a.txt 25 %, 30 s left`,
      `${erase}Encoding a.txt 50 %, 20 s left`,
      erase,
    ]);
  });

  test('work without a share is named at once, since it may hold the process up', () => {
    const { written, line } = lineOn(true);
    line.hear({ what: 'resampling' });
    expect(written).toEqual([`${erase}Resampling ...`]);
  });

  test('the line is never wider than the terminal, and obeys no text', () => {
    const { written, line } = lineOn(true, 20);
    line.hear({ what: 'encoding \u{1b}[31m\na file with a long name' });
    expect(written[0]?.slice(erase.length)).toHaveLength(19);
    line.hear({ what: '模型'.repeat(20) });
    expect(written[1]?.slice(erase.length)).toBe('模型模型模型模型模');
    for (const obeyed of ['\u{1b}', '\n']) expect(written[0]?.slice(erase.length)).not.toContain(obeyed);
  });
});

describe('in a log', () => {
  test('what is quick says nothing', () => {
    const { written, line } = lineOn(false);
    line.hear({ what: 'encoding' });
    vi.advanceTimersByTime(2000);
    line.clear();
    vi.advanceTimersByTime(60_000);
    expect(written).toEqual([]);
  });

  test('after three seconds there is a line, then one twice a minute', () => {
    const { written, line } = lineOn(false);
    for (let second = 0; second <= 70; second++) {
      line.hear({ what: 'measuring', share: second / 100 });
      vi.advanceTimersByTime(1000);
    }
    expect(written).toEqual([
      'Measuring 2 %, 2 min left\n',
      'Measuring 33 %, 67 s left\n',
      'Measuring 63 %, 37 s left\n',
    ]);
  });

  test('the time left of work that goes on where it stood is told by what is new', () => {
    const { written, line } = lineOn(false);
    for (let second = 0; second <= 5; second++) {
      line.hear({ what: 'training', share: 0.5 + second / 100 });
      vi.advanceTimersByTime(1000);
    }
    expect(written).toEqual(['Training 52 %, 72 s left\n']);
  });

  test('work that says nothing more is named too', () => {
    const { written, line } = lineOn(false);
    line.hear({ what: 'reading the teacher' });
    vi.advanceTimersByTime(3000);
    expect(written).toEqual(['Reading the teacher ...\n']);
  });
});

test('durations are in words', () => {
  expect([1e3, 89e3, 600e3, 3 * 3600e3].map(duration)).toEqual(['1 s', '89 s', '10 min', '3.0 h']);
});
