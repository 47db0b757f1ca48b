// Python's `text % values`, the way of printf.
import { charge } from './budget.js';
import { floatDigits } from './number-format.js';
import { parseFloatText, toFloat, truncated } from './numbers.js';
import { ascii, repr, str } from './repr.js';
import {
  codePoints,
  Dict,
  Float,
  intOf,
  Markup,
  numberOf,
  PythonError,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values.js';

const directive = /%(?:\(([^)]*)\))?([-#0 +]*)(\*|\d+)?(?:\.(\*|\d+)?)?[hlL]?(.)?/gsu;

/** `inHtml` writes what is put into a text that is marked as HTML. */
export function printf(
  text: string,
  positional: readonly Value[],
  whole: Value,
  inHtml?: (part: string) => string,
): string {
  let used = 0;
  let named = false;
  const next = (): Value => {
    const value = positional[used++];
    if (value === undefined) throw new PythonError('TypeError', 'not enough arguments for format string');
    return value;
  };
  const size = (given: string | undefined): number | undefined => {
    if (given !== '*') return given === undefined ? undefined : Number(given);
    const value = intOf(next());
    if (value === undefined) throw new PythonError('TypeError', '* wants int');
    return Number(value);
  };
  const result = text.replaceAll(directive, (all, key, flagText, widthText, precisionText, type, ...rest) => {
    if (type === undefined) throw new PythonError('ValueError', 'incomplete format');
    const flags = new Set(flagText as string);
    let width = size(widthText as string | undefined) ?? 0;
    if (width < 0) {
      flags.add('-');
      width = -width;
    }
    const dotted = (all as string).slice(key === undefined ? 1 : 3 + (key as string).length).includes('.');
    const precision = size(precisionText as string | undefined) ?? (dotted && type !== '%' ? 0 : undefined);
    if (type === '%') return '%';
    charge(width);
    let value: Value;
    if (key === undefined) {
      value = next();
    } else {
      if (!(whole instanceof Dict)) throw new PythonError('TypeError', 'format requires a mapping');
      named = true;
      const found = whole.get(key as string);
      if (found === undefined) throw new PythonError('KeyError', repr(key as string));
      value = found;
    }
    const at = rest[0] as number;
    return padded(
      converted(value, type as string, flags, precision, at, inHtml),
      flags,
      width,
      'diouxXeEfFgG'.includes(type as string),
    );
  });
  charge(result.length);
  if (used < positional.length && !named && !(whole instanceof Dict || (Array.isArray(whole) && used === 0)))
    throw new PythonError('TypeError', 'not all arguments converted during string formatting');
  return result;
}

interface Converted {
  readonly sign: string;
  readonly body: string;
}

function converted(
  value: Value,
  type: string,
  flags: ReadonlySet<string>,
  precision: number | undefined,
  at: number,
  inHtml?: (part: string) => string,
): Converted {
  switch (type) {
    case 's':
    case 'r':
    case 'a': {
      const text = type === 's' ? str(value) : type === 'r' ? repr(value) : ascii(value);
      const safe = inHtml === undefined || (type === 's' && value instanceof Markup) ? text : inHtml(text);
      return { sign: '', body: precision === undefined ? safe : Array.from(safe).slice(0, precision).join('') };
    }
    case 'c': {
      const text = textOf(value);
      const code = intOf(value);
      if (text !== undefined && codePoints(text) === 1) return { sign: '', body: text };
      if (code !== undefined && code >= 0 && code <= 0x10ffff)
        return { sign: '', body: String.fromCodePoint(Number(code)) };
      throw new PythonError('TypeError', '%c requires int or char');
    }
    case 'd':
    case 'i':
    case 'u':
    case 'o':
    case 'x':
    case 'X':
      return integer(value, type, flags, precision);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G': {
      const number = numberFor(value);
      const digits = floatDigits(number, type.toLowerCase(), precision ?? 6, flags.has('#'));
      const negative = number < 0 || Object.is(number, -0);
      return { sign: signOf(negative, flags), body: type === type.toUpperCase() ? digits.toUpperCase() : digits };
    }
    default:
      throw new PythonError('ValueError', `unsupported format character ${repr(type)} at index ${at + 1}`);
  }
}

const signOf = (negative: boolean, flags: ReadonlySet<string>): string =>
  negative ? '-' : flags.has('+') ? '+' : flags.has(' ') ? ' ' : '';

function numberFor(value: Value): number {
  if (value instanceof Undefined) return value.fail();
  const text = textOf(value);
  const number = text === undefined ? numberOf(value) : parseFloatText(text);
  if (number === undefined || text !== undefined)
    throw new PythonError('TypeError', `must be real number, not ${typeName(value)}`);
  return toFloat(number);
}

function integer(value: Value, type: string, flags: ReadonlySet<string>, precision: number | undefined): Converted {
  const given = value instanceof Float && 'diu'.includes(type) ? truncated(value.value) : intOf(value);
  if (given === undefined) {
    const wanted = 'diu'.includes(type) ? 'a real number' : 'an integer';
    throw new PythonError('TypeError', `%${type} format: ${wanted} is required, not ${typeName(value)}`);
  }
  const whole = BigInt(given);
  const base = type === 'o' ? 8 : type.toLowerCase() === 'x' ? 16 : 10;
  charge(precision ?? 0);
  const digits = (whole < 0n ? -whole : whole).toString(base).padStart(precision ?? 0, '0');
  const prefix = !flags.has('#') || base === 10 ? '' : base === 8 ? '0o' : '0x';
  const body = type === 'X' ? digits.toUpperCase() : digits;
  return { sign: signOf(whole < 0n, flags) + (type === 'X' ? prefix.toUpperCase() : prefix), body };
}

function padded({ sign, body }: Converted, flags: ReadonlySet<string>, width: number, numeric: boolean): string {
  const missing = width - codePoints(sign + body);
  if (missing <= 0) return sign + body;
  if (flags.has('-')) return sign + body + ' '.repeat(missing);
  const zeros = numeric && flags.has('0') && !/^(inf|nan)/i.test(body);
  return zeros ? sign + '0'.repeat(missing) + body : ' '.repeat(missing) + sign + body;
}
