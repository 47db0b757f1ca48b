// Which split of each task is scored where a user says so: one for all, or by task, group or pattern. Does not own which
// files hold a split (task-data.ts), nor the split that a task scores by itself.
import { RelufyError, show, showNames } from '@relufy/tensor';
import type { TaskSelection } from './task-registry.js';
import { fitsWildcard } from './wildcard.js';

export interface SplitChoice {
  /** Of every task that `splits` does not name. */
  readonly split?: string;
  /** Task, group or pattern with `*` -> split. The narrowest name counts. */
  readonly splits?: Readonly<Record<string, string>>;
}

/**
 * `validation`, `sciq=validation,mmlu=test`, or both kinds together.
 * @throws RelufyError `option` for anything else.
 */
export function parseSplits(where: string, texts: readonly string[]): SplitChoice {
  const all: string[] = [];
  const splits: Record<string, string> = {};
  for (const text of texts) {
    const [name, split, ...more] = text.split('=').map((part) => part.trim()) as [string, ...string[]];
    if (name === '' || split === '' || more.length > 0 || (split !== undefined && (splits[name] ?? split) !== split))
      throw new RelufyError(
        'option',
        `${where}: expected a split, or TASK=SPLIT once a task, got ${show(text)}. Write --split sciq=validation,arc_easy=test.`,
      );
    if (split === undefined) all.push(name);
    else splits[name] = split;
  }
  if (all.length > 1)
    throw new RelufyError(
      'option',
      `${where}: expected one split for all tasks, got ${showNames(all)}. Say which task each is for: --split sciq=validation.`,
    );
  return { ...(all[0] !== undefined && { split: all[0] }), ...(Object.keys(splits).length > 0 && { splits }) };
}

/**
 * Task -> the split that a user chose for it.
 * @throws RelufyError `option` for a name that no task of the selection answers to.
 */
export function chosenSplits(
  { tasks, groups }: TaskSelection,
  { split, splits = {} }: SplitChoice,
): ReadonlyMap<string, string> {
  const chosen = new Map<string, string>();
  if (split !== undefined) for (const { task } of tasks) chosen.set(task, split);
  const known = tasks.map(({ task }) => task);
  const members = (name: string): string[] =>
    groups.find(({ group }) => group === name)?.members.flatMap((member) => [member, ...members(member)]) ?? [];
  const matches = (name: string): string[] => {
    if (known.includes(name)) return [name];
    if (!name.includes('*')) return members(name).filter((member) => known.includes(member));
    return known.filter((task) => fitsWildcard(name, task));
  };
  // what names fewer tasks comes later, and counts
  const asked = Object.entries(splits).map(([name, own]) => ({ name, own, named: matches(name) }));
  for (const { name, own, named } of asked.sort((a, b) => b.named.length - a.named.length)) {
    if (named.length === 0)
      throw new RelufyError(
        'option',
        `split of ${show(name)}: expected a task or group of this run, got none of that name. It has ${showNames(known)}.`,
      );
    for (const task of named) chosen.set(task, own);
  }
  return chosen;
}
