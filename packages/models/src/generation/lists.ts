// Lists that callers pass: token ids of whatever gives numbers, and lists of anything else. Does not own which ids a model has.
import { RelufyError, show } from '@relufy/tensor';

export const wholeBelow = (vocabSize: number) => `whole numbers from 0 to ${vocabSize - 1}`;

/** Ids of whatever gives numbers one after the other; not more than `most`, since there are such without an end. */
export function listIds(where: string, ids: Iterable<number>, most = Number.POSITIVE_INFINITY): readonly number[] {
  if (typeof ids !== 'object' || ids === null || typeof ids[Symbol.iterator] !== 'function')
    throw new RelufyError('input', `${where}: expected token ids, got ${show(ids)}.`);
  const list: number[] = [];
  for (const id of ids) if (list.push(id) >= most) break;
  return list;
}

export function listItems<T>(where: string, items: readonly T[]): readonly T[] {
  if (!Array.isArray(items)) throw new RelufyError('input', `${where}: expected a list, got ${show(items)}.`);
  return items;
}
