// From a task and a split to its documents: which local file holds them, then `process_docs`.
// Does not own file formats (data-files.ts).
import { stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { RelufyError, show } from '@relufy/tensor';
import { dataExtensions, openArchive, readDocs } from './data-files.js';
import { type Doc, processor } from './processors.js';
import type { TaskConfig } from './task-file.js';

export type Split = 'train' | 'validation' | 'test' | (string & {});

export interface DataSource {
  /** The folder that local data lies in. */
  readonly folder?: string;
}

/** The split whose documents are scored: the test split where there is one, as in lm-evaluation-harness. */
export function evaluatedSplit(task: TaskConfig): Split {
  const split = task.test_split ?? task.validation_split;
  if (split != null) return split;
  throw new RelufyError('option', `${task.task}: expected a test_split or validation_split, got none. Add one.`);
}

/** The split that few-shot examples come from. */
export function fewshotSplit(task: TaskConfig): Split {
  return (
    task.fewshot_config?.split ??
    task.fewshot_split ??
    task.training_split ??
    task.validation_split ??
    evaluatedSplit(task)
  );
}

/**
 * The documents of a split.
 * @throws RelufyError `input` when no file holds the split, saying what was looked for.
 */
export async function loadDocs(task: TaskConfig, split: Split, source: DataSource): Promise<Doc[]> {
  const path = await findFile(task, split, source);
  const docs = await readDocs(path, { header: task.dataset_kwargs?.header !== false });
  if (docs.length === 0)
    throw new RelufyError('input', `${task.task}: expected documents in ${path}, got none. Check the data.`);
  return task.process_docs === undefined
    ? docs
    : processor(`${task.task} "process_docs"`, task.process_docs.name, 'docs')(docs);
}

/** Where a split may lie, in the order of looking. */
function candidates(task: TaskConfig, split: Split, folder: string | undefined): string[] {
  const given = task.dataset_kwargs?.data_files;
  if (given !== undefined) {
    const file = typeof given === 'string' ? given : given[split];
    if (file === undefined) return [];
    if (isAbsolute(file)) return [file];
    return [task.folder, folder].flatMap((base) => (base === undefined ? [] : [join(base, file)]));
  }
  if (folder === undefined) return [];
  const last = task.dataset_path?.split('/').at(-1);
  const name = task.dataset_name ?? undefined;
  const stems = [
    ...(task.local_files?.[split] ?? []),
    [last, name, split].filter((part) => part !== undefined).join('__'),
    [last, split].join('__'),
    ...(name === undefined ? [] : [`${name}__${split}`]),
    [last, name, split].filter((part) => part !== undefined).join('/'),
    ...(name === undefined ? [] : [`${name}/${split}`]),
    split,
  ];
  return stems.flatMap((stem) => {
    const path = join(folder, stem);
    return stem.includes('#') || dataExtensions.some((extension) => stem.endsWith(extension))
      ? [path, `${path}.gz`]
      : dataExtensions.flatMap((extension) => [`${path}${extension}`, `${path}${extension}.gz`]);
  });
}

async function findFile(task: TaskConfig, split: Split, { folder }: DataSource): Promise<string> {
  const looked = candidates(task, split, folder);
  for (const path of looked) if (await exists(path)) return path;
  const others = [task.training_split, task.validation_split, task.test_split].filter(
    (other): other is string => other != null && other !== split,
  );
  const present: string[] = [];
  for (const other of others)
    for (const path of candidates(task, other, folder))
      if (!present.includes(other) && (await exists(path))) present.push(other);
  const remedy =
    present.length > 0
      ? `There is ${present.join(' and ')}: choose it with --split.`
      : 'Name the folder that holds the data with --data.';
  throw new RelufyError(
    'input',
    `${task.task}: expected the split ${show(split)} of ${show(task.dataset_path ?? task.task)} in ${folder === undefined ? 'a data folder' : show(folder)}${looked[0] ? `, as ${show(looked[0].slice((folder?.length ?? -1) + 1))} for example` : ''}, got no such file. ${remedy}`,
  );
}

async function exists(path: string): Promise<boolean> {
  const [archive, member] = path.split('#') as [string, string | undefined];
  const there = await stat(archive).then(
    (found) => found.isFile(),
    () => false,
  );
  return there && (member === undefined || (await openArchive(archive)).has(member));
}
