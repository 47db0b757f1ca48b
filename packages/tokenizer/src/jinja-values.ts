// Python's view of template values: str(), repr(), equality and the string methods that templates call.
// @huggingface/jinja prints true, null and JSON where Python prints True, None and repr(), compares with JavaScript's
// `==`, and lacks the arguments of strip() and many other methods. Who calls this is jinja-interpreter.ts.
import { charge, step } from './jinja-budget.js';
import { ArrayValue, BooleanValue, IntegerValue, StringValue, type Value } from './jinja-library.js';

export const isString = (value: Value): value is Value & { value: string } => value.type === 'StringValue';
export const isArray = (value: Value): value is Value & { value: Value[] } =>
  value.type === 'ArrayValue' || value.type === 'TupleValue';
export const isMapping = (value: Value): value is Value & { value: Map<string, Value> } => value.type === 'ObjectValue';

/** The number that Python takes a value for, or undefined. */
export function numberOf(value: Value): number | undefined {
  if (value.type === 'IntegerValue' || value.type === 'FloatValue') return value.value as number;
  return value.type === 'BooleanValue' ? Number(value.value) : undefined;
}

/** Python's str(). */
export function str(value: Value): string {
  if (isString(value)) return value.value;
  return value.type === 'UndefinedValue' ? '' : repr(value);
}

/** Python's repr(). */
export function repr(value: Value): string {
  step();
  charge(1);
  if (isString(value)) return quote(value.value);
  if (value.type === 'NullValue') return 'None';
  if (value.type === 'BooleanValue') return value.value === true ? 'True' : 'False';
  if (value.type === 'UndefinedValue') return 'Undefined';
  if (isArray(value)) {
    const items = value.value.map(repr).join(', ');
    if (value.type === 'ArrayValue') return `[${items}]`;
    return value.value.length === 1 ? `(${items},)` : `(${items})`;
  }
  if (isMapping(value)) return `{${[...value.value].map(([key, item]) => `${quote(key)}: ${repr(item)}`).join(', ')}}`;
  if (value.type === 'FloatValue') return floatText(value.value as number);
  return String(value.value);
}

function floatText(number: number): string {
  if (Number.isInteger(number) && Math.abs(number) < 1e16) return Object.is(number, -0) ? '-0.0' : number.toFixed(1);
  return String(number).replace(/e([+-])(\d)$/, 'e$10$2');
}

function quote(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  let out = mark;
  for (const char of text) {
    const code = char.codePointAt(0)!;
    if (char === '\\' || char === mark) out += `\\${char}`;
    else if (char === '\n') out += '\\n';
    else if (char === '\r') out += '\\r';
    else if (char === '\t') out += '\\t';
    else if (char === ' ' || !/[\p{C}\p{Z}]/u.test(char)) out += char;
    else if (code < 0x100) out += `\\x${code.toString(16).padStart(2, '0')}`;
    else if (code < 0x10000) out += `\\u${code.toString(16).padStart(4, '0')}`;
    else out += `\\U${code.toString(16).padStart(8, '0')}`;
  }
  return out + mark;
}

/** Python's ==. */
export function equal(a: Value, b: Value): boolean {
  const x = numberOf(a);
  const y = numberOf(b);
  if (x !== undefined || y !== undefined) return x === y;
  if (isArray(a) && isArray(b) && a.type === b.type) {
    return a.value.length === b.value.length && a.value.every((item, i) => equal(item, b.value[i]!));
  }
  if (isMapping(a) && isMapping(b)) {
    const other = b.value;
    return a.value.size === other.size && [...a.value].every(([k, v]) => other.has(k) && equal(v, other.get(k)!));
  }
  return a.type === b.type && a.value === b.value;
}

const string = (text: string): Value => new StringValue(text);
const strings = (texts: readonly string[]): Value => new ArrayValue(texts.map(string));
const boolean = (value: boolean): Value => new BooleanValue(value);
const text = (value: Value | undefined): string => {
  if (value !== undefined && isString(value)) return value.value;
  throw new Error(`expected a string argument, got ${value === undefined ? 'none' : repr(value)}`);
};

