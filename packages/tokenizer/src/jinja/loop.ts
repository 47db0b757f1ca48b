// The `loop` of a for loop.
import { type Arguments, Callable, equal, PythonError, PythonObject, Tuple, Undefined, type Value } from './values.js';

export class Loop extends PythonObject {
  readonly typeName = 'LoopContext';
  #last: Value | undefined;

  constructor(
    readonly items: readonly Value[],
    readonly depth: number,
    /** Renders a recursive loop over other values. */
    readonly again: ((items: Value, depth: number) => string) | undefined,
    readonly strict: boolean,
  ) {
    super();
  }

  at = 0;

  override length(): number {
    return this.items.length;
  }

  override repr(): string {
    return `<LoopContext ${this.at + 1}/${this.items.length}>`;
  }

  override attribute(name: string): Value | undefined {
    const { at, items } = this;
    switch (name) {
      case 'index':
        return at + 1;
      case 'index0':
        return at;
      case 'revindex':
        return items.length - at;
      case 'revindex0':
        return items.length - at - 1;
      case 'first':
        return at === 0;
      case 'last':
        return at === items.length - 1;
      case 'length':
        return items.length;
      case 'depth':
        return this.depth + 1;
      case 'depth0':
        return this.depth;
      case 'previtem':
        return items[at - 1] ?? new Undefined('there is no previous item', this.strict);
      case 'nextitem':
        return items[at + 1] ?? new Undefined('there is no next item', this.strict);
      case 'cycle':
        return new Callable('cycle', ({ positional }) => {
          const value = positional[at % positional.length];
          if (value === undefined) throw new PythonError('TypeError', 'no items for cycling given');
          return value;
        });
      case 'changed':
        return new Callable('changed', ({ positional }) => {
          const value = new Tuple(positional);
          const same = this.#last !== undefined && equal(this.#last, value);
          this.#last = value;
          return !same;
        });
      default:
        return undefined;
    }
  }

  override call({ positional }: Arguments): Value {
    const [items] = positional;
    if (this.again === undefined || items === undefined)
      throw new PythonError('TypeError', 'the loop must have the "recursive" marker to be called');
    return this.again(items, this.depth + 1);
  }
}
