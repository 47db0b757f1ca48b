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
const mostWork = 400_000;

/** What all of a form may still cost; a schema of a few kilobytes could ask for minutes otherwise. */
export class Work {
  #left = mostWork;

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
      const firsts = new Set<number>();
      for (const { items, at } of state.places) {
        const { first, last } = items[at] as { readonly first: number; readonly last: number };
        firsts.add(first).add(last + 1);
      }
      const sorted = [...firsts].sort((a, b) => a - b);
      return sorted.slice(0, -1).flatMap((first, i) => {
        const to = automaton.step(state, first);
        return to === null ? [] : [{ first, last: (sorted[i + 1] as number) - 1, to }];
      });
    },
  });
}

/** Texts of both. */
export function both(place: TablePlace, a: Table, b: Table): Table {
  return explore<Pair>(place, pair(0, 0), {
    isComplete: ([left, right]) => isComplete(a, left) && isComplete(b, right),
    ways: ([left, right]) => waysOf(a, left).flatMap((way) => overlaps(way, waysOf(b, right), pair)),
  });
}

/** Texts of `a` that are none of `b`. */
export function except(place: TablePlace, a: Table, b: Table): Table {
  /** No state of b: whatever comes now is none of its texts. */
  const outside = -1;
  return explore<Pair>(place, pair(0, 0), {
    isComplete: ([left, right]) => isComplete(a, left) && !isComplete(b, right),
    ways: ([left, right]) =>
      waysOf(a, left).flatMap((way) => {
        const inside = overlaps(way, waysOf(b, right), pair);
        const out: Way<Pair>[] = [...inside];
        let from = way.first;
        for (const { first, last } of inside) {
          if (first > from) out.push({ first: from, last: first - 1, to: pair(way.to, outside) });
          from = last + 1;
        }
        if (from <= way.last) out.push({ first: from, last: way.last, to: pair(way.to, outside) });
        return out;
      }),
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
const pair = (left: number, right: number): Pair => [left, right];

interface Way<S> {
  readonly first: number;
  readonly last: number;
  readonly to: S;
}

const isComplete = (table: Table, state: number): boolean => table[state]?.isComplete === true;
const waysOf = (table: Table, state: number): TableState['ways'] => table[state]?.ways ?? [];

function overlaps<S>(way: Way<number>, others: TableState['ways'], to: (left: number, right: number) => S): Way<S>[] {
  return others.flatMap((other) => {
    const [first, last] = [Math.max(way.first, other.first), Math.min(way.last, other.last)];
    return first <= last ? [{ first, last, to: to(way.to, other.to) }] : [];
  });
}

/** From the start on, every state that is reached, without those that lead to no end. Ways are in the order of their bytes. */
export function explore<S>(
  { where, work }: TablePlace,
  start: S,
  of: { readonly isComplete: (state: S) => boolean; readonly ways: (state: S) => readonly Way<S>[] },
): Table {
  // automaton states are compared by identity, pairs by their numbers
  const numbers = new Map<unknown, number>();
  const reached: S[] = [];
  const numberOf = (state: S) => {
    const key = Array.isArray(state) ? state.join(' ') : state;
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
  const alive = new Set([...table.keys()].filter((i) => isComplete(table, i)));
  const open = [...alive];
  for (let at = open.pop(); at !== undefined; at = open.pop())
    for (const i of before[at] as number[])
      if (!alive.has(i)) {
        alive.add(i);
        open.push(i);
      }
  alive.add(0); // the start stays, with no way out where there is no text
  const numbers = new Map([...alive].sort((a, b) => a - b).map((i, number) => [i, number]));
  return [...numbers.keys()].map((i) => ({
    isComplete: isComplete(table, i),
    ways: waysOf(table, i).flatMap((way) => {
      const to = numbers.get(way.to);
      return to === undefined ? [] : [{ ...way, to }];
    }),
  }));
}

function tooLarge(where: string): RelufyError {
  return new RelufyError(
    'option',
    `${where}: expected texts that a table of ${mostStates} states tells apart, got more. Simplify the patterns, or use shorter lengths and smaller numbers.`,
  );
}
