// jinja2's filters over lists and mappings. The lazy ones of Python are lazy here, so that what they give can be gone
// through once.
import { intArgument, textArgument } from './arguments.js';
import { pythonSort, ReversedList, reversed } from './attributes.js';
import { charge, chargeItems, step } from './budget.js';
import type { Filters, Runtime } from './filter-types.js';
import { Generator } from './generator.js';
import { operate, ordered } from './operators.js';
import { repr, str } from './repr.js';
import {
  type Arguments,
  Dict,
  equal,
  iterate,
  lengthOf,
  listOf,
  NONE,
  PythonError,
  PythonObject,
  structureOf,
  Tuple,
  textOf,
  truth,
  typeName,
  Undefined,
  type Value,
} from './values.js';

const flag = (value: Value | undefined): boolean => value !== undefined && truth(value);
const given = (value: Value | undefined): value is Value => value !== undefined && value !== NONE;
const badArgument = (what: string): PythonError => new PythonError('FilterArgumentError', what);

type Key = (item: Value) => Value;

const isDigits = (text: string): boolean => /^\p{Nd}+$/u.test(text);

function attributeParts(attribute: Value | undefined): Value[] {
  if (!given(attribute)) return [];
  const text = textOf(attribute);
  return text === undefined ? [attribute] : text.split('.').map((part) => (isDigits(part) ? Number(part) : part));
}

/** An attribute by a path such as `function.name` or `0.id`. */
export function attributeGetter(runtime: Runtime, attribute: Value | undefined, fallback?: Value): Key {
  const parts = attributeParts(attribute);
  return (item) => {
    let value = item;
    for (const part of parts) {
      step();
      value = runtime.lookups.item(value, part);
      if (given(fallback) && value instanceof Undefined) value = fallback;
    }
    return value;
  };
}

const ignoreCase: Key = (value) => textOf(value)?.toLowerCase() ?? value;
const cased = (sensitive: Value | undefined): Key => (flag(sensitive) ? (value) => value : ignoreCase);

const lazily = (source: Value, items: () => Iterable<Value>): Generator => new Generator(items(), source);

/** Goes through a value with a step each. */
function* each(value: Value): Generator_ {
  for (const item of iterate(value)) {
    step();
    yield item;
  }
}
type Generator_ = globalThis.Generator<Value, void, undefined>;

function extreme(sign: number): Filters[string] {
  return [
    ['case_sensitive?', 'attribute?'],
    (value, [sensitive, attribute], runtime) => {
      const attributeOf = attributeGetter(runtime, attribute);
      const fold = cased(sensitive);
      let best: readonly [Value, Value] | undefined;
      for (const item of each(value)) {
        const key = fold(attributeOf(item));
        if (best === undefined || sign * ordered('<', key, best[0]) < 0) best = [key, item];
      }
      return best?.[1] ?? new Undefined(`No aggregated item, sequence was empty.`, runtime.lookups.rules.strict);
    },
  ];
}

function choosing(wanted: boolean, byAttribute: boolean): Filters[string] {
  return (value, args, runtime) => {
    const [first, ...others] = args.positional;
    if (byAttribute && first === undefined) throw badArgument('Missing parameter for attribute name');
    const attributeOf: Key = byAttribute ? attributeGetter(runtime, first) : (item) => item;
    const [test, ...positional] = byAttribute ? others : args.positional;
    const rest: Arguments = { positional, named: args.named };
    const passes = (item: Value): boolean =>
      test === undefined ? truth(item) : runtime.test(textArgument('select', test), item, rest);
    return lazily(value, function* () {
      if (!truth(value)) return;
      for (const item of each(value)) if (passes(attributeOf(item)) === wanted) yield item;
    });
  };
}

