// Regular languages as tables: states, and by byte the state after it. Tables can be intersected and subtracted, which a
// grammar cannot say: a text that two patterns fit, a name that is none of these, a number that is a multiple.
// Does not own what the texts mean (json-strings.ts, json-numbers.ts). A language of values is subtracted by its texts, so
// both sides must write a value in one way only.
import { RelufyError } from '@relufy/tensor';
import { Automaton, type State } from './automaton.js';
import { compileGrammar, type Expression, type Table, type TableState } from './grammar.js';

/** States of one table, and ways between them: a pattern of a few hundred characters stays below. */
const mostStates = 20_000;
const mostWays = 200_000;
/** Places of a grammar in all states of a table: what making it costs. */
const mostPlaces = 60_000;
/** Ways, places and rules of all tables of a form: many small ones take as long as a few large ones. */
const mostWork = 250_000;

/** What all of a form may still cost; a schema of a few kilobytes could ask for minutes otherwise. */
export class Work {
  #left = mostWork;
  readonly #made = new Map<string, Expression>();

  /** What `make` gives, made once for all places of the form that ask for the same; those after the first pay nothing. */
  once(what: string, make: () => Expression): Expression {
    let made = this.#made.get(what);
    if (made === undefined) {
      made = make();
      this.#made.set(what, made);
    }
    return made;
  }

