import { describe, expect, test } from 'vitest';
import { cpuSeconds } from '../../../tools/testing/cpu-time.js';
import { Markdown } from './markdown.js';

/** With names for colours, so that a test can be read. */
const readable = (text: string) => text.replaceAll(/\p{Cc}\[(\d+)m/gu, (_, code: string) => `<${names[code] ?? code}>`);
const names: Readonly<Record<string, string>> = {
  1: 'b',
  22: '/b',
  3: 'i',
  23: '/i',
  36: 'code',
  39: '/code',
  2: 'dim',
};

function draw(text: string, size: number): string {
  const markdown = new Markdown();
  const pieces = text.match(new RegExp(`[^]{1,${size}}`, 'gu')) ?? [];
  return readable(
    [...pieces.flatMap((piece) => markdown.push(piece)), ...markdown.flush()].map((s) => s.text).join(''),
  );
}

const cases: readonly (readonly [string, string])[] = [
  ['plain text\nof two lines\n\nand more', 'plain text\nof two lines\n\nand more'],
  ['# Title\ntext', '<b>Title</b>\ntext'],
  ['### A **bold** title\n', '<b>A <b>bold</b><b> title</b>\n'],
  ['a **bold** and *it* and __b__ and _i_.', 'a <b>bold</b> and <i>it</i> and <b>b</b> and <i>i</i>.'],
  ['***both*** here', '<b><i>both</i></b> here'],
  ['**bold *and it* in**', '<b>bold <i>and it</i><b> in</b>'],
  ['`x * y * z` and ``a`b``', '<code>x * y * z</code> and <code>a`b</code>'],
  ['2 * 3 * 4, 5*3*2, snake_case_name, a**b**c', '2 * 3 * 4, 5*3*2, snake_case_name, a**b**c'],
  ['**never closed\nnext *line', '**never closed\nnext *line'],
  ['`open\nnext', '`open\nnext'],
  ['a \\*literal\\* star and C:\\dir', 'a *literal* star and C:\\dir'],
  ['- one\n* two\n  + three\n1. four\n2) five', '• one\n• two\n  • three\n1. four\n2) five'],
  ['-5 degrees\n#hashtag\n1986 was\n*it* first', '-5 degrees\n#hashtag\n1986 was\n<i>it</i> first'],
  ['- **b**: x', '• <b>b</b>: x'],
  ['> quoted *it*\nno', '<dim>│</b> quoted <i>it</i>\nno'],
  ['a\n---\nb', `a\n<dim>${'─'.repeat(24)}</b>\nb`],
  [
    '```js\nconst a = "**b**";\n\n  # x\n``\n```\nend *it*',
    '<code>const a = "**b**";</code>\n\n<code>  # x</code>\n<code>``</code>\nend <i>it</i>',
  ],
  ['~~~\n```\n~~~\nx', '<code>```</code>\nx'],
  ['```\nnever closed', '<code>never closed</code>'],
  ['  indented\n    verse', '  indented\n    verse'],
  ['', ''],
  ['*', '*'],
  ['"Hi!" *he said*, "you_and_me"', '"Hi!" <i>he said</i>, "you_and_me"'],
  ['日本語 **太字** です、これは**太字**です', '日本語 <b>太字</b> です、これは<b>太字</b>です'],
];

describe('Markdown', () => {
  test.each(cases)('%j', (text, drawn) => expect(draw(text, 10_000)).toBe(drawn));

  test('comes out the same however it is cut, colours of code aside', () => {
    const merge = (text: string) => text.replaceAll('</code><code>', '');
    for (const [text, drawn] of cases)
      for (const size of [1, 2, 3, 7]) expect(merge(draw(text, size)), `${size}: ${text}`).toBe(drawn);
  });

  test('shows what is certain at once, and waits for a partner no farther than a few hundred characters', () => {
    const markdown = new Markdown();
    const push = (text: string) =>
      readable(
        markdown
          .push(text)
          .map((s) => s.text)
          .join(''),
      );
    expect(push('Hello wor')).toBe('Hello wor');
    expect(push('ld **bo')).toBe('ld ');
    expect(push('ld** x')).toBe('<b>bold</b> x');
    expect(push(` *${'far '.repeat(120)}`).length).toBeGreaterThan(400);
  });

  test('takes no time that grows with the square of a line', async () => {
    const cost = cpuSeconds(() => {
      draw('*a _b `c '.repeat(4000), 5);
      draw('`'.repeat(20_000), 7);
      draw('*'.repeat(20_000), 7);
    });
    expect(await cost).toBeLessThan(3);
  });
});
