// What `value.name` and `value[key]` give: methods and attributes of Python's types, keys of mappings, or undefined.
// A chat template runs in a sandbox, where no method may change a list or a dictionary.
import { bind, intArgument } from './arguments.js';
import { charge, step } from './budget.js';
import { JsonText } from './chat-values.js';
import type { Lookup } from './format-spec.js';
import { Generator } from './generator.js';
import { contains, described, ordered, sliced, subscript } from './operators.js';
import { repr } from './repr.js';
import { stringMethod } from './string-methods.js';
import {
  type Arguments,
  Callable,
  Dict,
  equal,
  Float,
  iterate,
  listOf,
  NONE,
  PythonError,
  PythonObject,
  sequenceOf,
  Text,
  Tuple,
  truth,
  typeName,
  Undefined,
  type Value,
} from './values.js';

/** What a template may do, and what is undefined to it. */
export interface Rules {
  /** No method may change a list or a dictionary. */
  readonly sandboxed: boolean;
  /** Undefined values may not be printed, looped over or compared. */
  readonly strict: boolean;
}

/** `dict.keys()` and the like: it can be gone through more than once. */
export class View extends PythonObject {
  constructor(
    readonly typeName: string,
    readonly dict: Dict,
    readonly values: () => Iterable<Value>,
  ) {
    super();
  }
  override readonly hashable = false;
  /** Keys, and pairs, are compared as sets are. */
  override equals(other: PythonObject): boolean {
    if (!(other instanceof View) || this.typeName === 'dict_values' || other.typeName !== this.typeName)
      return this === other;
    step(this.length());
    return other.length() === this.length() && Array.from(this.values()).every((item) => contains(other, item));
  }
  override repr(): string {
    return `${this.typeName}(${repr(Array.from(this.values()))})`;
  }
  override truth(): boolean {
    return this.dict.truth();
  }
  override iterate(): Iterable<Value> {
    return this.values();
  }
  override length(): number {
    return this.dict.length();
  }
}

const changing: Readonly<Record<string, ReadonlySet<string>>> = {
  list: new Set(['append', 'clear', 'pop', 'reverse', 'insert', 'sort', 'extend', 'remove']),
  dict: new Set(['clear', 'pop', 'popitem', 'setdefault', 'update']),
};

export class Lookups implements Lookup {
  constructor(readonly rules: Rules) {}

  missing(value: Value, key: Value): Undefined {
    const type = value === NONE ? 'None' : `${typeName(value)} object`;
    const what =
      typeof key === 'string' ? `'${type}' has no attribute ${repr(key)}` : `${type} has no element ${described(key)}`;
    return new Undefined(what, this.rules.strict);
  }

  attribute(value: Value, name: string): Value {
    return this.#own(value, name) ?? subscript(value, name) ?? this.missing(value, name);
  }

  item(value: Value, key: Value): Value {
    const found = subscript(value, key);
    if (found !== undefined) return found;
    return (typeof key === 'string' ? this.#own(value, key) : undefined) ?? this.missing(value, key);
  }

  slice(value: Value, bounds: readonly (Value | undefined)[]): Value {
    const part =
      value instanceof PythonObject && !(value instanceof Tuple || value instanceof Text)
        ? value.slice(bounds)
        : undefined;
    const found = part ?? sliced(value, bounds);
    if (found === undefined) throw new PythonError('TypeError', `'${typeName(value)}' object has no such slices`);
    return found;
  }

  /** Only what `value.name` is by its type, not a key of a mapping. */
  own(value: Value, name: string): Value {
    return this.#own(value, name) ?? this.missing(value, name);
  }

  #own(value: Value, name: string): Value | undefined {
    if (name.startsWith('_') && !(value instanceof Undefined)) return undefined;
    if (typeof value === 'string' || value instanceof Text) {
      if (value instanceof JsonText)
        return dictMethod(value.parsed, name) ?? value.parsed.get(name) ?? stringMethod(value, name, this);
      return stringMethod(value, name, this);
    }
    const type = typeName(value);
    if (this.rules.sandboxed && changing[type]?.has(name) === true)
      return new Undefined(`access to attribute '${name}' of '${type}' object is unsafe.`, false, 'SecurityError');
    if (Array.isArray(value)) return listMethod(value, name);
    if (value instanceof Dict) return dictMethod(value, name);
    if (value instanceof Tuple) return value.attribute(name) ?? tupleMethod(value, name);
    return value instanceof PythonObject && !(value instanceof Float)
      ? value.attribute(name)
      : numberMethod(value, name);
  }
}

