// Lists with commas between: the entries of an object or a list, in one order, of which some may be left out, as many as
// bounds allow; and lists of which no two items are equal. Does not own what an entry is (json-schema.ts).
import { choice, type Expression, nothing, optional, repeat, sequence } from './grammar.js';

export interface Entry {
  readonly isRequired: boolean;
  readonly written: Expression;
}

export interface EntryOptions {
  readonly comma: Expression;
  /** Bounds of how many there are. */
  readonly min: number;
  readonly max: number;
  /** May follow the named ones, any number of times; two of them may be equal, so that they count as one at least. */
  readonly other?: Expression | undefined;
  /** An expression as a rule of its own: what stands in several places is compiled once. */
  readonly rule: (expression: Expression) => Expression;
  /** Asked before so many rules are made; throws where the form has had too many. */
  readonly spend: (rules: number) => void;
}

/** undefined where the bounds leave none. */
export function entriesInOrder(entries: readonly Entry[], options: EntryOptions): Expression | undefined {
  const { comma, min, max, other, rule } = options;
  /** Counts that have to be told apart. */
  const most = Math.max(1, Number.isFinite(max) ? Math.min(max, entries.length) : Math.min(min, entries.length));
  options.spend((most + 1) * (entries.length + 1));
  const counts = Array.from({ length: most + 1 }, (_, count) => count);
  const before = (count: number, entry: Expression) => (count === 0 ? entry : sequence(comma, entry));
  /** By how many are written: what may follow, from the last entry back, so that each stands in one rule. */
  let after = counts.map((count): Expression | undefined => {
    const [least, room] = [Math.max(0, min - count), max - count];
    if (other === undefined || room <= 0) return least > 0 ? undefined : nothing;
    if (least > 1) return undefined;
    const some = sequence(before(count, other), repeat(sequence(comma, other), 0, room - 1));
    return least === 1 ? some : optional(some);
  });
  for (const { isRequired, written } of [...entries].reverse()) {
    const rests = after.map((rest) => rest && rule(rest));
    after = counts.map((count) => {
      const rest = count < max ? rests[Math.min(count + 1, most)] : undefined;
      const ways = rest === undefined ? [] : [sequence(before(count, written), rest)];
      const without = isRequired ? undefined : rests[count];
      if (without !== undefined) ways.push(without);
      return ways.length === 0 ? undefined : choice(...ways);
    });
  }
  return after[0];
}

/** Values of which every order is kept: each set of those that were written is a rule. */
const mostInAnyOrder = 8;

/** Items that differ from each other, out of `values`: in any order up to eight, above in theirs. undefined where there are too few. */
export function distinctItems(values: readonly Expression[], options: EntryOptions): Expression | undefined {
  const { comma, min, max, rule } = options;
  if (values.length > mostInAnyOrder)
    return entriesInOrder(
      values.map((written) => ({ isRequired: false, written })),
      options,
    );
  const all = 2 ** values.length - 1;
  const after = new Array<Expression | undefined>(all + 1);
  for (let used = all; used >= 0; used--) {
    const count = values.filter((_, i) => (used >> i) & 1).length;
    const ways: Expression[] = [];
    if (count < max)
      for (const [i, value] of values.entries()) {
        const rest = (used >> i) & 1 ? undefined : after[used | (1 << i)];
        if (rest !== undefined) ways.push(sequence(count === 0 ? value : sequence(comma, value), rest));
      }
    if (count >= min) ways.push(nothing);
    after[used] = ways.length === 0 ? undefined : rule(choice(...ways));
  }
  return after[0];
}
