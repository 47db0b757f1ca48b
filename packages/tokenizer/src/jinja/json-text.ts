// JSON as Python's json.dumps writes it, and the two `tojson` filters: that of transformers, and jinja2's own, which
// writes for HTML and sorts keys.
import { intArgument } from './arguments.js';
import { charge, enter, leave, step } from './budget.js';
import { Parts } from './chat-values.js';
import type { Filters } from './filter-types.js';
import { floatText, intText } from './numbers.js';
import { ordered } from './operators.js';
import { str } from './repr.js';
import {
  Dict,
  Float,
  Markup,
  NONE,
  PythonError,
  sequenceOf,
  structureOf,
  textOf,
  truth,
  typeName,
  type Value,
} from './values.js';

interface Style {
  readonly ascii: boolean;
  /** What one level is indented by; undefined keeps all on one line. */
  readonly indent: string | undefined;
  readonly item: string;
  readonly key: string;
  readonly sorted: boolean;
}

function dump(given: Value, style: Style, newline: string): string {
  step();
  // Content in parts is written as text, unless the template looks at its parts somewhere.
  const value = given instanceof Parts && !given.taken ? given.text : structureOf(given);
  const text = textOf(value);
  if (text !== undefined) return paid(quote(text, style.ascii));
  if (value === NONE) return 'null';
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number' || typeof value === 'bigint') return paid(intText(value));
  if (value instanceof Float) return floatJson(value.value);
  const items = sequenceOf(value);
  enter();
  try {
    if (items !== undefined) return wrap('[', ']', items, style, newline, (item, inner) => dump(item, style, inner));
    if (value instanceof Dict) {
      const pairs = Array.from(value.entries.values());
      if (style.sorted) pairs.sort(([a], [b]) => ordered('<', a, b));
      return wrap('{', '}', pairs, style, newline, ([key, item], inner) => {
        const name = quote(keyText(key), style.ascii);
        return paid(name + style.key) + dump(item, style, inner);
      });
    }
  } finally {
    leave();
  }
  throw new PythonError('TypeError', `Object of type ${typeName(value)} is not JSON serializable`);
}

function wrap<T>(
  open: string,
  close: string,
  items: readonly T[],
  style: Style,
  newline: string,
  write: (item: T, newline: string) => string,
): string {
  if (items.length === 0) return open + close;
  const inner = style.indent === undefined ? '' : newline + style.indent;
  charge(items.length * (inner.length + style.item.length));
  const outer = style.indent === undefined ? '' : newline;
  return open + inner + items.map((item) => write(item, inner)).join(style.item + inner) + outer + close;
}

function paid(text: string): string {
  charge(text.length);
  return text;
}

function floatJson(value: number): string {
  if (Number.isFinite(value)) return floatText(value);
  return Number.isNaN(value) ? 'NaN' : value < 0 ? '-Infinity' : 'Infinity';
}

function keyText(key: Value): string {
  const text = textOf(key);
  if (text !== undefined) return text;
  if (key === NONE) return 'null';
  if (typeof key === 'boolean') return String(key);
  if (typeof key === 'number' || typeof key === 'bigint') return intText(key);
  if (key instanceof Float) return floatJson(key.value);
  throw new PythonError('TypeError', `keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

const short: Record<string, string> = {
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '"': '\\"',
  '\\': '\\\\',
};
const unicode = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;

function quote(text: string, ascii: boolean): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what JSON escapes
  const pattern = ascii ? /["\\]|[^ -~]/g : /["\\\x00-\x1f]/g;
  return `"${text.replaceAll(pattern, (char) => short[char] ?? unicode(char))}"`;
}

function indentOf(value: Value | undefined): string | undefined {
  if (value === undefined || value === NONE) return undefined;
  const text = textOf(value);
  if (text !== undefined) return text;
  const width = Math.max(0, intArgument('tojson', value, 0));
  charge(width);
  return ' '.repeat(width);
}

function separators(value: Value | undefined, indent: string | undefined): { item: string; key: string } {
  const given = sequenceOf(value);
  if (given === undefined) return { item: indent === undefined ? ', ' : ',', key: ': ' };
  if (given.length !== 2) throw new PythonError('ValueError', 'separators: expected two');
  return { item: str(given[0] as Value), key: str(given[1] as Value) };
}

const flag = (value: Value | undefined): boolean => value !== undefined && truth(value);

/** As transformers gives it to chat templates. */
export const chatJson: Filters = {
  tojson: [
    ['ensure_ascii?', 'indent?', 'separators?', 'sort_keys?'],
    (value, [ascii, indentGiven, separatorsGiven, sorted]) => {
      const indent = indentOf(indentGiven);
      const style: Style = { ascii: flag(ascii), indent, ...separators(separatorsGiven, indent), sorted: flag(sorted) };
      return dump(value, style, '\n');
    },
  ],
};

const inHtml: Record<string, string> = { '<': '\\u003c', '>': '\\u003e', '&': '\\u0026', "'": '\\u0027' };

/** jinja2's own. */
export const htmlJson: Filters = {
  tojson: [
    ['indent?'],
    (value, [indentGiven]) => {
      const indent = indentOf(indentGiven);
      const text = dump(value, { ascii: true, indent, ...separators(undefined, indent), sorted: true }, '\n');
      return new Markup(text.replaceAll(/[<>&']/g, (char) => inHtml[char]!));
    },
  ],
};
