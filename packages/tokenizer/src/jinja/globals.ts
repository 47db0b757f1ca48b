// The functions and types that every template has: range, dict, namespace, cycler, joiner.
import { bind } from './arguments.js';
import { dictionary, fromKeys, type Rules } from './attributes.js';
import { charge, chargeItems } from './budget.js';

import { sliceSpan } from './operators.js';
import { repr } from './repr.js';
import {
  type Arguments,
  Callable,
  type Dict,
  intOf,
  NONE,
  PythonError,
  PythonObject,
  typeName,
  Undefined,
  type Value,
} from './values.js';

/** In jinja2's sandbox. */
const LONGEST_RANGE = 100_000;

class Range extends PythonObject {
  readonly typeName = 'range';
  readonly #count: number;

  constructor(
    readonly start: number,
    readonly stop: number,
    readonly by: number,
  ) {
    super();
    this.#count = Math.max(0, Math.ceil((stop - start) / by));
  }
  override repr(): string {
    return `range(${this.start}, ${this.stop}${this.by === 1 ? '' : `, ${this.by}`})`;
  }
  override length(): number {
    return this.#count;
  }
  override truth(): boolean {
    return this.#count > 0;
  }
  override *iterate(): Generator<Value> {
    for (let i = 0; i < this.#count; i++) yield this.start + i * this.by;
  }
  override slice(bounds: readonly (Value | undefined)[]): Value | undefined {
    const span = sliceSpan(this.#count, bounds);
    if (span === undefined) return undefined;
    const start = this.start + span.start * this.by;
    const by = this.by * span.step;
    return new Range(start, start + span.count * by, by);
  }
  override equals(other: PythonObject): boolean {
    if (!(other instanceof Range) || other.#count !== this.#count) return false;
    return this.#count === 0 || (this.start === other.start && (this.#count === 1 || this.by === other.by));
  }
  override item(key: Value): Value | undefined {
    const index = Number(intOf(key));
    const at = index < 0 ? index + this.#count : index;
    return at >= 0 && at < this.#count ? this.start + at * this.by : undefined;
  }
}

function range({ positional }: Arguments, sandboxed: boolean): Value {
  if (positional.length === 0 || positional.length > 3)
    throw new PythonError('TypeError', `range expected 1 to 3 arguments, got ${positional.length}`);
  const bounds = positional.map((bound) => {
    if (bound instanceof Undefined) return bound.fail();
    const number = intOf(bound);
    if (number === undefined)
      throw new PythonError('TypeError', `'${typeName(bound)}' object cannot be interpreted as an integer`);
    return Number(number);
  });
  const [start, stop, by] = bounds.length === 1 ? [0, bounds[0]!, 1] : [bounds[0]!, bounds[1]!, bounds[2] ?? 1];
  if (by === 0) throw new PythonError('ValueError', 'range() arg 3 must not be zero');
  const made = new Range(start, stop, by);
  if (sandboxed && made.length() > LONGEST_RANGE)
    throw new PythonError(
      'OverflowError',
      `Range too big. The sandbox blocks ranges larger than MAX_RANGE (${LONGEST_RANGE}).`,
    );
  return made;
}

/** What `set` can give attributes to from inside a loop. */
export class Namespace extends PythonObject {
  readonly typeName = 'Namespace';
  constructor(readonly attributes: Dict) {
    super();
    for (const name of attributes.keys()) this.#check(name);
  }
  #check(name: Value): void {
    if (typeof name === 'string' && name.startsWith('_'))
      throw new PythonError('SecurityError', `a namespace cannot have the attribute ${repr(name)}. Rename it`);
  }
  put(name: string, value: Value): void {
    this.#check(name);
    charge(1);
    this.attributes.set(name, value);
  }
  override repr(): string {
    return `<Namespace ${repr(this.attributes)}>`;
  }
  override attribute(name: string): Value | undefined {
    return this.attributes.get(name);
  }
}

class Cycler extends PythonObject {
  readonly typeName = 'Cycler';
  #at = 0;
  constructor(readonly items: readonly Value[]) {
    super();
    if (items.length === 0) throw new PythonError('RuntimeError', 'at least one item has to be provided');
  }
  #next(): Value {
    const value = this.items[this.#at] as Value;
    this.#at = (this.#at + 1) % this.items.length;
    return value;
  }
  override attribute(name: string): Value | undefined {
    switch (name) {
      case 'next':
        return new Callable(name, () => this.#next());
      case 'reset':
        return new Callable(name, () => {
          this.#at = 0;
          return NONE;
        });
      case 'current':
        return this.items[this.#at];
      case 'pos':
        return this.#at;
      case 'items':
        chargeItems(this.items.length);
        return [...this.items];
      default:
        return undefined;
    }
  }
}

class Joiner extends PythonObject {
  readonly typeName = 'Joiner';
  #used = false;
  constructor(readonly separator: Value) {
    super();
  }
  override call(): Value {
    if (this.#used) return this.separator;
    this.#used = true;
    return '';
  }
}

class DictType extends Callable {
  constructor() {
    super('dict', dictionary);
  }
  override attribute(name: string): Value | undefined {
    if (name !== 'fromkeys') return undefined;
    return new Callable(name, (args) => {
      const [keys, value] = bind(name, ['iterable', 'value?'], args);
      return fromKeys(keys as Value, value ?? NONE);
    });
  }
}

/** The globals of jinja2. */
export function pythonGlobals({ sandboxed }: Rules): [string, Value][] {
  return [
    ['range', new Callable('range', (args) => range(args, sandboxed))],
    ['dict', new DictType()],
    ['namespace', new Callable('namespace', (args) => new Namespace(dictionary(args)))],
    ['cycler', new Callable('cycler', ({ positional }) => new Cycler(positional))],
    [
      'joiner',
      new Callable('joiner', (args) => {
        const [separator] = bind('joiner', ['sep?'], args);
        return new Joiner(separator ?? ', ');
      }),
    ],
  ];
}