function mapped(value: Value, args: Arguments, runtime: Runtime): Value {
  let apply: Key;
  const [first, ...positional] = args.positional;
  if (first === undefined && args.named.has('attribute')) {
    for (const key of args.named.keys())
      if (key !== 'attribute' && key !== 'default') throw badArgument(`Unexpected keyword argument ${repr(key)}`);
    apply = attributeGetter(runtime, args.named.get('attribute'), args.named.get('default'));
  } else {
    if (first === undefined) throw badArgument('map requires a filter argument');
    const name = textArgument('map', first);
    apply = (item) => runtime.filter(name, item, { positional, named: args.named });
  }
  return lazily(value, function* () {
    if (truth(value)) for (const item of each(value)) yield apply(item);
  });
}

class Group extends Tuple {
  override attribute(name: string): Value | undefined {
    return name === 'grouper' ? this.items[0] : name === 'list' ? this.items[1] : undefined;
  }
}

function grouped(
  value: Value,
  [attribute, fallback, sensitive]: readonly (Value | undefined)[],
  runtime: Runtime,
): Value {
  const plain = attributeGetter(runtime, attribute, fallback);
  const fold = cased(sensitive);
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of pythonSort(listOf(value), (each_) => fold(plain(each_)), false)) {
    const key = fold(plain(item));
    const last = groups.at(-1);
    if (last !== undefined && equal(last.key, key)) last.items.push(item);
    else groups.push({ key, items: [item] });
  }
  return groups.map(({ items }) => new Group([plain(items[0] as Value), items]));
}

function sorted(
  value: Value,
  [reverse, sensitive, attribute]: readonly (Value | undefined)[],
  runtime: Runtime,
): Value {
  const fold = cased(sensitive);
  const paths = textOf(attribute ?? NONE)?.split(',');
  const keys = (paths ?? [attribute]).map((path) => attributeGetter(runtime, path));
  const key: Key = (item) => keys.map((attributeOf) => fold(attributeOf(item)));
  return pythonSort(listOf(value), key, flag(reverse));
}

function* batches(value: Value, count: number, fill: Value | undefined): Generator_ {
  let batch: Value[] = [];
  for (const item of each(value)) {
    if (batch.length === count) {
      yield batch;
      batch = [];
    }
    batch.push(item);
  }
  if (batch.length === 0) return;
  if (given(fill)) {
    chargeItems(Math.max(0, count - batch.length));
    while (batch.length < count) batch.push(fill);
  }
  yield batch;
}

function* slices(value: Value, count: number, fill: Value | undefined): Generator_ {
  const items = listOf(value);
  if (count === 0) throw new PythonError('ZeroDivisionError', 'integer division or modulo by zero');
  const size = Math.floor(items.length / count);
  const extra = items.length % count;
  let from = 0;
  for (let i = 0; i < count; i++) {
    step();
    const to = from + size + (i < extra ? 1 : 0);
    const slice = items.slice(from, to);
    if (given(fill) && i >= extra) slice.push(fill);
    yield slice;
    from = to;
  }
}

function* unique(value: Value, fold: Key, attributeOf: Key): Generator_ {
  const seen = new Dict();
  for (const item of each(value)) {
    const key = fold(attributeOf(item));
    if (seen.has(key)) continue;
    seen.set(key, NONE);
    yield item;
  }
}

function pairs(given: Value): Dict {
  const value = structureOf(given);
  if (value instanceof Dict) return value;
  throw new PythonError('TypeError', `expected a mapping, got ${typeName(value)}`);
}

function joined(value: Value, [by, attribute]: readonly (Value | undefined)[], runtime: Runtime): Value {
  const separator = str(by ?? '');
  const attributeOf: Key = given(attribute) ? attributeGetter(runtime, attribute) : (item) => item;
  const texts: string[] = [];
  for (const item of each(value)) {
    const text = str(attributeOf(item));
    charge(text.length + separator.length);
    texts.push(text);
  }
  return texts.join(separator);
}

