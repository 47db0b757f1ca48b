// Python's operators on template values: arithmetic, comparison, membership, and what subscripts give.
// Attributes and methods are attributes.ts; numbers among themselves are numbers.ts.
import { placeOf } from '../text-search.js';
import { charge, chargeItems, deeper, scan, step } from './budget.js';
import { escapeHtml } from './html.js';
import { floatArithmetic, type Int, intArithmetic, toFloat } from './numbers.js';
import { printf } from './printf.js';
import { repr } from './repr.js';
import {
  Dict,
  equal,
  Float,
  intOf,
  iterate,
  Markup,
  NONE,
  numberOf,
  PythonError,
  PythonObject,
  sequenceOf,
  structureOf,
  Tuple,
  textOf,
  Undefined,
  type Value,
} from './values.js';

/** `+ - * / // % **`. */
export function operate(operator: string, left: Value, right: Value): Value {
  if (typeof left === 'number' && typeof right === 'number' && operator !== '/')
    return intArithmetic(operator, left, right);
  const text = textOf(left);
  for (const side of operator === '%' && text !== undefined ? [] : [left, right])
    if (side instanceof Undefined) return side.fail();
  const x = numberOf(left);
  const y = numberOf(right);
  if (x !== undefined && y !== undefined) {
    const a = intOf(left);
    const b = intOf(right);
    if (a !== undefined && b !== undefined && operator !== '/') return intArithmetic(operator, a, b);
    return floatArithmetic(operator, toFloat(x), toFloat(y));
  }
  if (operator === '+') {
    const joined = concatenated(left, right);
    if (joined !== undefined) return joined;
  } else if (operator === '*') {
    const product = repeated(left, right) ?? repeated(right, left);
    if (product !== undefined) return product;
  } else if (operator === '%' && text !== undefined) {
    const arguments_ = right instanceof Tuple ? right.items : [right];
    return left instanceof Markup
      ? new Markup(printf(text, arguments_, right, escapeHtml))
      : printf(text, arguments_, right);
  }
  throw cannot(operator, left, right);
}

function cannot(operator: string, left: Value, right: Value): PythonError {
  return new PythonError('TypeError', `cannot apply "${operator}" to ${described(left)} and ${described(right)}`);
}

