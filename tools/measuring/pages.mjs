// Pages of results: what stands between two marks is made anew, the words around it are written by hand. Tables of Markdown as
// the formatter leaves them. Does not own results.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * @param {string} page a file; one that is not there is begun with `title`
 * @param {{ start: string, end: string, title?: string }} marks whole lines
 * @param {readonly string[]} parts tables and pictures
 */
export function writeResults(page, { start, end, title }, parts) {
  const begun = `${title === undefined ? '' : `# ${title}\n\n`}${start}\n${end}\n`;
  const before = existsSync(page) ? readFileSync(page, 'utf8') : begun;
  mkdirSync(dirname(page), { recursive: true });
  writeFileSync(page, replaceResults(page, before, { start, end }, parts));
}

/** @param {string} page names it in errors @param {string} before @param {readonly string[]} parts */
export function replaceResults(page, before, { start, end }, parts) {
  const [from, to] = [before.indexOf(start), before.indexOf(end)];
  if (from < 0 || to < from)
    throw new Error(`${page}: expected the marks around its results, ${start} and ${end}, got none. Put them back.`);
  return before.slice(0, from) + [start, ...parts, before.slice(to)].join('\n\n');
}

/** @param {{ title?: string, head: readonly string[], rows: readonly (readonly string[])[], note?: string }} table */
export function markdownTable({ title, head, rows, note }) {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const [first, ...others] = cells;
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => row[column].length)));
  const line = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  const table = [line(first), rule, ...others.map(line)].join('\n');
  return [...(title ? [`**${title}**`] : []), table, ...(note ? [note] : [])].join('\n\n');
}

/** @param {number} share @param {number} digits */
export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;
