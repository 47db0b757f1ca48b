// Numbers written in the ways of printf and of Python's format specifications: e, f and g with a precision, and groups of
// digits. Who reads the specification is printf.ts and format-spec.ts.
import { charge, step } from './budget.js';
import { pad2 } from './numbers.js';

/** Digits after the point at most; beyond them a float has only zeros. */
const MOST_EXACT = 100;

/** The digits of |value| for `e`, `f`, `g` and `%` (of either case, which the caller applies), with the alternate form. */
export function floatDigits(value: number, type: string, precision: number, alternate: boolean): string {
  if (Number.isNaN(value)) return 'nan';
  const size = Math.abs(value);
  if (size === Number.POSITIVE_INFINITY) return 'inf';
  charge(precision);
  switch (type) {
    case 'e':
      return exponential(size, precision, alternate);
    case '%':
      return `${fixed(size * 100, precision, alternate)}%`;
    case 'g':
      return general(size, precision || 1, alternate);
    default:
      return fixed(size, precision, alternate);
  }
}

function fixed(size: number, precision: number, alternate: boolean): string {
  const text = size < 1e21 ? halfEven(size, Math.min(precision, MOST_EXACT)) : bigFixed(size, precision);
  const missing = precision - Math.min(precision, MOST_EXACT);
  return text + '0'.repeat(size < 1e21 ? missing : 0) + (alternate && precision === 0 ? '.' : '');
}

const bigFixed = (size: number, precision: number): string =>
  BigInt(size).toString() + (precision > 0 ? `.${'0'.repeat(precision)}` : '');

/** toFixed, which takes exact ties upwards where Python takes the even digit. */
function halfEven(size: number, precision: number): string {
  const rounded = size.toFixed(precision);
  if (precision > 55) return rounded;
  const exact = size.toFixed(MOST_EXACT);
  const at = exact.indexOf('.') + 1 + precision;
  if (exact[at] !== '5' || /[1-9]/.test(exact.slice(at + 1))) return rounded;
  const floor = exact.slice(0, at).replace(/\.$/, '');
  return Number(floor.at(-1)) % 2 === 0 ? floor : rounded;
}

function exponential(size: number, precision: number, alternate: boolean): string {
  const exact = Math.min(precision, MOST_EXACT);
  const [digits = '', power = ''] = tieToEven(size, exact).split('e');
  const exponent = Number(power);
  const point = alternate && precision === 0 ? '.' : '';
  const zeros = '0'.repeat(precision - exact);
  return `${digits}${zeros}${point}e${exponent < 0 ? '-' : '+'}${pad2(Math.abs(exponent))}`;
}

/** toExponential, with exact ties to the even digit. */
function tieToEven(size: number, precision: number): string {
  const rounded = size.toExponential(precision);
  if (size === 0 || precision >= 30) return rounded;
  const exact = size.toExponential(MOST_EXACT);
  const [digits = '', power = ''] = exact.split('e');
  const at = 2 + precision;
  if (digits[at] !== '5' || /[1-9]/.test(digits.slice(at + 1))) return rounded;
  const floor = digits.slice(0, at).replace(/\.$/, '');
  return Number(floor.at(-1)) % 2 === 0 ? `${floor}e${power}` : rounded;
}

function general(size: number, precision: number, alternate: boolean): string {
  const exponent = size === 0 ? 0 : Number(tieToEven(size, Math.min(precision - 1, MOST_EXACT)).split('e')[1]);
  const text =
    exponent < -4 || exponent >= precision
      ? exponential(size, precision - 1, alternate)
      : fixed(size, precision - 1 - exponent, alternate);
  if (alternate || !text.includes('.')) return text;
  const [digits = '', power] = text.split('e');
  const short = digits.replace(/\.?0+$/, '');
  return power === undefined ? short : `${short}e${power}`;
}

/** Puts `mark` between groups of `size` digits before the point; `width` fills the digits with zeros to that length. */
export function grouped(digits: string, mark: string, size: number, width = 0): string {
  const [, whole = '', rest = ''] = /^([0-9a-fA-F]*)(.*)$/s.exec(digits)!;
  const room = width - rest.length;
  step(Math.floor(Math.max(0, room) / 8));
  // A mark may not come first, so the width can be one more than asked for.
  let length = Math.max(whole.length, Math.floor((room * size) / (size + 1)) - 1);
  while (length + Math.floor((length - 1) / size) < room) length++;
  const padded = whole.padStart(length, '0');
  let out = '';
  for (let i = 0; i < padded.length; i++) {
    if (i > 0 && (padded.length - i) % size === 0) out += mark;
    out += padded[i];
  }
  return out + rest;
}
