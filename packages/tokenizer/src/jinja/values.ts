// The values that a template computes with, as Python has them: which type a value is of, whether it is true, whether
// it equals another, and dictionaries by Python's idea of equal keys.
//   None NONE | bool boolean | int number, or bigint beyond 2^53 | str string | list array | all else a PythonObject
// How values are printed is repr.ts; what can be computed with them is operators.ts.
import { charge, chargeItems, deeper, enter, leave, scan, step } from './budget.js';

export type Value = boolean | number | bigint | string | Value[] | PythonObject;

/** An exception of Python's; `kind` is its class there. */
export class PythonError extends Error {
  constructor(
    readonly kind: string,
    message: string,
  ) {
    super(message);
  }
}

export interface Arguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

export abstract class PythonObject {
  abstract readonly typeName: string;

  repr(): string {
    return `<${this.typeName} object>`;
  }
  str(): string {
    return this.repr();
  }
  truth(): boolean {
    return true;
  }
  /** Undefined where Python cannot iterate. */
  iterate(): Iterable<Value> | undefined {
    return undefined;
  }
  /** Undefined where Python has no len(). */
  length(): number | undefined {
    return undefined;
  }
  attribute(_name: string): Value | undefined {
    return undefined;
  }
  /** Undefined where Python raises a LookupError or TypeError. */
  item(_key: Value): Value | undefined {
    return undefined;
  }
  /** A range of the items; undefined where Python has none. */
  slice(_bounds: readonly (Value | undefined)[]): Value | undefined {
    return undefined;
  }
  readonly hashable: boolean = true;
  equals(other: PythonObject): boolean {
    return this === other;
  }
  call(_args: Arguments): Value {
    throw new PythonError('TypeError', `a ${this.typeName} is not callable`);
  }
}

class None extends PythonObject {
  readonly typeName = 'NoneType';
  override repr(): string {
    return 'None';
  }
  override truth(): boolean {
    return false;
  }
}
/** Python's None. An object, so that `??` does not take it for something that is missing. */
export const NONE: Value = new None();

export class Float extends PythonObject {
  readonly typeName = 'float';
  constructor(readonly value: number) {
    super();
  }
  override truth(): boolean {
    return this.value !== 0;
  }
}

/** An object that is text in every place that takes text. */
export abstract class Text extends PythonObject {
  constructor(readonly text: string) {
    super();
  }
  override truth(): boolean {
    return this.text !== '';
  }
  override str(): string {
    return this.text;
  }
  /** What it is where members are asked for; undefined: text too. */
  structure(): Value | undefined {
    return undefined;
  }
  /** How many members it has where it has members. */
  override length(): number | undefined {
    return undefined;
  }
}

/** Text that `safe` or `escape` marked as HTML. */
export class Markup extends Text {
  readonly typeName = 'Markup';
}

/** What a value is where members are asked for. */
export const structureOf = (value: Value): Value => (value instanceof Text ? (value.structure() ?? value) : value);

export class Tuple extends PythonObject {
  readonly typeName: string = 'tuple';
  constructor(readonly items: readonly Value[]) {
    super();
  }
  override truth(): boolean {
    return this.items.length > 0;
  }
  override iterate(): Iterable<Value> {
    return this.items;
  }
  override length(): number {
    return this.items.length;
  }
}

type Key = number | bigint | string | object;

/** Equal keys have equal codes. Undefined: Python calls the value unhashable. */
function keyOf(value: Value): Key | undefined {
  if (typeof value === 'string') return value.startsWith('\0') ? `\0s${value}` : value;
  if (typeof value === 'boolean') return Number(value);
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  if (value instanceof Float) {
    if (Number.isSafeInteger(value.value)) return value.value + 0;
    return Number.isInteger(value.value) ? BigInt(value.value) : `\0f${value.value}`;
  }
  if (value === NONE) return '\0n';
  if (value instanceof Text) return keyOf(value.text);
  if (Array.isArray(value) || value instanceof Dict) return undefined;
  if (value instanceof Undefined) return Undefined;
  if (!(value instanceof Tuple)) return value.hashable ? value : undefined;
  const parts: string[] = [];
  for (const item of value.items) {
    step();
    const key = deeper(() => keyOf(item));
    if (key === undefined) return undefined;
    if (typeof key === 'object') return value;
    const text = String(key);
    charge(text.length);
    parts.push(`${typeof key} ${text.length} ${text}`);
  }
  return `\0t${parts.join(' ')}`;
}

export class Dict extends PythonObject {
  readonly typeName = 'dict';
  readonly entries = new Map<Key, readonly [Value, Value]>();

