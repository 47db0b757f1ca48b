// Context-free grammars over bytes: expressions to write them with, and the rules that an automaton runs (automaton.ts).
// Whoever makes one (json-schema.ts, gbnf.ts, tool-calls.ts) speaks of characters; here they become UTF-8.
// Does not own any language.
import { RelufyError } from '@relufy/tensor';

/** Code points, ends included. */
export type CharRange = readonly [first: number, last: number];

export type Expression =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'chars'; readonly ranges: readonly CharRange[] }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly part: Expression; readonly min: number; readonly max: number }
  | { readonly kind: 'rule'; readonly name: string }
  | { readonly kind: 'table'; readonly table: Table };

/** A deterministic automaton over bytes; state 0 is the start (regular.ts). */
export type Table = readonly TableState[];
export interface TableState {
  /** A text may end here. */
  readonly isComplete: boolean;
  /** In the order of their bytes; none overlap. */
  readonly ways: readonly { readonly first: number; readonly last: number; readonly to: number }[];
}

export const text = (of: string): Expression => ({ kind: 'text', text: of });
export const chars = (...ranges: readonly CharRange[]): Expression => ({ kind: 'chars', ranges });
export const sequence = (...parts: readonly Expression[]): Expression => ({ kind: 'sequence', parts });
export const choice = (...parts: readonly Expression[]): Expression => ({ kind: 'choice', parts });
export const rule = (name: string): Expression => ({ kind: 'rule', name });
export const repeat = (part: Expression, min: number, max = Number.POSITIVE_INFINITY): Expression => ({
  kind: 'repeat',
  part,
  min,
  max,
});
export const fromTable = (table: Table): Expression => ({ kind: 'table', table });
export const optional = (part: Expression): Expression => repeat(part, 0, 1);
export const nothing: Expression = sequence();

export interface Grammar {
  readonly root: string;
  readonly rules: ReadonlyMap<string, Expression>;
}

/** One byte of [first, last], or a rule by its number. */
export type Item = { readonly first: number; readonly last: number } | { readonly rule: number };

/** By rule, its alternatives; rule 0 is the root. */
export type Rules = readonly (readonly (readonly Item[])[])[];

export const lastCodePoint = 0x10ffff;
/** Alternatives of all rules together: a bounded repetition takes one for each time. */
const mostAlternatives = 200_000;

/**
 * Alternatives that no text ends are left out: whoever took one could neither go on for ever nor stop.
 * @throws RelufyError `option` for rules that are not there, too many of them, or a root that no text fits.
 */
export function compileGrammar(where: string, { root, rules }: Grammar): Rules {
  const compiled: (readonly Item[])[][] = [];
  const numbers = new Map<string, number>();
  const characters = new Map<string, readonly Item[]>();
  const tables = new Map<Table, readonly Item[]>();
  let size = 0;
  const grow = (by: number) => {
    size += by;
    if (!(size <= mostAlternatives))
      throw new RelufyError(
        'option',
        `${where}: expected at most ${mostAlternatives} alternatives, bounded repetitions counted, got more. Lower its bounds.`,
      );
  };

  const add = (make: (number: number) => readonly (readonly Item[])[]): readonly Item[] => {
    const number = compiled.push([]) - 1;
    const made = make(number);
    grow(made.length);
    compiled[number] = [...made];
    return [{ rule: number }];
  };
  /** Rules that are named and not yet made: not at once, as each may name the next, a thousand deep. */
  const open: { readonly number: number; readonly expression: Expression }[] = [];
  const named = (name: string): readonly Item[] => {
    const known = numbers.get(name);
    if (known !== undefined) return [{ rule: known }];
    const expression = rules.get(name);
    if (expression === undefined)
      throw new RelufyError('option', `${where}: expected a rule "${name}", got none. Define it.`);
    const number = compiled.push([]) - 1;
    numbers.set(name, number);
    open.push({ number, expression });
    return [{ rule: number }];
  };
  /** By expression: white space and commas stand in hundreds of places, and are the same rules in all of them. */
  const made = new Map<Expression, readonly Item[]>();
  const lower = (expression: Expression): readonly Item[] => {
    let items = made.get(expression);
    if (items === undefined) {
      items = itemsOf(expression);
      made.set(expression, items);
    }
    return items;
  };
  const itemsOf = (expression: Expression): readonly Item[] => {
    switch (expression.kind) {
      case 'text':
        return Array.from(new TextEncoder().encode(expression.text), (byte) => ({ first: byte, last: byte }));
      case 'chars': {
        const key = expression.ranges.join(' ');
        const known = characters.get(key);
        if (known) return known;
        const ways = expression.ranges.flatMap(utf8Ways);
        const items = ways.length === 1 ? (ways[0] as readonly Item[]) : add(() => ways);
        characters.set(key, items);
        return items;
      }
      case 'sequence':
        return expression.parts.flatMap(lower);
      case 'choice':
        if (expression.parts.length === 1) return lower(expression.parts[0] as Expression);
        return add(() => expression.parts.map(lower));
      case 'rule':
        return named(expression.name);
      case 'table': {
        // a rule for each state
        const { table } = expression;
        const known = tables.get(table);
        if (known) return known;
        const first = compiled.length;
        for (const { isComplete, ways } of table) {
          const alternatives: (readonly Item[])[] = ways.map(({ first: from, last, to }) => [
            { first: from, last },
            { rule: first + to },
          ]);
          if (isComplete) alternatives.push([]);
          grow(alternatives.length);
          compiled.push(alternatives);
        }
        const items = [{ rule: first }];
        tables.set(table, items);
        return items;
      }
      case 'repeat': {
        const { part, min, max } = expression;
        grow(min);
        const lowered = lower(part);
        // copies share a rule, and stand in one each
        const items = lowered.length > 1 ? add(() => [lowered]) : lowered;
        let rest: readonly Item[] = [];
        if (max === Number.POSITIVE_INFINITY) rest = add((number) => [[...items, { rule: number }], []]);
        else
          for (let more = min; more < max; more++) {
            const behind = rest;
            rest = add(() => [[...items, ...behind], []]);
          }
        return [...new Array<readonly Item[]>(min).fill(items).flat(), ...rest];
      }
    }
  };
  add(() => [named(root)]);
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    grow(1);
    compiled[next.number] = [lower(next.expression)];
  }
  return endingRules(where, compiled);
}

