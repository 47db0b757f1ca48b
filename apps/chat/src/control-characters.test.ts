import { expect, test } from 'vitest';
import { escapeControls } from './control-characters.js';

test.each([
  ['a\u{1b}[2Jb', 'a\\x1b[2Jb'],
  ['\u{9b}31m', '\\x9b31m'],
  ['a\rb\u{8}\u{7f}\u{0}', 'a\\x0db\\x08\\x7f\\x00'],
  ['\u{202e}txt.exe', '\\u202etxt.exe'],
  ['a\tb\nc\r\nd', 'a\tb\nc\nd'],
  ['ünï 漢字 👩‍👧 \u{301}', 'ünï 漢字 👩‍👧 \u{301}'],
])('%j is shown as %j', (text, shown) => expect(escapeControls(text)).toBe(shown));
