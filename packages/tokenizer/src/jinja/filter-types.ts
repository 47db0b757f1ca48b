// What a filter and a test are: a function of a value and arguments, found by name.

import type { Parameters } from './arguments.js';
import type { Lookups } from './attributes.js';
import type { Arguments, Value } from './values.js';

export interface Runtime {
  readonly lookups: Lookups;
  filter(name: string, value: Value, args: Arguments): Value;
  test(name: string, value: Value, args: Arguments): boolean;
}

/** Parameters after the value, and the filter; or one function that takes the arguments as they come. */
export type Filter =
  | readonly [Parameters, (value: Value, given: readonly (Value | undefined)[], runtime: Runtime) => Value]
  | ((value: Value, args: Arguments, runtime: Runtime) => Value);

export type Filters = Readonly<Record<string, Filter>>;
