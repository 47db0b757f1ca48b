// Python's numbers: ints of any size and floats, their arithmetic, and how they are read and written.
// An int is a number as far as that is exact, and a bigint beyond. Formatting to a width is number-format.ts.
import { charge, TemplateBudgetError } from './budget.js';
import { Float, PythonError } from './values.js';

export type Int = number | bigint;

/** More than Python prints. */
const MOST_BITS = 1 << 15;
/** Python's own bound for int() and str(). */
const MOST_DIGITS = 4300;

export function int(value: bigint): Int {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

const small = (value: number): boolean => Number.isSafeInteger(value);
const zero = (what: string): PythonError => new PythonError('ZeroDivisionError', what);

function bits(value: Int): number {
  return typeof value === 'number' ? 53 : value.toString(16).length * 4;
}

function big(size: number): void {
  if (size > MOST_BITS) throw new TemplateBudgetError(`it makes a number of more than ${MOST_BITS} bits`);
  charge(size / 8);
}

/** `+ - * // % **` of ints. A power with a negative exponent is a float. */
export function intArithmetic(operator: string, a: Int, b: Int): Int | Float {
  if (typeof a === 'number' && typeof b === 'number') {
    const quick = smallArithmetic(operator, a, b);
    if (quick !== undefined) return quick;
  }
  const x = BigInt(a);
  const y = BigInt(b);
  switch (operator) {
    case '+':
      big(Math.max(bits(a), bits(b)));
      return int(x + y);
    case '-':
      big(Math.max(bits(a), bits(b)));
      return int(x - y);
    case '*':
      big(bits(a) + bits(b));
      return int(x * y);
    case '//':
    case '%': {
      if (y === 0n) throw zero('integer division or modulo by zero');
      const rest = x % y;
      const down = rest !== 0n && rest < 0n !== y < 0n;
      if (operator === '%') return int(down ? rest + y : rest);
      return int(x / y - (down ? 1n : 0n));
    }
    default: {
      if (y < 0n) return floatArithmetic('**', Number(x), Number(y));
      const size =
        x === 0n || x === 1n || x === -1n
          ? 1
          : (bits(int(x)) === 53 ? Math.log2(Math.abs(Number(x))) : bits(a)) * Number(y);
      big(size);
      return int(x ** y);
    }
  }
}

function smallArithmetic(operator: string, a: number, b: number): number | undefined {
  switch (operator) {
    case '+':
      return small(a + b) ? a + b : undefined;
    case '-':
      return small(a - b) ? a - b : undefined;
    case '*':
      return small(a * b) ? a * b + 0 : undefined;
    case '//':
    case '%': {
      if (b === 0) throw zero('integer division or modulo by zero');
      const rest = a % b;
      const down = rest !== 0 && rest < 0 !== b < 0;
      return (operator === '%' ? (down ? rest + b : rest) : (a - rest) / b - (down ? 1 : 0)) + 0;
    }
    default:
      return undefined;
  }
}

/** `+ - * / // % **` where a side is a float, or ints are divided. */
export function floatArithmetic(operator: string, a: number, b: number): Float {
  switch (operator) {
    case '+':
      return new Float(a + b);
    case '-':
      return new Float(a - b);
    case '*':
      return new Float(a * b);
    case '/':
      if (b === 0) throw zero('division by zero');
      return new Float(a / b);
    case '//':
    case '%': {
      if (b === 0) throw zero('float floor division by zero');
      let rest = a % b;
      let quotient = (a - rest) / b;
      if (rest !== 0) {
        if (rest < 0 !== b < 0) {
          rest += b;
          quotient -= 1;
        }
      } else {
        rest = b < 0 ? -0 : 0;
      }
      if (operator === '%') return new Float(rest);
      if (quotient === 0) return new Float(a / b < 0 ? -0 : 0);
      const floor = Math.floor(quotient);
      return new Float(quotient - floor > 0.5 ? floor + 1 : floor);
    }
    default: {
      if (a === 0 && b < 0) throw zero('0.0 cannot be raised to a negative power');
      if (a < 0 && Number.isFinite(a) && Number.isFinite(b) && !Number.isInteger(b))
        throw new PythonError('TypeError', 'a power that is a complex number');
      // Where Python and JavaScript differ: 1 to any power is 1.
      const power = a === 1 || (a === -1 && !Number.isFinite(b) && !Number.isNaN(b)) ? 1 : raised(a, b);
      if (!Number.isFinite(power) && Number.isFinite(a) && Number.isFinite(b))
        throw new PythonError('OverflowError', 'the result of ** is too large for a float');
      return new Float(power);
    }
  }
}

/** The engine's power is off by a unit for square roots, which Math.sqrt is not. */
const raised = (a: number, b: number): number =>
  Math.abs(b) < 64 && b % 1 === 0.5 ? a ** (b - 0.5) * Math.sqrt(a) : a ** b;

export function toFloat(value: Int): number {
  const number = Number(value);
  if (typeof value === 'bigint' && !Number.isFinite(number))
    throw new PythonError('OverflowError', 'int too large to convert to float');
  return number;
}

export function intText(value: Int): string {
  if (typeof value === 'bigint' && bits(value) > MOST_DIGITS * 3.3) {
    const text = value.toString();
    if (text.length - (value < 0n ? 1 : 0) > MOST_DIGITS)
      throw new PythonError('ValueError', `the number has more than ${MOST_DIGITS} digits`);
    return text;
  }
  return String(value);
}

/** repr() of a float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16. */
export function floatText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value < 0 ? '-inf' : 'inf';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [digits = '', power = ''] = value.toExponential().split('e');
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) return `${digits}e${exponent < 0 ? '-' : '+'}${pad2(Math.abs(exponent))}`;
  const text = exponent < 0 ? value.toFixed(digits.replace(/[-.]/g, '').length - 1 - exponent) : String(value);
  return text.includes('.') ? text : `${text}.0`;
}

