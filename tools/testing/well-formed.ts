// A check of SVG and HTML texts that we write: tags close in order. No parser: attributes are not looked at.
import { expect } from 'vitest';

/** Every tag that is opened is closed, in order. */
export function expectWellFormed(text: string): void {
  const open: string[] = [];
  for (const [tag, close, name, self] of text.matchAll(/<(\/?)([a-z][\w]*)[^<>]*?(\/?)>/gi)) {
    if (self === '/' || /^(meta)$/.test(name as string)) continue;
    if (close === '') open.push(name as string);
    else expect([tag, open.pop()]).toEqual([tag, name]);
  }
  expect(open).toEqual([]);
}