  static of(pairs: Iterable<readonly [Value, Value]>): Dict {
    const dict = new Dict();
    for (const [key, value] of pairs) dict.set(key, value);
    return dict;
  }
  get(key: Value): Value | undefined {
    const code = keyOf(key);
    return code === undefined ? undefined : this.entries.get(code)?.[1];
  }
  has(key: Value): boolean {
    return this.entries.has(this.#code(key));
  }
  set(key: Value, value: Value): void {
    const code = this.#code(key);
    const known = this.entries.get(code);
    this.entries.set(code, [known === undefined ? key : known[0], value]); // the first spelling of a key stays
  }
  delete(key: Value): boolean {
    return this.entries.delete(this.#code(key));
  }
  *keys(): IterableIterator<Value> {
    for (const [key] of this.entries.values()) yield key;
  }
  *values(): IterableIterator<Value> {
    for (const [, value] of this.entries.values()) yield value;
  }
  *items(): IterableIterator<Value> {
    for (const pair of this.entries.values()) yield new Tuple(pair);
  }
  #code(key: Value): Key {
    const code = keyOf(key);
    if (code === undefined) throw new PythonError('TypeError', `unhashable type: '${typeName(key)}'`);
    return code;
  }
  override truth(): boolean {
    return this.entries.size > 0;
  }
  override iterate(): Iterable<Value> {
    return this.keys();
  }
  override length(): number {
    return this.entries.size;
  }
  override item(key: Value): Value | undefined {
    return this.get(key);
  }
}

/** What is not there: prints as nothing and is false. Where names are strict, only `is defined` may look at it. */
export class Undefined extends PythonObject {
  readonly typeName = 'Undefined';
  constructor(
    readonly message: string,
    readonly strict = false,
    readonly kind = 'UndefinedError',
  ) {
    super();
  }
  fail(): never {
    throw new PythonError(this.kind, this.message);
  }
  #look<T>(result: T): T {
    return this.strict ? this.fail() : result;
  }
  override repr(): string {
    return 'Undefined';
  }
  override str(): string {
    return this.#look('');
  }
  override truth(): boolean {
    return this.#look(false);
  }
  override iterate(): Iterable<Value> {
    return this.#look([]);
  }
  override length(): number {
    return this.#look(0);
  }
  override attribute(): never {
    return this.fail();
  }
  override item(): never {
    return this.fail();
  }
  override call(): never {
    return this.fail();
  }
}

/** A function or bound method. */
export class Callable extends PythonObject {
  readonly typeName = 'function';
  constructor(
    readonly name: string,
    readonly run: (args: Arguments) => Value,
  ) {
    super();
  }
  override repr(): string {
    return `<function ${this.name}>`;
  }
  override call(args: Arguments): Value {
    return this.run(args);
  }
}

/** Text, whether marked as HTML or not. */
export function textOf(value: Value | undefined): string | undefined {
  if (typeof value === 'string') return value;
  return value instanceof Text ? value.text : undefined;
}

/** The number that Python takes a value for: an int, a bool or a float. */
export function numberOf(value: Value): number | bigint | undefined {
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  if (typeof value === 'boolean') return Number(value);
  return value instanceof Float ? value.value : undefined;
}

/** An int or a bool as an int. */
export function intOf(value: Value | undefined): number | bigint | undefined {
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  return typeof value === 'boolean' ? Number(value) : undefined;
}

/** The items of a list or tuple. */
export function sequenceOf(value: Value | undefined): readonly Value[] | undefined {
  if (Array.isArray(value)) return value;
  return value instanceof Tuple ? value.items : undefined;
}

export function typeName(value: Value): string {
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number' || typeof value === 'bigint') return 'int';
  if (typeof value === 'string') return 'str';
  return Array.isArray(value) ? 'list' : value.typeName;
}

export function truth(value: Value): boolean {
  if (typeof value === 'object') return Array.isArray(value) ? value.length > 0 : value.truth();
  return Boolean(value);
}

/** Python's ==. */
export function equal(a: Value, b: Value): boolean {
  if (a === b) return true;
  step();
  const x = textOf(a);
  if (x !== undefined) {
    if (b instanceof Undefined && b.strict) return b.fail();
    const y = textOf(b);
    if (y === undefined || x.length !== y.length) return false;
    scan(x.length);
    return x === y;
  }
  const m = numberOf(a);
  const n = numberOf(b);
  // biome-ignore lint/suspicious/noDoubleEquals: a bigint equals a float of the same value
  if (m !== undefined && n !== undefined) return m == n;
  for (const side of [a, b]) if (side instanceof Undefined && side.strict) return side.fail();
  if (a instanceof Undefined) return b instanceof Undefined;
  enter();
  try {
    const c = sequenceOf(a);
    const d = sequenceOf(b);
    if (c !== undefined && d !== undefined && Array.isArray(a) === Array.isArray(b)) {
      if (c.length !== d.length) return false;
      step(c.length);
      return c.every((item, i) => equal(item, d[i] as Value));
    }
    if (a instanceof Dict && b instanceof Dict) {
      if (a.entries.size !== b.entries.size) return false;
      for (const [key, [, value]] of a.entries) {
        const other = b.entries.get(key);
        if (other === undefined || !equal(value, other[1])) return false;
      }
      return true;
    }
  } finally {
    leave();
  }
  return a instanceof PythonObject && b instanceof PythonObject && a.equals(b);
}

/** What Python would iterate over. */
export function iterate(given: Value): Iterable<Value> {
  const value = structureOf(given);
  const text = textOf(value);
  if (text !== undefined) {
    scan(text.length);
    return text; // by code points
  }
  if (Array.isArray(value)) return value;
  const found = value instanceof PythonObject ? value.iterate() : undefined;
  if (found !== undefined) return found;
  throw new PythonError('TypeError', `'${typeName(value)}' object is not iterable`);
}

/** All that Python would iterate over, in a fresh list. */
export function listOf(value: Value): Value[] {
  const items: Value[] = [];
  for (const item of iterate(value)) {
    step();
    chargeItems(1);
    items.push(item);
  }
  return items;
}

/** Python's len(). */
export function lengthOf(value: Value): number {
  const members = value instanceof Text ? value.length() : undefined;
  if (members !== undefined) return members;
  const text = textOf(value);
  if (text !== undefined) {
    scan(text.length);
    return codePoints(text);
  }
  const length = Array.isArray(value) ? value.length : value instanceof PythonObject ? value.length() : undefined;
  if (length !== undefined) return length;
  throw new PythonError('TypeError', `object of type '${typeName(value)}' has no len()`);
}

const paired = /[\ud800-\udbff][\udc00-\udfff]/g;

/** The number of characters as Python counts them. */
export function codePoints(text: string): number {
  return text.length - (text.match(paired)?.length ?? 0);
}
