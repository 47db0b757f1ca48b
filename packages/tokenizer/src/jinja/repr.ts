// How Python prints values: str() and repr(), with every part paid for from the template's budget.
import { charge, enter, leave, step } from './budget.js';
import { JsonText, Parts } from './chat-values.js';
import { floatText, intText } from './numbers.js';
import { Dict, Float, Markup, PythonObject, Tuple, type Value } from './values.js';

/** Python's str(). */
export function str(value: Value): string {
  if (typeof value === 'string') return value;
  return value instanceof PythonObject && !(value instanceof Float || value instanceof Tuple || value instanceof Dict)
    ? value.str()
    : repr(value);
}

/** Python's repr(). */
export function repr(value: Value): string {
  step();
  const text = plain(value);
  charge(text.length);
  return text;
}

function plain(value: Value): string {
  if (typeof value === 'string') return quote(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number' || typeof value === 'bigint') return intText(value);
  if (value instanceof Float) return floatText(value.value);
  if (value instanceof Markup) return `Markup(${quote(value.text)})`;
  if (value instanceof Parts) return plain(value.parts);
  if (value instanceof JsonText) return quote(value.text);
  enter();
  try {
    if (Array.isArray(value)) return `[${value.map(repr).join(', ')}]`;
    if (value instanceof Tuple)
      return value.items.length === 1 ? `(${repr(value.items[0] as Value)},)` : `(${value.items.map(repr).join(', ')})`;
    if (value instanceof Dict) {
      const pairs = Array.from(value.entries.values(), ([key, item]) => `${repr(key)}: ${repr(item)}`);
      return `{${pairs.join(', ')}}`;
    }
    return value.repr();
  } finally {
    leave();
  }
}

const simple = /^[ !#-&(-[\]-~]*$/; // printable ASCII without quotes and backslashes
const unprintable = /[\p{C}\p{Z}]/u;

function quote(text: string): string {
  if (simple.test(text)) return `'${text}'`;
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  let out = mark;
  for (const char of text) {
    if (char === '\\' || char === mark) out += `\\${char}`;
    else if (char === '\n') out += '\\n';
    else if (char === '\r') out += '\\r';
    else if (char === '\t') out += '\\t';
    else if (char === ' ' || !unprintable.test(char)) out += char;
    else out += escaped(char);
  }
  return out + mark;
}

function escaped(char: string): string {
  const code = char.codePointAt(0)!;
  const hex = (width: number): string => code.toString(16).padStart(width, '0');
  return code < 0x100 ? `\\x${hex(2)}` : code < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`;
}

/** Python's ascii(). */
export const ascii = (value: Value): string => repr(value).replaceAll(/[^\0-\x7f]/gu, escaped);