const method = (name: string, parameters: readonly string[], run: (given: (Value | undefined)[]) => Value): Callable =>
  new Callable(name, (args) => {
    step();
    return run(bind(name, parameters, args));
  });

const indexOf = (items: readonly Value[]): Callable =>
  method('index', ['value', 'start?', 'stop?'], ([wanted, start, stop]) => {
    const part = sliced(items as Value[], [start ?? NONE, stop ?? NONE]) as Value[];
    const at = part.findIndex((item) => equal(item, wanted as Value));
    if (at < 0) throw new PythonError('ValueError', `${described(wanted as Value)} is not in the list`);
    const before = intArgument('index', start, 0);
    return at + (before < 0 ? Math.max(0, before + items.length) : before);
  });

const countOf = (items: readonly Value[]): Callable =>
  method('count', ['value'], ([wanted]) => items.filter((item) => equal(item, wanted as Value)).length);

function tupleMethod({ items }: Tuple, name: string): Value | undefined {
  if (name === 'index') return indexOf(items);
  return name === 'count' ? countOf(items) : undefined;
}

function listMethod(list: Value[], name: string): Value | undefined {
  switch (name) {
    case 'index':
      return indexOf(list);
    case 'count':
      return countOf(list);
    case 'copy':
      return method(name, [], () => [...list]);
    case 'append':
      return method(name, ['value'], ([value]) => {
        charge(1);
        list.push(value as Value);
        return NONE;
      });
    case 'extend':
      return method(name, ['values'], ([values]) => {
        const added = listOf(values as Value);
        charge(added.length);
        for (const value of added) list.push(value);
        return NONE;
      });
    case 'insert':
      return method(name, ['index', 'value'], ([at, value]) => {
        charge(1);
        list.splice(intArgument(name, at, 0), 0, value as Value);
        return NONE;
      });
    case 'pop':
      return method(name, ['index?'], ([at]) => {
        const index = intArgument(name, at, -1);
        const [popped] = list.splice(index, list.at(index) === undefined ? 0 : 1);
        if (popped === undefined) throw new PythonError('IndexError', 'pop index out of range');
        return popped;
      });
    case 'remove':
      return method(name, ['value'], ([value]) => {
        const at = list.findIndex((item) => equal(item, value as Value));
        if (at < 0) throw new PythonError('ValueError', `${described(value as Value)} is not in the list`);
        list.splice(at, 1);
        return NONE;
      });
    case 'reverse':
    case 'clear':
      return method(name, [], () => {
        if (name === 'clear') list.length = 0;
        else list.reverse();
        return NONE;
      });
    case 'sort':
      return method(name, ['reverse?'], ([reverse]) => {
        const sorted = pythonSort(list, (item) => item, reverse !== undefined && truth(reverse));
        for (const [i, item] of sorted.entries()) list[i] = item;
        return NONE;
      });
    default:
      return undefined;
  }
}

/** sorted(): stable, also backwards. */
export function pythonSort(items: readonly Value[], key: (item: Value) => Value, reverse: boolean): Value[] {
  charge(items.length);
  const keyed = items.map((item) => [key(item), item] as const);
  const sign = reverse ? -1 : 1;
  return keyed.sort(([a], [b]) => sign * Math.sign(ordered('<', a, b) || 0)).map(([, item]) => item);
}

