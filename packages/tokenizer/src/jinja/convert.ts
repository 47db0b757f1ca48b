// JavaScript's values as a template's, and back.
import { enter, leave } from './budget.js';
import { isFloat } from './json-floats.js';
import { int } from './numbers.js';
import { str } from './repr.js';
import { Dict, Float, NONE, PythonObject, sequenceOf, textOf, type Value } from './values.js';

/** A number from 1e21 on is written with an exponent in JSON, and so is a float in Python. */
const FLOAT_FROM = 1e21;

/** As Python's JSON reads it; a template's own values stay. What JSON does not have becomes a text that names its type, as in transformers. */
export function toPython(value: unknown): Value {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      if (Number.isSafeInteger(value)) return Object.is(value, -0) ? new Float(-0) : value;
      return Number.isInteger(value) && Math.abs(value) < FLOAT_FROM ? int(BigInt(value)) : new Float(value);
    case 'bigint':
      return int(value);
    case 'object':
      return value === null ? NONE : compound(value);
    case 'undefined':
      return NONE;
    default:
      return `<${typeof value}>`;
  }
}

/** The value under a key of a list or object. */
export function memberToPython(holder: object, key: string, value: unknown): Value {
  return typeof value === 'number' && isFloat(holder, key) ? new Float(value) : toPython(value);
}

function compound(value: object): Value {
  if (value instanceof PythonObject) return value;
  enter();
  try {
    if (Array.isArray(value)) return value.map((item: unknown, i) => memberToPython(value, String(i), item));
    const prototype: unknown = Object.getPrototypeOf(value);
    if (value instanceof Map) {
      return Dict.of(
        Array.from(value as Map<unknown, unknown>, ([key, item]) => [toPython(key), toPython(item)] as const),
      );
    }
    if (prototype !== null && prototype !== Object.prototype && Object.keys(value).length === 0)
      return `<${value.constructor?.name ?? 'object'}>`;
    const dict = new Dict();
    for (const [key, item] of Object.entries(value))
      if (item !== undefined) dict.set(key, memberToPython(value, key, item));
    return dict;
  } finally {
    leave();
  }
}

/** As JSON of Python's would be read here: numbers are numbers, tuples are lists. */
export function fromPython(value: Value): unknown {
  if (value === NONE) return null;
  if (typeof value === 'boolean' || typeof value === 'number') return value;
  const text = textOf(value);
  if (text !== undefined) return text;
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Float) return value.value;
  const items = sequenceOf(value);
  if (items !== undefined) return items.map(fromPython);
  if (value instanceof Dict)
    return Object.fromEntries(Array.from(value.entries.values(), ([key, item]) => [str(key), fromPython(item)]));
  return str(value);
}

/** What Python prints for a value of JSON's. */
export const pythonText = (value: unknown): string => str(toPython(value));

/** A list or object is worth so many characters: templates do more about a message than about a letter. */
const CONTAINER = 50;

/** About how much a template is given, in characters. */
export function sizeOf(value: unknown, depth = 0): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null || depth > 100) return 1;
  let size = CONTAINER;
  for (const item of Object.values(value)) size += sizeOf(item, depth + 1);
  return size;
}
