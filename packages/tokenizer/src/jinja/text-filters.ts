// jinja2's filters over text and numbers.
import { intArgument, textArgument } from './arguments.js';
import { charge, scan } from './budget.js';
import type { Filter, Filters } from './filter-types.js';
import { escapeHtml, stripTags } from './html.js';
import { floatDigits } from './number-format.js';
import { type Int, parseFloatText, parseInteger, roundFloat, roundInt, toFloat, truncated } from './numbers.js';
import { negate, operate } from './operators.js';
import { printf } from './printf.js';
import { repr, str } from './repr.js';
import { justify, replaceText } from './string-methods.js';
import { capitalize, SPACE, splitLines, strip } from './text.js';
import {
  codePoints,
  Dict,
  Float,
  intOf,
  iterate,
  lengthOf,
  listOf,
  Markup,
  NONE,
  numberOf,
  PythonError,
  PythonObject,
  Tuple,
  textOf,
  truth,
  typeName,
  Undefined,
  type Value,
} from './values.js';
import { wrapText } from './wrap.js';

type Given = readonly (Value | undefined)[];
const flag = (value: Value | undefined): boolean => value !== undefined && truth(value);

/** Marked as HTML where the value is. */
const like = (value: Value, text: string): Value => (value instanceof Markup ? new Markup(text) : text);
const soft = (change: (text: string) => string): Filter => [[], (value) => like(value, change(str(value)))];

const wordStart = new RegExp(`([-${SPACE}({\\[<]+)`);

function title(text: string): string {
  const parts = text.split(wordStart).filter((part) => part !== '');
  return parts.map((part) => upperFirst(part)).join('');
}

function upperFirst(part: string): string {
  const first = String.fromCodePoint(part.codePointAt(0)!);
  return first.toUpperCase() + part.slice(first.length).toLowerCase();
}

function indent(value: Value, [width, first, blank]: Given): Value {
  const text = textArgument('indent', value);
  const by = textOf(width) ?? ' '.repeat(Math.max(0, paid(intArgument('indent', width, 4))));
  // The lines of the text with one more line end, which is how jinja2 gets an empty last one.
  const lines = splitLines(`${text}\n`);
  charge(lines.length * (by.length + 1));
  const indented = lines.map((line, i) => (i === 0 || !(flag(blank) || line !== '') ? line : by + line));
  return like(value, (flag(first) ? by : '') + indented.join('\n'));
}

function paid(size: number): number {
  charge(Math.max(0, size));
  return size;
}

function truncate(value: Value, [length, killWords, end, leeway]: Given): Value {
  const most = intArgument('truncate', length, 255);
  const tail = end === undefined ? '...' : textArgument('truncate', end);
  const slack = intArgument('truncate', leeway === NONE ? undefined : leeway, 5);
  if (most < codePoints(tail))
    throw new PythonError('AssertionError', `expected length >= ${codePoints(tail)}, got ${most}`);
  if (slack < 0) throw new PythonError('AssertionError', `expected leeway >= 0, got ${slack}`);
  if (lengthOf(value) <= most + slack) return value;
  const chars = Array.from(textArgument('truncate', value));
  const cut = chars.slice(0, most - codePoints(tail)).join('');
  if (flag(killWords)) return like(value, cut + tail);
  const space = cut.lastIndexOf(' ');
  return like(value, (space < 0 ? cut : cut.slice(0, space)) + tail);
}

function round(value: Value, [precision, method]: Given): Value {
  const how = method === undefined ? 'common' : str(method);
  if (!['common', 'ceil', 'floor'].includes(how))
    throw new PythonError('FilterArgumentError', 'method must be common, ceil or floor');
  const digits = intArgument('round', precision, 0);
  const whole = intOf(value);
  if (value instanceof Undefined) return value.fail();
  if (whole === undefined && !(value instanceof Float))
    throw new PythonError('TypeError', `type ${typeName(value)} has no round`);
  if (how === 'common') {
    if (whole !== undefined) return roundInt(whole, -digits);
    return new Float(roundFloat((value as Float).value, digits));
  }
  const scale = operate('**', 10, digits);
  const scaled = operate('*', value, scale);
  const number = numberOf(scaled) as Int;
  const cut = typeof number === 'number' ? (how === 'ceil' ? Math.ceil(number) : Math.floor(number)) : number;
  return operate('/', truncated(Number(cut)), scale);
}

function toInteger(value: Value, [fallback, base]: Given): Value {
  const text = textOf(value);
  if (text !== undefined) {
    const whole = parseInteger(text, intArgument('int', base, 10));
    if (whole !== undefined) return whole;
    const real = parseFloatText(text);
    return real === undefined || !Number.isFinite(real) ? (fallback ?? 0) : truncated(real);
  }
  if (value instanceof Undefined) return value.fail();
  const whole = intOf(value);
  if (whole !== undefined) return whole;
  if (!(value instanceof Float)) return fallback ?? 0;
  return Number.isNaN(value.value) ? (fallback ?? 0) : truncated(value.value);
}

function toReal(value: Value, [fallback]: Given): Value {
  if (value instanceof Undefined) return value.fail();
  const text = textOf(value);
  const number = text === undefined ? numberOf(value) : parseFloatText(text);
  return number === undefined ? (fallback ?? new Float(0)) : new Float(toFloat(number));
}