/** The rules without alternatives of which no text is a whole one: those that need themselves, or what nothing fits. */
function endingRules(where: string, rules: Rules): Rules {
  /** By rule: the alternatives in which it stands. By alternative: how many of its rules are not known to end. */
  const uses: { readonly rule: number; readonly open: { left: number } }[][] = rules.map(() => []);
  const ends = new Uint8Array(rules.length);
  const found: number[] = [];
  const end = (rule: number) => {
    if (ends[rule] === 0) found.push(rule);
    ends[rule] = 1;
  };
  for (const [rule, alternatives] of rules.entries())
    for (const items of alternatives) {
      const parts = items.flatMap((item) => ('rule' in item ? [item.rule] : []));
      const use = { rule, open: { left: parts.length } };
      for (const part of parts) uses[part]?.push(use);
      if (parts.length === 0) end(rule);
    }
  for (let next = found.pop(); next !== undefined; next = found.pop())
    for (const { rule, open } of uses[next] ?? []) if (--open.left === 0) end(rule);
  if (ends[0] === 0)
    throw new RelufyError(
      'option',
      `${where}: expected a form that some text fits, got one that needs itself without an end, or that nothing fits. Give it an alternative that ends.`,
    );
  if (ends.every((each) => each === 1)) return rules;
  return rules.map((alternatives) =>
    alternatives.filter((items) => items.every((item) => !('rule' in item) || ends[item.rule] === 1)),
  );
}

/** The bytes of the code points [first, last], as sequences of byte ranges. Surrogates have none. */
function utf8Ways([first, last]: CharRange): Item[][] {
  const ways: Item[][] = [];
  for (const [from, to] of [
    [0, 0x7f],
    [0x80, 0x7ff],
    [0x800, 0xd7ff],
    [0xe000, 0xffff],
    [0x10000, lastCodePoint],
  ] as const)
    if (first <= to && last >= from) splitWays(Math.max(first, from), Math.min(last, to), ways);
  return ways;
}

/** Both ends have as many bytes. */
function splitWays(first: number, last: number, ways: Item[][]): void {
  for (const bits of [6, 12, 18]) {
    const mask = 2 ** bits - 1;
    if (first < 0x80 || first >> bits === last >> bits) continue;
    if ((first & mask) !== 0) {
      splitWays(first, first | mask, ways);
      splitWays((first | mask) + 1, last, ways);
      return;
    }
    if ((last & mask) !== mask) {
      splitWays(first, (last & ~mask) - 1, ways);
      splitWays(last & ~mask, last, ways);
      return;
    }
  }
  const [low, high] = [first, last].map((point) => new TextEncoder().encode(String.fromCodePoint(point))) as [
    Uint8Array,
    Uint8Array,
  ];
  ways.push(Array.from(low, (byte, i) => ({ first: byte, last: high[i] as number })));
}

/** All other code points. */
export function complement(ranges: readonly CharRange[]): CharRange[] {
  const out: CharRange[] = [];
  let from = 0;
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    if (first > from) out.push([from, first - 1]);
    from = Math.max(from, last + 1);
  }
  if (from <= lastCodePoint) out.push([from, lastCodePoint]);
  return out;
}

export function intersect(a: readonly CharRange[], b: readonly CharRange[]): CharRange[] {
  return a.flatMap(([first, last]) =>
    b.flatMap(([from, to]): CharRange[] => {
      const [low, high] = [Math.max(first, from), Math.min(last, to)];
      return low <= high ? [[low, high]] : [];
    }),
  );
}
