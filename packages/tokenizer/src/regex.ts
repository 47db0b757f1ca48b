// Patterns of tokenizer.json as JavaScript regular expressions. The files are written for Oniguruma, where `\s` is
// Unicode White_Space (JavaScript adds U+FEFF and misses U+0085), `\d` any decimal digit and `(?i:` an inline flag;
// @huggingface/tokenizers translates that, and this file only gets the result out of it.
import { RelufyError } from '@relufy/tensor';
import { BoundedPattern, isHarmless, type Pattern } from './bounded-regex.js';
import { type Fields, isObject, reason } from './json.js';
import { SplitPreTokenizer } from './library.js';
import { placeOf, splitAt } from './text-search.js';

/**
 * A global, Unicode-aware pattern with Oniguruma's meaning: a RegExp, or where that might never end, a matcher with a
 * budget. Throws a SyntaxError for what neither can say.
 */
export function oniguruma(source: string): Pattern {
  const { pattern } = new SplitPreTokenizer({ type: 'Split', pattern: { Regex: source }, invert: false });
  return isHarmless(pattern.source) ? pattern : new BoundedPattern(pattern.source, pattern.flags);
}

/** Several times what any tokenizer has; the engine takes no program of megabytes. */
const longestPattern = 10_000;

/** `pattern` of Split and Replace: `{ "String": ... }`, `{ "Regex": ... }`, or a plain string. */
export function readPattern(fields: Fields): string | Pattern {
  const pattern = fields.get('pattern');
  const source = isObject(pattern) ? (pattern.String ?? pattern.Regex) : pattern;
  if (typeof source === 'string' && source.length > longestPattern)
    throw fields.fail('pattern', `at most ${longestPattern} characters`);
  if (typeof pattern === 'string') return pattern;
  if (isObject(pattern)) {
    if (typeof pattern.String === 'string') return pattern.String;
    if (typeof pattern.Regex === 'string') {
      try {
        const made = oniguruma(pattern.Regex);
        // what is too large for the engine is found out where it is first run, on texts of each width
        if (made instanceof RegExp) for (const text of ['', '\u0100']) text.search(made);
        return made;
      } catch (error) {
        throw fields.fail('pattern', `a regular expression that JavaScript can run (${reason(error)})`);
      }
    }
  }
  throw fields.fail('pattern', 'a String or a Regex');
}

/** Replaces every match; `$` in `content` means itself. */
export function replaceEvery(text: string, pattern: string | Pattern, content: string): string {
  if (pattern === '') return text;
  if (typeof pattern === 'string') {
    const at = placeOf(text, pattern);
    if (at < 0) return text;
    const rest = text.slice(at + pattern.length);
    // One token holds it once, and there are many tokens.
    if (placeOf(rest, pattern) < 0) {
      checkGrowth(text.length + content.length);
      return text.slice(0, at) + content + rest;
    }
    const parts = splitAt(text, pattern);
    checkGrowth(text.length + (parts.length - 1) * content.length);
    return parts.join(content);
  }
  const spans: [number, number][] = [];
  pattern.lastIndex = 0;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    const stop = match.index + match[0].length;
    spans.push([match.index, stop]);
    if (match.index === stop) pattern.lastIndex = stop + ((text.codePointAt(stop) ?? 0) > 0xffff ? 2 : 1);
    if (stop >= text.length) break;
  }
  pattern.lastIndex = 0;
  if (spans.length === 0) return text;
  checkGrowth(text.length + spans.length * content.length);
  let out = '';
  let from = 0;
  for (const [start, stop] of spans) {
    out += text.slice(from, start) + content;
    from = stop;
  }
  return out + text.slice(from);
}

const GROWTH = 64;
const SLACK = 1 << 16;
let longest = 0;
let depth = 0;

/** Runs steps of a file over a text, which together may make it at most so many times as long. */
export function withinGrowth<T>(length: number, run: () => T): T {
  if (depth === 0) longest = SLACK + GROWTH * length;
  depth++;
  try {
    return run();
  } finally {
    depth--;
  }
}

/** @throws RelufyError where the steps of a file multiply a text. Outside of `withinGrowth`, one token is the text. */
export function checkGrowth(length: number): void {
  if (length <= (depth === 0 ? 1 << 20 : longest)) return;
  const what = `tokenizer: its steps multiply the text: expected at most ${GROWTH} times its length, got more`;
  throw new RelufyError('tokenizer', `${what}. Correct the normalizer, pre_tokenizer or decoder of tokenizer.json.`);
}