function fileSize(value: Value, [binary]: Given): Value {
  const text = textOf(value);
  const bytes = toFloat(
    (text === undefined ? numberOf(value) : parseFloatText(text)) ?? fails('could not convert to float'),
  );
  const base = flag(binary) ? 1024 : 1000;
  if (bytes === 1) return '1 Byte';
  if (bytes < base) return `${truncated(bytes)} Bytes`;
  const prefixes = flag(binary)
    ? ['KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB', 'ZiB', 'YiB']
    : ['kB', 'MB', 'GB', 'TB', 'PB', 'EB', 'ZB', 'YB'];
  const at = prefixes.findIndex((_, i) => bytes < base ** (i + 2));
  const place = at < 0 ? prefixes.length - 1 : at;
  return `${floatDigits((base * bytes) / base ** (place + 2), 'f', 1, false)} ${prefixes[place]}`;
}

function fails(what: string): never {
  throw new PythonError('ValueError', what);
}

const utf8 = new TextEncoder();

function quoteUrl(value: Value, inQuery: boolean): string {
  let out = '';
  for (const byte of utf8.encode(str(value))) {
    const char = String.fromCharCode(byte);
    if (/[A-Za-z0-9_.~-]/.test(char) || (char === '/' && !inQuery)) out += char;
    else out += inQuery && char === ' ' ? '+' : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  charge(out.length);
  return out;
}

function urlEncode(value: Value): Value {
  const iterable = Array.isArray(value) || (value instanceof PythonObject && value.iterate() !== undefined);
  if (!iterable) return quoteUrl(value, false);
  const pairs = value instanceof Dict ? value.items() : iterate(value);
  return Array.from(pairs, (pair) => {
    const [key, item] = listOf(pair);
    return `${quoteUrl(key as Value, true)}=${quoteUrl(item as Value, true)}`;
  }).join('&');
}

function xmlAttributes(value: Value, [space]: Given): Value {
  if (!(value instanceof Dict)) throw new PythonError('TypeError', 'xmlattr expects a mapping');
  const parts: string[] = [];
  for (const [key, item] of value.entries.values()) {
    if (item === NONE || item instanceof Undefined) continue;
    const name = textArgument('xmlattr', key);
    if (/[ \t\n\r\f\v/>=]/.test(name)) fails(`Invalid character in attribute name: ${repr(key)}`);
    parts.push(`${escapeHtml(name)}="${escaped(item)}"`);
  }
  const text = parts.join(' ');
  return text !== '' && (space === undefined || truth(space)) ? ` ${text}` : text;
}

const escaped = (value: Value): string => (value instanceof Markup ? value.text : escapeHtml(str(value)));
const escaping: Filter = [[], (value) => new Markup(escaped(value))];
const fallback: Filter = [
  ['default_value?', 'boolean?'],
  (value, [other, boolean]) => (value instanceof Undefined || (flag(boolean) && !truth(value)) ? (other ?? '') : value),
];

function absolute(value: Value): Value {
  if (value instanceof Undefined) return value.fail();
  const number = numberOf(value);
  if (number === undefined) throw new PythonError('TypeError', `bad operand type for abs(): '${typeName(value)}'`);
  if (value instanceof Float) return new Float(Math.abs(value.value));
  const whole = intOf(value) as Int;
  return whole < 0 ? negate('-', whole) : whole;
}

export const textFilters: Filters = {
  abs: [[], absolute],
  attr: [['name'], (value, [name], { lookups }) => lookups.own(value, textArgument('attr', name))],
  capitalize: soft(capitalize),
  center: [
    ['width?'],
    (value, [width]) => like(value, justify(str(value), intArgument('center', width, 80), ' ', 'center')),
  ],
  d: fallback,
  default: fallback,
  e: escaping,
  escape: escaping,
  forceescape: [[], (value) => new Markup(escapeHtml(str(value)))],
  safe: [[], (value) => new Markup(str(value))],
  filesizeformat: [['binary?'], fileSize],
  float: [['default?'], toReal],
  int: [['default?', 'base?'], toInteger],
  format: (value, { positional, named }) => {
    if (positional.length > 0 && named.size > 0)
      throw new PythonError('FilterArgumentError', "can't handle positional and keyword arguments at the same time");
    const whole = named.size > 0 ? Dict.of(named) : new Tuple(positional);
    const given = named.size > 0 ? [whole] : positional;
    return like(value, printf(str(value), given, whole, value instanceof Markup ? escapeHtml : undefined));
  },
  indent: [['width?', 'first?', 'blank?'], indent],
  lower: soft((text) => text.toLowerCase()),
  upper: soft((text) => text.toUpperCase()),
  replace: [
    ['old', 'new', 'count?'],
    (value, [old, by, count]) =>
      replaceText(str(value), str(old as Value), str(by as Value), intArgument('replace', count ?? -1, -1)),
  ],
  round: [['precision?', 'method?'], round],
  string: [[], (value) => (value instanceof Markup ? value : str(value))],
  striptags: [[], (value) => stripTags(str(value))],
  title: soft(title),
  trim: [
    ['chars?'],
    (value, [chars]) =>
      like(
        value,
        strip(str(value), chars === undefined || chars === NONE ? undefined : textArgument('trim', chars), true, true),
      ),
  ],
  truncate: [['length?', 'killwords?', 'end?', 'leeway?'], truncate],
  urlencode: [[], urlEncode],
  wordcount: [
    [],
    (value) => {
      const text = str(value);
      scan(text.length);
      return text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0;
    },
  ],
  wordwrap: [
    ['width?', 'break_long_words?', 'wrapstring?', 'break_on_hyphens?'],
    (value, [width, breakLong, by, onHyphens]) => {
      const between = by === undefined || by === NONE ? '\n' : textArgument('wordwrap', by);
      const lines = splitLines(textArgument('wordwrap', value)).flatMap((line) =>
        wrapText(
          line,
          intArgument('wordwrap', width, 79),
          breakLong === undefined || truth(breakLong),
          onHyphens === undefined || truth(onHyphens),
        ).join(between),
      );
      return lines.join(between);
    },
  ],
  xmlattr: [['autospace?'], xmlAttributes],
};
