// JSON that knows which numbers Python reads as floats: 2.0 and 1e3 are floats there, and print as such, where JavaScript
// has 2 and 1000. They stay plain numbers here; that they were floats is remembered beside the object that holds them.
import { parseJson } from '@relufy/tensor';

const floats = new WeakMap<object, Set<string>>();

/** Says that Python has a float under a key. */
export function markFloat(holder: object, key: string): void {
  floats.set(holder, (floats.get(holder) ?? new Set()).add(key));
}

export const isFloat = (holder: object, key: string): boolean => floats.get(holder)?.has(key) === true;

const MARK = '\u0000float';
const wholeFloat = /\d\.0+(?!\d)|\d[eE]/;
const tokens = /"(?:[^"\\]|\\[\s\S])*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** As Python's json.loads. @throws SyntaxError */
export function parsePythonJson(text: string): unknown {
  const value = parseJson(text);
  if (!wholeFloat.test(text)) return value;
  const marked = text.replaceAll(tokens, (token) =>
    !token.startsWith('"') && /[.eE]/.test(token) && Number.isInteger(Number(token))
      ? `{"\\u0000float":${token}}`
      : token,
  );
  try {
    return (JSON.parse(`{"value":${marked}}`, unmark) as { value: unknown }).value;
  } catch {
    return value; // with NaN in it
  }
}

function unmark(this: object, key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !(MARK in value)) return value;
  markFloat(this, key);
  return value[MARK];
}