/** For an error: what the value is, and how it begins. */
export function described(value: Value): string {
  const text = value instanceof PythonObject && !(value instanceof Dict) ? value.typeName : repr(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

function concatenated(left: Value, right: Value): Value | undefined {
  const x = textOf(left);
  const y = textOf(right);
  if (x !== undefined && y !== undefined) {
    charge(x.length + y.length);
    if (!(left instanceof Markup || right instanceof Markup)) return x + y;
    return new Markup((left instanceof Markup ? x : escapeHtml(x)) + (right instanceof Markup ? y : escapeHtml(y)));
  }
  const a = sequenceOf(left);
  const b = sequenceOf(right);
  if (a === undefined || b === undefined || Array.isArray(left) !== Array.isArray(right)) return undefined;
  chargeItems(a.length + b.length);
  const items = [...a, ...b];
  return Array.isArray(left) ? items : new Tuple(items);
}

function repeated(sequence: Value, times: Value): Value | undefined {
  const count = intOf(times);
  const text = textOf(sequence);
  const items = sequenceOf(sequence);
  if (count === undefined || (text ?? items) === undefined) return undefined;
  const length = Math.max(0, Number(count));
  if (text === undefined) chargeItems(length * items!.length);
  else charge(length * text.length);
  if (text !== undefined) return sequence instanceof Markup ? new Markup(text.repeat(length)) : text.repeat(length);
  const all: Value[] = [];
  for (let i = 0; i < length && items!.length > 0; i++) for (const item of items!) all.push(item);
  return Array.isArray(sequence) ? all : new Tuple(all);
}

export function negate(operator: string, value: Value): Value {
  if (value instanceof Undefined) return value.fail();
  const whole = intOf(value);
  if (whole !== undefined) return operator === '-' ? intArithmetic('-', 0, whole) : whole;
  if (value instanceof Float) return operator === '-' ? new Float(-value.value) : value;
  throw new PythonError('TypeError', `cannot apply "${operator}" to ${described(value)}`);
}

export function compare(operator: string, left: Value, right: Value): boolean {
  switch (operator) {
    case '==':
      return equal(left, right);
    case '!=':
      return !equal(left, right);
    case 'in':
      return contains(right, left);
    case 'not in':
      return !contains(right, left);
    default: {
      const order = ordered(operator, left, right);
      if (Number.isNaN(order)) return false;
      if (operator === '<') return order < 0;
      if (operator === '>') return order > 0;
      return operator === '<=' ? order <= 0 : order >= 0;
    }
  }
}

/** Below zero where left comes first, NaN where neither does. */
export function ordered(operator: string, left: Value, right: Value): number {
  step();
  for (const side of [left, right]) if (side instanceof Undefined) return side.fail();
  const x = numberOf(left);
  const y = numberOf(right);
  // biome-ignore lint/suspicious/noDoubleEquals: a bigint equals a float of the same value
  if (x !== undefined && y !== undefined) return x < y ? -1 : x > y ? 1 : x == y ? 0 : Number.NaN;
  const s = textOf(left);
  const t = textOf(right);
  if (s !== undefined && t !== undefined) return byCodePoint(s, t);
  const a = sequenceOf(left);
  const b = sequenceOf(right);
  if (a === undefined || b === undefined || Array.isArray(left) !== Array.isArray(right))
    throw cannot(operator, left, right);
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const one = a[i] as Value;
    const other = b[i] as Value;
    if (!deeper(() => equal(one, other))) return deeper(() => ordered(operator, one, other));
  }
  return a.length - b.length;
}

/** Characters that are compared at once. */
const BLOCK = 512;

function byCodePoint(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  let i = 0;
  while (i + BLOCK < length && a.slice(i, i + BLOCK) === b.slice(i, i + BLOCK)) i += BLOCK;
  while (i < length && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  scan(i);
  if (i === length) return a.length - b.length;
  const x = a.charCodeAt(i);
  const y = b.charCodeAt(i);
  const surrogate = (code: number): boolean => code >= 0xd800 && code < 0xe000;
  // A surrogate stands for a character beyond all that need none.
  return surrogate(x) !== surrogate(y) ? (surrogate(x) ? 1 : -1) : x - y;
}

export function contains(container: Value, item: Value): boolean {
  const text = textOf(container);
  if (text !== undefined) {
    const part = textOf(item);
    if (part === undefined) {
      if (item instanceof Undefined) return item.strict ? item.fail() : unsearchable(item);
      return unsearchable(item);
    }
    scan(text.length);
    return placeOf(text, part) >= 0;
  }
  if (container instanceof Dict) return container.has(item);
  for (const other of iterate(container)) if (equal(other, item)) return true;
  return false;
}

function unsearchable(item: Value): never {
  throw new PythonError('TypeError', `cannot look for ${described(item)} in a string`);
}

/** A range as an index sees it: where it begins, how often it steps and by how much. */
export interface Span {
  readonly start: number;
  readonly count: number;
  readonly step: number;
}

/** Python's slice.indices(); undefined where a bound is no int. */
export function sliceSpan(length: number, bounds: readonly (Value | undefined)[]): Span | undefined {
  const given = bounds.map((bound) => (bound === undefined || bound === NONE ? undefined : intOf(bound)));
  if (bounds.some((bound, i) => bound !== undefined && bound !== NONE && given[i] === undefined)) return undefined;
  const stride = clampInt(given[2] ?? 1);
  if (stride === 0) throw new PythonError('ValueError', 'slice step cannot be zero');
  const low = stride < 0 ? -1 : 0;
  const high = stride < 0 ? length - 1 : length;
  const place = (bound: Int | undefined, open: number): number => {
    if (bound === undefined) return open;
    const at = clampInt(bound);
    return at < 0 ? Math.max(low, at + length) : Math.min(high, at);
  };
  const start = place(given[0], stride < 0 ? high : low);
  const stop = place(given[1], stride < 0 ? low : high);
  return { start, step: stride, count: Math.max(0, Math.ceil((stop - start) / stride)) };
}

const clampInt = (value: Int): number => Math.max(-(2 ** 52), Math.min(2 ** 52, Number(value)));

function picked<T>(items: ArrayLike<T>, { start, count, step: stride }: Span): T[] {
  chargeItems(count);
  return Array.from({ length: count }, (_, i) => items[start + i * stride] as T);
}

const surrogates = /[\ud800-\udfff]/;

/** `value[start:stop:step]`; undefined where Python has no slices of the value. */
export function sliced(given: Value, bounds: readonly (Value | undefined)[]): Value | undefined {
  const value = structureOf(given);
  if (value instanceof Undefined) return value.fail();
  const text = textOf(value);
  if (text !== undefined) {
    scan(text.length);
    const paired = surrogates.test(text);
    if (paired) charge(text.length);
    const chars = paired ? Array.from(text) : text;
    const span = sliceSpan(chars.length, bounds);
    if (span === undefined) return undefined;
    const whole = typeof chars === 'string' && span.step === 1;
    const part = whole ? text.slice(span.start, span.start + span.count) : picked(chars, span).join('');
    return value instanceof Markup ? new Markup(part) : part;
  }
  const items = sequenceOf(value);
  if (items === undefined) return undefined;
  const span = sliceSpan(items.length, bounds);
  if (span === undefined) return undefined;
  return Array.isArray(value) ? picked(items, span) : new Tuple(picked(items, span));
}

/** `value[key]`; undefined where Python raises a LookupError or TypeError. */
export function subscript(given: Value, key: Value): Value | undefined {
  const value = structureOf(given);
  if (value instanceof Dict || value instanceof Undefined) return value.item(key);
  const index = intOf(key);
  const text = textOf(value);
  if (text !== undefined) {
    if (index === undefined) return undefined;
    const at = Number(index);
    scan(text.length);
    if (surrogates.test(text)) {
      charge(text.length);
      const char = Array.from(text).at(at);
      return char !== undefined && value instanceof Markup ? new Markup(char) : char;
    }
    const char = Number.isSafeInteger(at) ? text.at(at) : undefined;
    return char !== undefined && value instanceof Markup ? new Markup(char) : char;
  }
  const items = sequenceOf(value);
  if (items !== undefined) {
    if (index === undefined) return undefined;
    return items.at(Math.max(-(2 ** 52), Math.min(2 ** 52, Number(index))));
  }
  return value instanceof PythonObject ? value.item(key) : undefined;
}