/** Code point index, as Python counts. */
const find = (self: string, at: number): Value => new IntegerValue(at < 0 ? -1 : Array.from(self.slice(0, at)).length);

function strip(self: string, chars: Value | undefined, left: boolean, right: boolean): string {
  const set = chars !== undefined && isString(chars) ? new Set(Array.from(chars.value)) : undefined;
  const drop = (char: string): boolean => set?.has(char) ?? isBlank(char);
  const all = Array.from(self);
  let start = 0;
  let stop = all.length;
  while (left && start < stop && drop(all[start]!)) start++;
  while (right && stop > start && drop(all[stop - 1]!)) stop--;
  return all.slice(start, stop).join('');
}

/** Python's blanks are Unicode's and the four information separators. */
const isBlank = (char: string): boolean => /\p{White_Space}/u.test(char) || (char >= '\x1c' && char <= '\x1f');

const capitalize = (self: string): string => {
  const [first = '', ...rest] = Array.from(self);
  return first.toUpperCase() + rest.join('').toLowerCase();
};

const everyChar = (self: string, pattern: RegExp): Value =>
  boolean(self !== '' && Array.from(self).every((char) => pattern.test(char)));

/** Python's string methods that the library lacks or has without their arguments. */
export const stringMethods: ReadonlyMap<string, (self: string, args: readonly Value[]) => Value> = new Map([
  ['strip', (self: string, [chars]: readonly Value[]) => string(strip(self, chars, true, true))],
  ['lstrip', (self: string, [chars]: readonly Value[]) => string(strip(self, chars, true, false))],
  ['rstrip', (self: string, [chars]: readonly Value[]) => string(strip(self, chars, false, true))],
  ['capitalize', (self: string) => string(capitalize(self))],
  ['title', (self: string) => string(self.replaceAll(/\p{L}+/gu, capitalize))],
  ['find', (self: string, [part]: readonly Value[]) => find(self, self.indexOf(text(part)))],
  ['rfind', (self: string, [part]: readonly Value[]) => find(self, self.lastIndexOf(text(part)))],
  [
    'index',
    (self: string, [part]: readonly Value[]) => {
      const at = self.indexOf(text(part));
      if (at < 0) throw new Error('substring not found');
      return find(self, at);
    },
  ],
  ['count', (self: string, [part]: readonly Value[]) => new IntegerValue(self.split(text(part)).length - 1)],
  [
    'join',
    (self: string, [items]: readonly Value[]) => {
      if (items === undefined || !isArray(items)) throw new Error('join() expects a list');
      return string(items.value.map(text).join(self));
    },
  ],
  ['splitlines', (self: string) => strings(self === '' ? [] : self.replace(/(\r\n|\r|\n)$/, '').split(/\r\n|\r|\n/))],
  ['isdigit', (self: string) => everyChar(self, /^\p{Nd}$/u)],
  ['isalpha', (self: string) => everyChar(self, /^\p{L}$/u)],
  ['isalnum', (self: string) => everyChar(self, /^[\p{L}\p{N}]$/u)],
  ['isspace', (self: string) => boolean(self !== '' && Array.from(self).every(isBlank))],
  ['isupper', (self: string) => boolean(self === self.toUpperCase() && self !== self.toLowerCase())],
  ['islower', (self: string) => boolean(self === self.toLowerCase() && self !== self.toUpperCase())],
  [
    'removeprefix',
    (self: string, [part]: readonly Value[]) =>
      string(self.startsWith(text(part)) ? self.slice(text(part).length) : self),
  ],
  [
    'removesuffix',
    (self: string, [part]: readonly Value[]) =>
      string(text(part) !== '' && self.endsWith(text(part)) ? self.slice(0, -text(part).length) : self),
  ],
]);
