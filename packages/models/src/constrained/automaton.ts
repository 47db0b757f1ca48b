// Runs a grammar over bytes. A state is the set of places where the grammar may be, each with what has to come after it;
// states and the ways between them are computed when they are first met, and kept, so that a byte costs one look-up.
// Does not own tokens (token-masks.ts).
import { RelufyError } from '@relufy/tensor';
import type { Item, Rules } from './grammar.js';

/** A place within an alternative, and where to go on after it. */
interface Place {
  readonly items: readonly Item[];
  readonly at: number;
  readonly after: Place | undefined;
  readonly id: number;
  /** The number of the last state that was made with it: whether it has been met is asked very often. */
  seen: number;
}

export interface State {
  /** The bytes so far are a whole sentence of the grammar. */
  readonly isComplete: boolean;
  /** No byte can follow. */
  readonly isEnd: boolean;
  /** @internal Each before a byte. */
  readonly places: readonly Place[];
  /** @internal By byte; null: none. Made by the first step, as each takes 2 KB and many states are met once. */
  next: (State | null | undefined)[] | undefined;
}

/** Places of one state: a rule that begins with itself has no end of them. */
const mostPlaces = 10_000;
/** States that are kept: a schema without recursion has some hundreds. */
const mostStates = 20_000;
/** Places in all of them: ambiguous repetitions have thousands in each. */
const mostHeld = 500_000;

export class Automaton {
  readonly start: State;
  readonly #where: string;
  readonly #rules: Rules;
  /** By the numbers of their places; where one place is all, by its number. */
  #states = new Map<string | number, State>();
  /** By what follows and the number of the item. */
  #places = new Map<number, Place>();
  #ids = 0;
  #made = 0;
  #held = 0;
  /** By alternative, the number of its first item; the others go on from there. */
  readonly #firsts = new Map<readonly Item[], number>();
  readonly #items: number;

  /** @throws RelufyError `option` for a rule that begins with itself. */
  constructor(where: string, rules: Rules) {
    this.#where = where;
    this.#rules = rules;
    let count = 0;
    for (const alternatives of rules)
      for (const items of alternatives)
        if (!this.#firsts.has(items)) {
          this.#firsts.set(items, count);
          count += items.length;
        }
    this.#items = count;
    this.start = this.#state(this.#rules[0]!.map((items) => this.#place(items, 0, undefined)));
  }

  /** What is kept, in places: of memory each takes some hundred bytes, and a state as much as ten. */
  get held(): number {
    return this.#held + 10 * this.#states.size;
  }

  /** The state after a byte; null where the grammar has no such byte there. */
  step(state: State, byte: number): State | null {
    state.next ??= new Array(256).fill(undefined);
    const known = state.next[byte];
    if (known !== undefined) return known;
    const next = this.after(state, byte);
    state.next[byte] = next;
    return next;
  }

  /** The same, without keeping the way: for who takes each way once. */
  after(state: State, byte: number): State | null {
    const reached: (Place | undefined)[] = [];
    for (const { items, at, after } of state.places) {
      const item = items[at] as { readonly first: number; readonly last: number };
      if (byte >= item.first && byte <= item.last) reached.push(this.#place(items, at + 1, after));
    }
    return reached.length === 0 ? null : this.#state(reached);
  }

  /** After the last item of an alternative lies what follows it: undefined where that is the end. */
  #place(items: readonly Item[], at: number, after: Place | undefined): Place | undefined {
    if (at === items.length) return after;
    const key = (after === undefined ? 0 : after.id + 1) * this.#items + (this.#firsts.get(items) as number) + at;
    let place = this.#places.get(key);
    if (place === undefined) {
      place = { items, at, after, id: this.#ids++, seen: 0 };
      this.#places.set(key, place);
    }
    return place;
  }

  /** The state of these places, with rules replaced by what they begin with. */
  #state(from: readonly (Place | undefined)[]): State {
    const number = ++this.#made;
    let met = 0;
    let isComplete = false;
    const places: Place[] = [];
    const open = [...from];
    while (open.length > 0) {
      const place = open.pop();
      if (place === undefined) {
        isComplete = true;
        continue;
      }
      if (place.seen === number) continue;
      place.seen = number;
      if (++met > mostPlaces)
        throw new RelufyError(
          'option',
          `${this.#where}: expected at most ${mostPlaces} ways to go on at one place, got more: too many choices, or a rule that begins with itself. Write its repetition behind it.`,
        );
      const item = place.items[place.at] as Item;
      if (!('rule' in item)) places.push(place);
      else {
        const after = this.#place(place.items, place.at + 1, place.after);
        for (const items of this.#rules[item.rule] as Rules[number]) open.push(this.#place(items, 0, after));
      }
    }
    places.sort((a, b) => a.id - b.id);
    const [only] = places;
    const key =
      places.length === 1
        ? 2 * (only as Place).id + Number(isComplete)
        : `${isComplete} ${places.map(({ id }) => id).join(' ')}`;
    let state = this.#states.get(key);
    if (state === undefined) {
      if (this.#states.size >= mostStates || this.#held > mostHeld || this.#places.size > mostHeld) this.#forget();
      this.#held += places.length;
      state = { isComplete, isEnd: places.length === 0, places, next: undefined };
      this.#states.set(key, state);
    }
    return state;
  }

  /** States that are in use stay what they are; only nobody finds them again. */
  #forget(): void {
    this.#states = new Map();
    this.#places = new Map();
    this.#held = 0;
    if (this.start) this.start.next = undefined;
  }
}
