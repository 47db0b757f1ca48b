// Python's textwrap.wrap, as jinja2's `wordwrap` calls it: tabs and spaces stay as they are.
import { step } from './budget.js';
import { codePoints, PythonError } from './values.js';

const space = String.raw`[\t\n\v\f\r ]`;
const word = String.raw`[\p{L}\p{N}_!"'&.,?]`;
const letter = String.raw`[\p{L}_]`;
const hyphens = new RegExp(
  `(${space}+|(?<=${word})-{2,}(?=[\\p{L}\\p{N}_])|[^\\t\\n\\v\\f\\r ]+?` +
    `(?:-(?:(?<=${letter}{2}-)|(?<=${letter}-${letter}-))(?=${letter}-?${letter})|(?=${space}|$)|(?<=${word})(?=-{2,}[\\p{L}\\p{N}_])))`,
  'u',
);
const plain = new RegExp(`(${space}+)`, 'u');
const blank = new RegExp(`^${space}*$`, 'u');

export function wrapText(text: string, width: number, breakLong: boolean, onHyphens: boolean): string[] {
  if (width <= 0) throw new PythonError('ValueError', `invalid width ${width} (must be > 0)`);
  step(text.length);
  const chunks = text
    .split(onHyphens ? hyphens : plain)
    .filter((chunk) => chunk !== '')
    .reverse();
  const lines: string[] = [];
  while (chunks.length > 0) {
    step();
    let line: string[] = [];
    let length = 0;
    if (lines.length > 0 && blank.test(chunks.at(-1)!)) chunks.pop();
    while (chunks.length > 0 && !isLonger(chunks.at(-1)!, width - length)) {
      length += codePoints(chunks.at(-1)!);
      line.push(chunks.pop()!);
    }
    if (chunks.length > 0 && isLonger(chunks.at(-1)!, width)) {
      line = brokenWord(chunks, line, width, length, breakLong, onHyphens);
    }
    if (line.length > 0 && blank.test(line.at(-1)!)) line.pop();
    if (line.length > 0) lines.push(line.join(''));
  }
  return lines;
}

/** Whether a chunk has more characters than that; a long one is not counted. */
const isLonger = (chunk: string, width: number): boolean => chunk.length > 2 * width || codePoints(chunk) > width;

/** A chunk that is longer than a line begins in this one, or has one of its own. */
function brokenWord(
  chunks: string[],
  line: string[],
  width: number,
  length: number,
  breakLong: boolean,
  onHyphens: boolean,
): string[] {
  const room = width < 1 ? 1 : width - length;
  if (breakLong) {
    const chunk = chunks.pop()!;
    const chars = Array.from(chunk.slice(0, 2 * room + 2));
    let end = room;
    if (onHyphens && chars.length > room) {
      const hyphen = chars.slice(0, room).lastIndexOf('-');
      if (hyphen > 0 && chars.slice(0, hyphen).some((char) => char !== '-')) end = hyphen + 1;
    }
    const begin = chars.slice(0, end).join('');
    line.push(begin);
    chunks.push(chunk.slice(begin.length));
  } else if (line.length === 0) {
    line.push(chunks.pop()!);
  }
  return line;
}
