// How the arguments of a call meet a function's parameters, as in Python.
import { type Arguments, intOf, PythonError, textOf, typeName, type Value } from './values.js';

/** A parameter's name; one that may be left out ends with `?`. */
export type Parameters = readonly string[];

/** The values of the parameters, in their order. */
export function bind(name: string, parameters: Parameters, { positional, named }: Arguments): (Value | undefined)[] {
  const fail = (what: string): PythonError => new PythonError('TypeError', `${name}() ${what}`);
  if (positional.length > parameters.length)
    throw fail(`takes at most ${parameters.length} arguments, got ${positional.length}`);
  const values: (Value | undefined)[] = parameters.map((_, i) => positional[i]);
  for (const [key, value] of named) {
    const at = parameters.findIndex((parameter) => parameter.replace('?', '') === key);
    if (at < 0) throw fail(`has no parameter '${key}'`);
    if (values[at] !== undefined) throw fail(`got two values for '${key}'`);
    values[at] = value;
  }
  parameters.forEach((parameter, i) => {
    if (values[i] === undefined && !parameter.endsWith('?')) throw fail(`needs a value for '${parameter}'`);
  });
  return values;
}

export function textArgument(name: string, value: Value | undefined): string {
  const text = textOf(value);
  if (text !== undefined) return text;
  throw new PythonError(
    'TypeError',
    `${name}() expects a string, got ${value === undefined ? 'none' : typeName(value)}`,
  );
}

export function intArgument(name: string, value: Value | undefined, fallback: number): number {
  if (value === undefined) return fallback;
  const number = intOf(value);
  if (number !== undefined) return Number(number);
  throw new PythonError('TypeError', `${name}() expects an integer, got ${typeName(value)}`);
}