export const pad2 = (value: number): string => String(value).padStart(2, '0');

/** A float without its fraction. */
export function truncated(value: number): Int {
  if (Number.isNaN(value)) throw new PythonError('ValueError', 'cannot convert float NaN to integer');
  if (!Number.isFinite(value)) throw new PythonError('OverflowError', 'cannot convert float infinity to integer');
  return small(value) ? Math.trunc(value) + 0 : int(BigInt(Math.trunc(value)));
}

const digitsOf = (text: string): string => text.replaceAll(/\p{Nd}/gu, (char) => String(decimalValue(char)));

/** The value of a decimal digit of any script: their blocks of ten begin at multiples of ten characters. */
function decimalValue(char: string): number {
  let code = char.codePointAt(0)!;
  if (code < 0x80) return code - 48;
  let value = 0;
  while (/\p{Nd}/u.test(String.fromCodePoint(--code)) && value < 9) value++;
  return value;
}

/** int(text, base); undefined where Python raises a ValueError. */
export function parseInteger(source: string, base = 10): Int | undefined {
  const match = /^([+-]?)(?:0([xXoObB])_?)?([0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*)$/.exec(digitsOf(source.trim()));
  if (match === null) return undefined;
  const [, sign, letter, body = ''] = match;
  const bases: Record<string, number> = { x: 16, o: 8, b: 2 };
  const named = letter === undefined ? undefined : bases[letter.toLowerCase()];
  const digits = body.replaceAll('_', '');
  if (named !== undefined && base !== 0 && base !== named) return parsePlain(sign, `0${letter}${digits}`, base);
  if (base === 0 && named === undefined && /^0+[1-9]/.test(digits)) return undefined;
  return parsePlain(sign, digits, named ?? (base === 0 ? 10 : base));
}

function parsePlain(sign: string | undefined, digits: string, base: number): Int | undefined {
  if (digits.length > MOST_DIGITS || base < 2 || base > 36) return undefined;
  let value = 0n;
  if (base === 10) {
    if (!/^\d+$/.test(digits)) return undefined;
    value = BigInt(digits);
  } else {
    for (const digit of digits) {
      const number = Number.parseInt(digit, 36);
      if (!(number < base)) return undefined;
      value = value * BigInt(base) + BigInt(number);
    }
  }
  return int(sign === '-' ? -value : value);
}

/** float(text); undefined where Python raises a ValueError. */
export function parseFloatText(source: string): number | undefined {
  const text = digitsOf(source.trim()).toLowerCase();
  if (/^[+-]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?$/.test(text))
    return Number(text.replaceAll('_', ''));
  const word = /^([+-]?)(inf|infinity|nan)$/.exec(text);
  if (word === null) return undefined;
  const value = word[2] === 'nan' ? Number.NaN : Number.POSITIVE_INFINITY;
  return word[1] === '-' ? -value : value;
}

/** round(value, digits) of a float: half goes to even, by the value's exact decimals. */
export function roundFloat(value: number, digits: number): number {
  if (!Number.isFinite(value) || digits > 22 || Math.abs(value) >= 1e21) {
    if (digits >= 0) return value;
  }
  if (digits < 0) return digits < -400 ? value * 0 : roundToPower(value, -digits);
  const rounded = Number(value.toFixed(digits));
  // toFixed is exact but takes ties upwards; a tie has one decimal more and nothing after it.
  const exact = Math.abs(value).toFixed(Math.min(100, digits + 60));
  const at = exact.indexOf('.') + 1 + digits;
  if (exact[at] !== '5' || /[1-9]/.test(exact.slice(at + 1))) return rounded;
  const before = exact.slice(0, at).replace(/\.$/, '');
  const even = Number(before.at(-1)) % 2 === 0;
  if (!even) return Math.sign(value) * Number(Math.abs(value).toFixed(digits));
  return Object.is(Math.sign(value), -1) ? -Number(before) : Number(before);
}

function roundToPower(value: number, power: number): number {
  if (!Number.isFinite(value)) return value;
  const fraction = value - Math.trunc(value);
  const rounded = Number(roundInt(int(BigInt(Math.trunc(value))), power, fraction));
  return rounded === 0 && (value < 0 || Object.is(value, -0)) ? -0 : rounded;
}

/** round(value, -power) of an int: half goes to even. `beyond` is what lies after the point. */
export function roundInt(value: Int, power: number, beyond = 0): Int {
  if (power <= 0) return value;
  if (power > MOST_DIGITS) return 0;
  const unit = 10n ** BigInt(power);
  const whole = BigInt(value);
  let rest = whole % unit;
  let floor = whole - rest;
  if (rest < 0n || (rest === 0n && beyond < 0)) {
    rest += unit;
    floor -= unit;
  }
  const twice = 2n * rest - unit;
  const odd = (floor / unit) % 2n !== 0n;
  const up = twice > 0n || (twice === 0n && (beyond > 0 || (beyond === 0 && odd)));
  return int(up ? floor + unit : floor);
}