  /** @throws RelufyError `option` where the form costs too much. */
  spend(where: string, by: number): void {
    this.#left -= by;
    if (this.#left < 0)
      throw new RelufyError(
        'option',
        `${where}: expected patterns, lengths, multiples and alternatives that are compared in ${mostWork} steps, all of the form together, got more. Use fewer or simpler ones.`,
      );
  }
}

/** What a table is made for: the place that errors name, and the form that pays. */
export interface TablePlace {
  readonly where: string;
  readonly work: Work;
}

/**
 * The table of an expression, which must not name rules.
 * @throws RelufyError `option` where the table would have too many states.
 */
export function tableOf(place: TablePlace, expression: Expression): Table {
  if (expression.kind === 'table') return expression.table;
  const { where, work } = place;
  const rules = compileGrammar(where, { root: 'root', rules: new Map([['root', expression]]) });
  work.spend(where, rules.length);
  const automaton = new Automaton(where, rules);
  let places = 0;
  return explore<State>(place, automaton.start, {
    isComplete: (state) => state.isComplete,
    ways: (state) => {
      places += state.places.length;
      work.spend(where, state.places.length);
      if (places > mostPlaces) throw tooLarge(where);
      const firsts: number[] = [];
      for (const { items, at } of state.places) {
        const { first, last } = items[at] as { readonly first: number; readonly last: number };
        firsts.push(first, last + 1);
      }
      firsts.sort((a, b) => a - b);
      const ways: Way<State>[] = [];
      for (let i = 0; i + 1 < firsts.length; i++) {
        const [first, next] = [firsts[i] as number, firsts[i + 1] as number];
        const to = first === next ? null : automaton.after(state, first);
        if (to !== null) ways.push({ first, last: next - 1, to });
      }
      return ways;
    },
  });
}

/** Texts of both. */
export function both(place: TablePlace, a: Table, b: Table): Table {
  return explore<Pair>(place, [0, 0], {
    isComplete: ([left, right]) => isComplete(a, left) && isComplete(b, right),
    ways: ([left, right]) => overlaps(waysOf(a, left), waysOf(b, right)),
    key: numberOfPair(b),
  });
}

/** Texts of `a` that are none of `b`. */
export function except(place: TablePlace, a: Table, b: Table): Table {
  /** No state of b: whatever comes now is none of its texts. */
  const outside = -1;
  return explore<Pair>(place, [0, 0], {
    isComplete: ([left, right]) => isComplete(a, left) && !isComplete(b, right),
    ways: ([left, right]) => {
      const others = waysOf(b, right);
      if (others.length === 0)
        return waysOf(a, left).map(({ first, last, to }) => ({ first, last, to: [to, outside] }));
      const inside = overlaps(waysOf(a, left), others);
      const out: Way<Pair>[] = [];
      let at = 0;
      for (const way of waysOf(a, left)) {
        let from = way.first;
        for (let of = inside[at]; of !== undefined && of.first <= way.last; of = inside[++at]) {
          if (of.first > from) out.push({ first: from, last: of.first - 1, to: [way.to, outside] });
          out.push(of);
          from = of.last + 1;
        }
        if (from <= way.last) out.push({ first: from, last: way.last, to: [way.to, outside] });
      }
      return out;
    },
    key: numberOfPair(b),
  });
}

export const isEmpty = (table: Table): boolean => !table.some((state) => state.isComplete);

/** Whether `text` is one of the table's. */
export function accepts(table: Table, text: string): boolean {
  let state = table[0];
  for (const byte of new TextEncoder().encode(text)) {
    const way = state?.ways.find(({ first, last }) => byte >= first && byte <= last);
    state = way && table[way.to];
    if (state === undefined) return false;
  }
  return state?.isComplete === true;
}

/**
 * The same texts with as few states as can be: states that nothing tells apart become one (Moore). For tables made by
 * arithmetic; those of texts are small as they are.
 */
export function merged({ where, work }: TablePlace, table: Table): Table {
  let classes = table.map((state) => Number(state.isComplete));
  const size = table.reduce((sum, { ways }) => sum + 1 + ways.length, 0);
  for (let count = 0; ; ) {
    work.spend(where, size);
    const numbers = new Map<string, number>();
    const next = table.map(({ ways }, i) => {
      const key = [classes[i], ...ways.map(({ first, last, to }) => `${first}-${last}>${classes[to]}`)].join(' ');
      const number = numbers.get(key) ?? numbers.size;
      numbers.set(key, number);
      return number;
    });
    classes = next;
    if (numbers.size === count) break;
    count = numbers.size;
  }
  // states are numbered as they are met, so that of the start is 0
  const states = new Map<number, TableState>();
  for (const [i, { isComplete, ways }] of table.entries()) {
    const number = classes[i] as number;
    if (!states.has(number))
      states.set(number, { isComplete, ways: ways.map((way) => ({ ...way, to: classes[way.to] as number })) });
  }
  return [...states].sort(([a], [b]) => a - b).map(([, state]) => state);
}

type Pair = readonly [left: number, right: number];
/** One number for a state of each; that of `b` may be -1. */
const numberOfPair =
  (b: Table) =>
  ([left, right]: Pair): number =>
    left * (b.length + 1) + right + 1;

interface Way<S> {
  readonly first: number;
  readonly last: number;
  readonly to: S;
}

const isComplete = (table: Table, state: number): boolean => table[state]?.isComplete === true;
const waysOf = (table: Table, state: number): TableState['ways'] => table[state]?.ways ?? [];

/** Where ways of both lead; both are in the order of their bytes, and so is what comes out. */
function overlaps(ways: TableState['ways'], others: TableState['ways']): Way<Pair>[] {
  const out: Way<Pair>[] = [];
  for (let i = 0, j = 0; i < ways.length && j < others.length; ) {
    const [way, other] = [ways[i] as Way<number>, others[j] as Way<number>];
    const [first, last] = [Math.max(way.first, other.first), Math.min(way.last, other.last)];
    if (first <= last) out.push({ first, last, to: [way.to, other.to] });
    if (way.last < other.last) i++;
    else j++;
  }
  return out;
}

/** From the start on, every state that is reached, without those that lead to no end. Ways are in the order of their bytes. */
export function explore<S>(
  { where, work }: TablePlace,
  start: S,
  of: {
    readonly isComplete: (state: S) => boolean;
    readonly ways: (state: S) => readonly Way<S>[];
    /** What equal states have in common; without it they are compared by identity. */
    readonly key?: (state: S) => unknown;
  },
): Table {
  const numbers = new Map<unknown, number>();
  const reached: S[] = [];
  const numberOf = (state: S) => {
    const key = of.key === undefined ? state : of.key(state);
    let number = numbers.get(key);
    if (number === undefined) {
      number = reached.push(state) - 1;
      numbers.set(key, number);
    }
    return number;
  };
  numberOf(start);
  const table: { isComplete: boolean; ways: Way<number>[] }[] = [];
  let size = 0;
  for (let i = 0; i < reached.length; i++) {
    const state = reached[i] as S;
    const ways: Way<number>[] = [];
    for (const { first, last, to } of of.ways(state)) {
      const number = numberOf(to);
      const before = ways.at(-1);
      if (before?.to === number && before.last + 1 === first) ways[ways.length - 1] = { ...before, last };
      else ways.push({ first, last, to: number });
    }
    size += ways.length;
    work.spend(where, ways.length);
    if (reached.length > mostStates || size > mostWays) throw tooLarge(where);
    table.push({ isComplete: of.isComplete(state), ways });
  }
  return withoutDeadEnds(table);
}

function withoutDeadEnds(table: Table): Table {
  const before: number[][] = table.map(() => []);
  for (const [i, { ways }] of table.entries()) for (const { to } of ways) before[to]?.push(i);
  const alive = new Uint8Array(table.length);
  const open = [...table.keys()].filter((i) => isComplete(table, i));
  for (const i of open) alive[i] = 1;
  for (let at = open.pop(); at !== undefined; at = open.pop())
    for (const i of before[at] as number[])
      if (alive[i] === 0) {
        alive[i] = 1;
        open.push(i);
      }
  alive[0] = 1; // the start stays, with no way out where there is no text
  if (!alive.includes(0)) return table;
  let count = 0;
  const numbers = Int32Array.from(alive, (is) => (is ? count++ : -1));
  return table.flatMap(({ isComplete, ways }, i) => {
    if (alive[i] === 0) return [];
    const left: Way<number>[] = [];
    for (const { first, last, to } of ways) if (alive[to] === 1) left.push({ first, last, to: numbers[to] as number });
    return [{ isComplete, ways: left }];
  });
}

function tooLarge(where: string): RelufyError {
  return new RelufyError(
    'option',
    `${where}: expected texts that a table of ${mostStates} states tells apart, got more. Simplify the patterns, or use shorter lengths and smaller numbers.`,
  );
}