function dictMethod(dict: Dict, name: string): Value | undefined {
  switch (name) {
    case 'items':
      return method(name, [], () => new View('dict_items', dict, () => dict.items()));
    case 'keys':
      return method(name, [], () => new View('dict_keys', dict, () => dict.keys()));
    case 'values':
      return method(name, [], () => new View('dict_values', dict, () => dict.values()));
    case 'get':
      return method(name, ['key', 'default?'], ([key, fallback]) =>
        dict.has(key as Value) ? dict.get(key as Value)! : (fallback ?? NONE),
      );
    case 'copy':
      return method(name, [], () => {
        charge(2 * dict.length());
        step(dict.length());
        return Dict.of(dict.entries.values());
      });
    case 'fromkeys':
      return method(name, ['iterable', 'value?'], ([keys, value]) => fromKeys(keys as Value, value ?? NONE));
    case 'update':
      return new Callable(name, (args) => {
        for (const [key, value] of dictionary(args).entries.values()) dict.set(key, value);
        return NONE;
      });
    case 'setdefault':
      return method(name, ['key', 'default?'], ([key, fallback]) => {
        if (!dict.has(key as Value)) dict.set(key as Value, fallback ?? NONE);
        return dict.get(key as Value)!;
      });
    case 'pop':
      return method(name, ['key', 'default?'], ([key, fallback]) => {
        const found = dict.has(key as Value) ? dict.get(key as Value) : fallback;
        if (found === undefined) throw new PythonError('KeyError', described(key as Value));
        dict.delete(key as Value);
        return found;
      });
    case 'clear':
      return method(name, [], () => {
        dict.entries.clear();
        return NONE;
      });
    default:
      return undefined;
  }
}

export function fromKeys(keys: Value, value: Value): Dict {
  return Dict.of(listOf(keys).map((key) => [key, value] as const));
}

/** `dict(mapping_or_pairs, key=value)`. */
export function dictionary({ positional, named }: Arguments): Dict {
  const dict = new Dict();
  const [source] = positional;
  if (source instanceof Dict) {
    for (const [key, value] of source.entries.values()) dict.set(key, value);
  } else if (source !== undefined) {
    for (const pair of iterate(source)) {
      const [key, value, more] = listOf(pair);
      if (key === undefined || value === undefined || more !== undefined)
        throw new PythonError('ValueError', 'dict() expects pairs');
      dict.set(key, value);
    }
  }
  for (const [key, value] of named) dict.set(key, value);
  charge(2 * dict.length());
  step(dict.length());
  return dict;
}

function numberMethod(value: Value, name: string): Value | undefined {
  if (value instanceof Float) {
    if (name === 'is_integer') return method(name, [], () => Number.isInteger(value.value));
    return name === 'real' ? value : name === 'imag' ? new Float(0) : undefined;
  }
  if (typeof value === 'object' || typeof value === 'string') return undefined;
  const whole = typeof value === 'boolean' ? Number(value) : value;
  switch (name) {
    case 'real':
    case 'numerator':
      return whole;
    case 'imag':
      return 0;
    case 'denominator':
      return 1;
    case 'bit_length':
      return method(
        name,
        [],
        () => (BigInt(whole) < 0n ? -BigInt(whole) : BigInt(whole)).toString(2).replace(/^0$/, '').length,
      );
    default:
      return undefined;
  }
}

/** reversed(): undefined where Python has a TypeError. */
export function reversed(value: Value): Iterable<Value> | undefined {
  const items =
    sequenceOf(value) ?? (value instanceof Dict || value instanceof View ? Array.from(iterate(value)) : undefined);
  if (items === undefined) return undefined;
  charge(items.length);
  return [...items].reverse();
}

export class ReversedList extends Generator {
  override readonly typeName = 'list_reverseiterator';
}