function summed(value: Value, [attribute, start]: readonly (Value | undefined)[], runtime: Runtime): Value {
  const attributeOf: Key = given(attribute) ? attributeGetter(runtime, attribute) : (item) => item;
  let sum: Value = start ?? 0;
  if (textOf(sum) !== undefined)
    throw new PythonError('TypeError', "sum() can't sum strings [use ''.join(seq) instead]");
  for (const item of each(value)) sum = operate('+', sum, attributeOf(item));
  return sum;
}

function first(value: Value, _: unknown, runtime: Runtime): Value {
  for (const item of iterate(value)) return item;
  return new Undefined('No first item, sequence was empty.', runtime.lookups.rules.strict);
}

function last(of: Value, _: unknown, runtime: Runtime): Value {
  const value = structureOf(of);
  const text = textOf(value);
  const items = text === undefined ? reversed(value) : Array.from(text).reverse();
  if (value instanceof Undefined)
    value.length(); // a strict one fails
  else if (items === undefined) {
    const range = value instanceof PythonObject ? value.length() : undefined;
    if (range === undefined) throw new PythonError('TypeError', `'${typeName(value)}' object is not reversible`);
    const found = listOf(value).at(-1);
    if (found !== undefined) return found;
  }
  for (const item of items ?? []) return item;
  return new Undefined('No last item, sequence was empty.', runtime.lookups.rules.strict);
}

const length: Filters[string] = [[], (value) => lengthOf(value)];

export const sequenceFilters: Filters = {
  first: [[], first],
  last: [[], last],
  length,
  count: length,
  list: [
    [],
    (value) => {
      const items = listOf(value);
      charge(items.length);
      return items;
    },
  ],
  join: [['d?', 'attribute?'], joined],
  sum: [['attribute?', 'start?'], summed],
  min: extreme(1),
  max: extreme(-1),
  select: choosing(true, false),
  reject: choosing(false, false),
  selectattr: choosing(true, true),
  rejectattr: choosing(false, true),
  map: mapped,
  sort: [['reverse?', 'case_sensitive?', 'attribute?'], sorted],
  groupby: [['attribute', 'default?', 'case_sensitive?'], grouped],
  unique: [
    ['case_sensitive?', 'attribute?'],
    (value, [sensitive, attribute], runtime) =>
      lazily(value, () => unique(value, cased(sensitive), attributeGetter(runtime, attribute))),
  ],
  batch: [
    ['linecount', 'fill_with?'],
    (value, [count, fill]) => lazily(value, () => batches(value, intArgument('batch', count, 0), fill)),
  ],
  slice: [
    ['slices', 'fill_with?'],
    (value, [count, fill]) => lazily(value, () => slices(value, intArgument('slice', count, 0), fill)),
  ],
  reverse: [
    [],
    (value) => {
      const text = textOf(value);
      if (text !== undefined) return Array.from(text).reverse().join('');
      const items = reversed(value);
      if (items !== undefined) return new ReversedList(items);
      return listOf(value).reverse();
    },
  ],
  items: [
    [],
    (value) =>
      lazily(value, () => (value instanceof Undefined ? (value.iterate() as Iterable<Value>) : pairs(value).items())),
  ],
  dictsort: [
    ['case_sensitive?', 'by?', 'reverse?'],
    (value, [sensitive, by, reverse]) => {
      const side = str(by ?? 'key');
      if (side !== 'key' && side !== 'value') throw badArgument('You can only sort by either "key" or "value"');
      const fold = cased(sensitive);
      const at = side === 'key' ? 0 : 1;
      return pythonSort(
        Array.from(pairs(value).items()),
        (pair) => fold((pair as Tuple).items[at] as Value),
        flag(reverse),
      );
    },
  ],
  random: [
    [],
    (value, _, runtime) => {
      const items = typeof value === 'string' ? Array.from(value) : listOf(value);
      const item = items[Math.floor(Math.random() * items.length)];
      return item ?? new Undefined('No random item, sequence was empty.', runtime.lookups.rules.strict);
    },
  ],
};
