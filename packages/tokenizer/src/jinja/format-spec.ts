// Python's str.format(): replacement fields, and the specifications behind their colons.
import { charge, deeper } from './budget.js';
import { escapeHtml } from './html.js';
import { floatDigits, grouped } from './number-format.js';
import { floatText, intText, toFloat } from './numbers.js';
import { ascii, repr, str } from './repr.js';
import {
  type Arguments,
  codePoints,
  intOf,
  Markup,
  numberOf,
  PythonError,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values.js';

export interface Lookup {
  attribute(value: Value, name: string): Value;
  item(value: Value, key: Value): Value;
}

/** `text.format(...)`, where fields look values up as the template's own expressions do. */
export function formatText(text: string, args: Arguments, lookup: Lookup, html = false): string {
  const counter = { next: 0, manual: false };
  return fields(text, args, lookup, counter, html, 2);
}

const bad = (what: string): PythonError => new PythonError('ValueError', what);

function fields(
  text: string,
  args: Arguments,
  lookup: Lookup,
  counter: { next: number; manual: boolean },
  html: boolean,
  levels: number,
): string {
  if (levels < 0) throw bad('Max string recursion exceeded');
  let out = '';
  for (let at = 0; at < text.length; ) {
    const brace = text.slice(at).search(/[{}]/);
    if (brace < 0) return out + text.slice(at);
    out += text.slice(at, at + brace);
    at += brace;
    if (text[at] === text[at + 1]) {
      out += text[at];
      at += 2;
      continue;
    }
    if (text[at] === '}') throw bad("Single '}' encountered in format string");
    const end = fieldEnd(text, at);
    const part = replaced(text.slice(at + 1, end), args, lookup, counter, html, levels);
    charge(part.length);
    out += part;
    at = end + 1;
  }
  return out;
}

function fieldEnd(text: string, start: number): number {
  let depth = 0;
  let inBrackets = false;
  for (let at = start; at < text.length; at++) {
    const char = text[at];
    if (inBrackets && char !== ']') continue;
    inBrackets = char === '[' && depth === 1 && !text.slice(start, at).includes(':');
    if (char === '{') depth++;
    else if (char === '}' && --depth === 0) return at;
  }
  throw bad(start + 1 < text.length ? "expected '}' before end of string" : "Single '{' encountered in format string");
}

function replaced(
  field: string,
  args: Arguments,
  lookup: Lookup,
  counter: { next: number; manual: boolean },
  html: boolean,
  levels: number,
): string {
  const [, name = '', conversion, spec = ''] = /^((?:[^![:]|\[[^\]]*\]?)*)(?:!([^:]*))?(?::(.*))?$/s.exec(field) ?? [];
  let value = fieldValue(name, args, lookup, counter);
  switch (conversion) {
    case undefined:
      break;
    case 's':
      value = str(value);
      break;
    case 'r':
      value = repr(value);
      break;
    case 'a':
      value = ascii(value);
      break;
    default:
      throw bad(`Unknown conversion specifier '${conversion}'`);
  }
  const given = fields(spec, args, lookup, counter, false, levels - 1);
  if (html && value instanceof Markup) return value.text;
  const text = formatValue(value, given);
  return html ? escapeHtml(text) : text;
}

function fieldValue(name: string, args: Arguments, lookup: Lookup, counter: { next: number; manual: boolean }): Value {
  const [, first = '', rest = ''] = /^([^.[]*)(.*)$/s.exec(name) ?? [];
  let value: Value | undefined;
  if (first === '' || /^\d+$/.test(first)) {
    if (first !== '' && counter.next > 0)
      throw bad('cannot switch from automatic field numbering to manual field specification');
    if (first === '' && counter.manual)
      throw bad('cannot switch from manual field specification to automatic field numbering');
    if (first !== '') counter.manual = true;
    value = args.positional[first === '' ? counter.next++ : Number(first)];
    if (value === undefined)
      throw new PythonError('IndexError', 'Replacement index out of range for positional args tuple');
  } else {
    value = args.named.get(first);
    if (value === undefined) throw new PythonError('KeyError', repr(first));
  }
  for (const [, attribute, key] of rest.matchAll(/\.([^.[]+)|\[([^\]]*)\]/gs)) {
    const from: Value = value;
    value = deeper(() =>
      attribute === undefined
        ? lookup.item(from, /^\d+$/.test(key!) ? Number(key) : key!)
        : lookup.attribute(from, attribute),
    );
  }
  return value;
}

const specification = /^(?:(.)?([<>=^]))?([-+ ])?(z)?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([bcdeEfFgGnosxX%])?$/su;

/** Python's format(value, spec). */
export function formatValue(value: Value, spec: string): string {
  if (spec === '') return str(value);
  const number = numberOf(value);
  const isText = textOf(value) !== undefined;
  if (!isText && number === undefined) {
    if (value instanceof Undefined && value.strict) return value.fail();
    throw new PythonError('TypeError', `unsupported format string passed to ${typeName(value)}.__format__`);
  }
  const match = specification.exec(spec);
  if (match === null) throw bad(`Invalid format specifier '${spec}' for object of type '${typeName(value)}'`);
  const [, fill, align, sign, , alternate, zero, widthText, group, precisionText, type] = match;
  const width = Number(widthText ?? 0);
  const precision = precisionText === undefined ? undefined : Number(precisionText);
  charge(width);
  if (isText) {
    if (type !== undefined && type !== 's') throw unknownType(type, value);
    if (sign !== undefined || align === '=' || group !== undefined || alternate !== undefined)
      throw bad(`not allowed in a string's format specifier: '${spec}'`);
    const text = textOf(value)!;
    const body = precision === undefined ? text : Array.from(text).slice(0, precision).join('');
    return align_(body, fill ?? (zero === undefined ? ' ' : '0'), align ?? '<', width);
  }
  const whole = intOf(value);
  if (type === 's' || (whole === undefined && type !== undefined && 'bcdoxX'.includes(type)))
    throw unknownType(type, value);
  const digits =
    whole !== undefined && (type === undefined || 'bcdnoxX'.includes(type))
      ? intDigits(whole, type, alternate !== undefined, precision)
      : realDigits(toFloat(number!), type, precision, alternate !== undefined);
  const mark = digits.negative ? '-' : sign === '+' || sign === ' ' ? sign : '';
  const lead = mark + digits.prefix;
  const by = group === undefined ? 0 : 'bBoOxX'.includes(type ?? '-') ? 4 : 3;
  const zeroFilled = (zero !== undefined && align === undefined) || (fill === '0' && align === '=');
  const body = by === 0 ? digits.body : grouped(digits.body, group!, by, zeroFilled ? width - lead.length : 0);
  const used = fill ?? (zero === undefined ? ' ' : '0');
  const how = align ?? (zero === undefined ? '>' : '=');
  if (how !== '=') return align_(lead + body, used, how, width);
  return lead + used.repeat(Math.max(0, width - codePoints(lead + body))) + body;
}

const unknownType = (type: string, value: Value): PythonError =>
  bad(`Unknown format code '${type}' for object of type '${typeName(value)}'`);

function align_(text: string, fill: string, align: string, width: number): string {
  const missing = Math.max(0, width - codePoints(text));
  const left = align === '<' ? 0 : align === '>' ? missing : Math.floor(missing / 2);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

interface Digits {
  readonly negative: boolean;
  readonly prefix: string;
  readonly body: string;
}

function intDigits(value: number | bigint, type: string | undefined, alternate: boolean, precision?: number): Digits {
  if (precision !== undefined) throw bad('Precision not allowed in integer format specifier');
  const whole = BigInt(value);
  if (type === 'c') return { negative: false, prefix: '', body: String.fromCodePoint(Number(whole)) };
  const base = type === 'b' ? 2 : type === 'o' ? 8 : type === 'x' || type === 'X' ? 16 : 10;
  const size = whole < 0n ? -whole : whole;
  const body = base === 10 ? intText(size) : size.toString(base);
  const prefix = alternate && base !== 10 ? `0${type}` : '';
  return { negative: whole < 0n, prefix, body: type === 'X' ? body.toUpperCase() : body };
}

function realDigits(
  value: number,
  type: string | undefined,
  precision: number | undefined,
  alternate: boolean,
): Digits {
  const negative = value < 0 || Object.is(value, -0);
  let body: string;
  if (type === undefined) {
    // Like g, but with at least one digit behind the point; without a precision, as repr() writes it.
    body = precision === undefined ? floatText(Math.abs(value)) : floatDigits(value, 'g', precision, alternate);
    if (precision !== undefined && /^\d+$/.test(body)) body = wholeGeneral(value, precision, body);
  } else {
    const kind = type === 'n' ? 'g' : type.toLowerCase();
    body = floatDigits(value, kind, precision ?? 6, alternate);
    if (type === type.toUpperCase() && type !== '%') body = body.toUpperCase();
  }
  return { negative, prefix: '', body };
}

/** 3.0 with precision 1 is 3e+00, and with precision 2 it is 3.0. */
const wholeGeneral = (value: number, precision: number, body: string): string =>
  body.length >= precision
    ? floatDigits(value, 'e', Math.max(0, precision - 1), false).replace(/\.?0+e/, 'e')
    : `${body}.0`;
