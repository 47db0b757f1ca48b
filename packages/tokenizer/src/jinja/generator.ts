// Python's generators, which filters such as `map` and `select` give.
import { TemplateBudgetError } from './budget.js';
import { PythonObject, type Value } from './values.js';

/** Iterators that go through iterators, each a few calls deep. */
const DEEPEST_GENERATOR = 200;

/** An iterator: it gives its values once. */
export class Generator extends PythonObject {
  readonly typeName: string = 'generator';
  readonly #iterator: Iterator<Value>;
  readonly #depth: number;
  /** `source`: what the values are made from. */
  constructor(values: Iterable<Value>, source?: Value) {
    super();
    this.#depth = source instanceof Generator ? source.#depth + 1 : 0;
    if (this.#depth > DEEPEST_GENERATOR)
      throw new TemplateBudgetError(`it chains more than ${DEEPEST_GENERATOR} filters`);
    this.#iterator = values[Symbol.iterator]();
  }
  /** The next value, or undefined at the end. */
  next(): Value | undefined {
    const { done, value } = this.#iterator.next();
    return done === true ? undefined : value;
  }
  /** Who stops early leaves the rest for the next. */
  override iterate(): Iterable<Value> {
    const iterator = this.#iterator;
    return { [Symbol.iterator]: () => ({ next: () => iterator.next() }) };
  }
}
