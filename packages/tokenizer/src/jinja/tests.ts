// jinja2's tests: what stands behind `is`.
import { bind } from './arguments.js';
import { Parts } from './chat-values.js';
import { compare, operate } from './operators.js';
import { str } from './repr.js';
import {
  type Arguments,
  Dict,
  equal,
  Float,
  Markup,
  NONE,
  numberOf,
  PythonError,
  PythonObject,
  Tuple,
  textOf,
  Undefined,
  type Value,
} from './values.js';

/** Whether there is a filter of a name. */
export type HasFilter = (name: string) => boolean;

type Test = (value: Value, other: Value, hasFilter: HasFilter) => boolean;

const comparing =
  (operator: string): Test =>
  (value, other) =>
    compare(operator, value, other);

const same = (a: Value, b: Value): boolean => a === b || (a instanceof Undefined && b === a);

const iterable = (value: Value): boolean =>
  textOf(value) !== undefined ||
  Array.isArray(value) ||
  (value instanceof PythonObject && value.iterate() !== undefined);

function isSequence(value: Value): boolean {
  if (textOf(value) !== undefined || Array.isArray(value) || value instanceof Tuple) return true;
  return overrides(value, 'item') && overrides(value, 'length');
}

/** Whether Python's class of the value has this of its own. */
const overrides = (value: Value, method: 'call' | 'item' | 'length'): boolean =>
  value instanceof PythonObject && value[method] !== PythonObject.prototype[method];

const remainder = (value: Value, by: Value): Value => operate('%', value, by);

const withOther: Readonly<Record<string, Test>> = {
  divisibleby: (value, by) => equal(remainder(value, by), 0),
  sameas: same,
  in: comparing('in'),
  ...Object.fromEntries(['eq', 'equalto', '=='].map((name) => [name, comparing('==')])),
  ...Object.fromEntries(['ne', '!='].map((name) => [name, comparing('!=')])),
  ...Object.fromEntries(['lt', 'lessthan', '<'].map((name) => [name, comparing('<')])),
  ...Object.fromEntries(['le', '<='].map((name) => [name, comparing('<=')])),
  ...Object.fromEntries(['gt', 'greaterthan', '>'].map((name) => [name, comparing('>')])),
  ...Object.fromEntries(['ge', '>='].map((name) => [name, comparing('>=')])),
};

const alone: Readonly<Record<string, Test>> = {
  defined: (value) => !(value instanceof Undefined),
  undefined: (value) => value instanceof Undefined,
  none: (value) => value === NONE,
  boolean: (value) => typeof value === 'boolean',
  true: (value) => value === true,
  false: (value) => value === false,
  integer: (value) => typeof value === 'number' || typeof value === 'bigint',
  float: (value) => value instanceof Float,
  number: (value) => numberOf(value) !== undefined,
  string: (value) => textOf(value) !== undefined && !(value instanceof Parts),
  mapping: (value) => value instanceof Dict,
  iterable,
  sequence: isSequence,
  callable: (value) => overrides(value, 'call'),
  escaped: (value) => value instanceof Markup,
  odd: (value) => equal(remainder(value, 2), 1),
  even: (value) => equal(remainder(value, 2), 0),
  lower: (value) => cased(value, (text) => text.toLowerCase()),
  upper: (value) => cased(value, (text) => text.toUpperCase()),
  filter: (value, _, hasFilter) => typeof value === 'string' && hasFilter(value),
  test: (value) => typeof value === 'string' && isTest(value),
};

/** str.islower and str.isupper: all that has case has that one, and something has. */
function cased(value: Value, change: (text: string) => string): boolean {
  const text = str(value);
  return /\p{Cased}/u.test(text) && change(text) === text;
}

export const isTest = (name: string): boolean => Object.hasOwn(alone, name) || Object.hasOwn(withOther, name);

export function applyTest(name: string, value: Value, args: Arguments, hasFilter: HasFilter): boolean {
  if (Object.hasOwn(alone, name)) {
    bind(name, [], args);
    return alone[name]!(value, NONE, hasFilter);
  }
  if (!Object.hasOwn(withOther, name)) throw new PythonError('TemplateRuntimeError', `No test named '${name}' found.`);
  const [other] = bind(name, ['other'], args);
  return withOther[name]!(value, other as Value, hasFilter);
}
