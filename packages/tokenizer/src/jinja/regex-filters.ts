// lm-evaluation-harness's `regex_replace`: Python's re.sub, in a matcher that cannot go back for ever.
import { boundedPattern, type Engine } from '../bounded-regex.js';
import { intArgument, textArgument } from './arguments.js';
import { charge } from './budget.js';
import type { Filters } from './filter-types.js';
import { SPACE } from './text.js';
import { PythonError } from './values.js';

export const regexFilters: Filters = {
  regex_replace: [
    ['pattern', 'repl', 'count?'],
    (value, [pattern, by, count]) =>
      substitute(
        textArgument('regex_replace', value),
        textArgument('regex_replace', pattern),
        textArgument('regex_replace', by),
        intArgument('regex_replace', count, 0),
      ),
  ],
};

/** What Python writes or means otherwise: its sets, anchors, line ends and named groups. */
function translated(source: string): { pattern: string; flags: string } {
  const inline = /^\(\?([aimsux]+)\)/.exec(source);
  const set = inline?.[1] ?? '';
  const lines = set.includes('m');
  const all = set.includes('s');
  let inSet = false;
  const anchors: Record<string, string> = {
    '^': lines ? '(?<![^\\n])' : '^',
    $: lines ? '(?![^\\n])' : '(?=\\n?$)',
    '.': all ? '[^]' : '[^\\n]',
  };
  const tokens = /\\([\s\S])|\(\?P<(\w+)>|\(\?P=(\w+)\)|[[\]^$.]/g;
  const pattern = source.slice(inline?.[0].length ?? 0).replaceAll(tokens, (token, letter, name, reference) => {
    if (letter !== undefined) return escapeFor(letter as string, inSet);
    if (inSet) {
      if (token === ']') inSet = false;
      return token === '[' ? '\\[' : (token as string);
    }
    if (name !== undefined) return `(?<${name as string}>`;
    if (reference !== undefined) return `\\k<${reference as string}>`;
    inSet = token === '[';
    return anchors[token as string] ?? (token as string);
  });
  return { pattern, flags: `gu${set.includes('i') ? 'i' : ''}` };
}

function escapeFor(letter: string, inSet: boolean): string {
  const sets: Record<string, string> = { s: SPACE, d: '\\p{Nd}', w: '\\p{L}\\p{N}_' };
  const set = sets[letter.toLowerCase()];
  if (set !== undefined && letter === letter.toLowerCase()) return inSet ? set : `[${set}]`;
  if (set !== undefined) return inSet ? `\\${letter}` : `[^${set}]`;
  if (letter === 'A') return '^';
  if (letter === 'Z') return '$';
  // Without meaning in JavaScript's Unicode patterns, which refuse to escape it.
  if (/[^\w^$\\.*+?()[\]{}|/-]/.test(letter) || (letter === '-' && !inSet)) return letter;
  return `\\${letter}`;
}

function substitute(text: string, source: string, by: string, count: number): string {
  const { pattern, flags } = translated(source);
  let matcher: Engine;
  try {
    matcher = boundedPattern(pattern, flags);
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new PythonError('re.error', `${error.message} in ${JSON.stringify(source)}`);
    throw error;
  }
  let out = '';
  let from = 0;
  let replaced = 0;
  while (count <= 0 || replaced < count) {
    const match = matcher.exec(text);
    if (match === null) break;
    out += text.slice(from, match.index) + expanded(by, match);
    charge(out.length - from > 0 ? by.length + match[0].length : 0);
    from = match.index + match[0].length;
    replaced++;
    if (match[0] === '') matcher.lastIndex += (text.codePointAt(from) ?? 0) > 0xffff ? 2 : 1;
    if (matcher.lastIndex > text.length) break;
  }
  return out + text.slice(from);
}

/** `\1`, `\g<name>` and escapes of the replacement. */
function expanded(by: string, match: RegExpExecArray): string {
  return by.replaceAll(/\\(?:g<(\w+)>|(\d{1,2})|([\s\S]))/g, (all, name, number, char) => {
    const group = (name ?? number) as string | undefined;
    if (group !== undefined) {
      const value = /^\d+$/.test(group) ? match[Number(group)] : match.groups?.[group];
      return value ?? '';
    }
    const plain: Record<string, string> = { n: '\n', t: '\t', r: '\r', '\\': '\\' };
    return plain[char as string] ?? (all as string);
  });
}
