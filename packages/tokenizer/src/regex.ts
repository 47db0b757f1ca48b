// Patterns of tokenizer.json as JavaScript regular expressions. The files are written for Oniguruma, where `\s` is
// Unicode White_Space (JavaScript adds U+FEFF and misses U+0085), `\d` any decimal digit and `(?i:` an inline flag;
// @huggingface/tokenizers translates that, and this file only gets the result out of it.
import { type Fields, isObject, reason } from './json.js';
import { SplitPreTokenizer } from './library.js';

/** A global, Unicode-aware RegExp with Oniguruma's meaning. Throws a SyntaxError for what JavaScript cannot say. */
export function oniguruma(source: string): RegExp {
  return new SplitPreTokenizer({ type: 'Split', pattern: { Regex: source }, invert: false }).pattern;
}

/** `pattern` of Split and Replace: `{ "String": ... }`, `{ "Regex": ... }`, or a plain string. */
export function readPattern(fields: Fields): string | RegExp {
  const pattern = fields.get('pattern');
  if (typeof pattern === 'string') return pattern;
  if (isObject(pattern)) {
    if (typeof pattern.String === 'string') return pattern.String;
    if (typeof pattern.Regex === 'string') {
      try {
        return oniguruma(pattern.Regex);
      } catch (error) {
        throw fields.fail('pattern', `a regular expression that JavaScript can run (${reason(error)})`);
      }
    }
  }
  throw fields.fail('pattern', 'a String or a Regex');
}

/** Replaces every match; `$` in `content` means itself. */
export function replaceEvery(text: string, pattern: string | RegExp, content: string): string {
  if (pattern === '') return text;
  return text.replaceAll(pattern, () => content);
}
