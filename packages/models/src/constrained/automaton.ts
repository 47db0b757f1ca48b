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
}

export interface State {
  /** The bytes so far are a whole sentence of the grammar. */
  readonly isComplete: boolean;
  /** No byte can follow. */
  readonly isEnd: boolean;
  /** @internal Each before a byte. */
  readonly places: readonly Place[];
  /** @internal By byte; null: none. */
  readonly next: (State | null | undefined)[];
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
  #states = new Map<string, State>();
  /** By items, place and what follows. */
  #places = new Map<string, Place>();
  #ids = 0;
  #held = 0;
  readonly #itemIds = new Map<readonly Item[], number>();

  /** @throws RelufyError `option` for a rule that begins with itself. */
  constructor(where: string, rules: Rules) {
    this.#where = where;
    this.#rules = rules;
    this.start = this.#state(this.#rules[0]!.map((items) => this.#place(items, 0, undefined)));
  }

  /** What is kept, in places: of memory each takes some hundred bytes, and a state as much as ten. */
  get held(): number {
    return this.#held + 10 * this.#states.size;
  }

  /** The state after a byte; null where the grammar has no such byte there. */
  step(state: State, byte: number): State | null {
    const known = state.next[byte];
    if (known !== undefined) return known;
    const reached: (Place | undefined)[] = [];
    for (const { items, at, after } of state.places) {
      const item = items[at] as { readonly first: number; readonly last: number };
      if (byte >= item.first && byte <= item.last) reached.push(this.#place(items, at + 1, after));
    }
    const next = reached.length === 0 ? null : this.#state(reached);
    state.next[byte] = next;
    return next;
  }

  /** After the last item of an alternative lies what follows it: undefined where that is the end. */
  #place(items: readonly Item[], at: number, after: Place | undefined): Place | undefined {
    if (at === items.length) return after;
    const itemId = this.#itemIds.get(items) ?? this.#itemIds.size;
    this.#itemIds.set(items, itemId);
    const key = `${itemId} ${at} ${after?.id}`;
    let place = this.#places.get(key);
    if (place === undefined) {
      place = { items, at, after, id: this.#ids++ };
      this.#places.set(key, place);
    }
    return place;
  }

  /** The state of these places, with rules replaced by what they begin with. */
  #state(from: readonly (Place | undefined)[]): State {
    const seen = new Set<Place | undefined>();
    const places: Place[] = [];
    const open = [...from];
    while (open.length > 0) {
      const place = open.pop();
      if (seen.has(place)) continue;
      seen.add(place);
      if (seen.size > mostPlaces)
        throw new RelufyError(
          'option',
          `${this.#where}: expected at most ${mostPlaces} ways to go on at one place, got more: too many choices, or a rule that begins with itself. Write its repetition behind it.`,
        );
      const item = place?.items[place.at];
      if (place === undefined || item === undefined) continue;
      if (!('rule' in item)) places.push(place);
      else {
        const after = this.#place(place.items, place.at + 1, place.after);
        for (const items of this.#rules[item.rule] as Rules[number]) open.push(this.#place(items, 0, after));
      }
    }
    places.sort((a, b) => a.id - b.id);
    const isComplete = seen.has(undefined);
    const key = `${isComplete} ${places.map(({ id }) => id).join(' ')}`;
    let state = this.#states.get(key);
    if (state === undefined) {
      if (this.#states.size >= mostStates || this.#held > mostHeld || this.#places.size > mostHeld) this.#forget();
      this.#held += places.length;
      state = { isComplete, isEnd: places.length === 0, places, next: new Array(256).fill(undefined) };
      this.#states.set(key, state);
    }
    return state;
  }

  /** States that are in use stay what they are; only nobody finds them again. */
  #forget(): void {
    this.#states = new Map();
    this.#places = new Map();
    this.#held = 0;
    this.start?.next.fill(undefined);
  }
}
