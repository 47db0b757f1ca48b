// From a task and a split to its documents: which files hold them, local or of the hub, then `process_docs`.
// Does not own file formats (data-files.ts), nor downloads (@relufy/checkpoint).
import { stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { type HubOptions, hubDataFiles, parseHubId } from '@relufy/checkpoint/node';
import { RelufyError, show, showNames } from '@relufy/tensor';
import { openArchive } from './data-bytes.js';
import { dataExtensions, readDocs } from './data-files.js';
import { type Doc, processor } from './processors.js';
import type { TaskConfig } from './task-file.js';

export type Split = 'train' | 'validation' | 'test' | (string & {});

export interface DataSource {
  /** The folder that local data lies in. */
  readonly folder?: string;
  /** Where no folder is named, the task's data set of the hub; with `false` that is an error. */
  readonly hub?: false | Pick<HubOptions, 'cacheDir' | 'localFilesOnly' | 'token' | 'retry' | 'signal'>;
}

/** No file holds a split of a task: the other tasks can do without. */
export class MissingSplitError extends RelufyError {}

/** The split whose documents are scored: the test split where there is one, as in lm-evaluation-harness. */
export function evaluatedSplit(task: TaskConfig): Split {
  const split = task.test_split ?? task.validation_split;
  if (split != null) return split;
  throw new MissingSplitError(
    'option',
    `${task.task}: expected a test_split or validation_split, got none. Add one, or choose a split with --split ${task.task}=NAME.`,
  );
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

/** What documents are for: another split may be scored at once, examples are a matter of the task. */
export type DocsUse = 'scored' | 'few-shot';

/**
 * The documents of a split.
 * @throws MissingSplitError when no file holds the split, saying what was looked for.
 */
export async function loadDocs(
  task: TaskConfig,
  split: Split,
  source: DataSource,
  use: DocsUse = 'scored',
): Promise<Doc[]> {
  const paths = isOnHub(task, source)
    ? await hubFilesOf(task, split, source, use)
    : [await findFile(task, split, source, use)];
  const docs: Doc[] = [];
  for (const path of paths)
    for (const doc of await readDocs(path, { header: task.dataset_kwargs?.header !== false })) docs.push(doc);
  if (docs.length === 0)
    throw new RelufyError('input', `${task.task}: expected documents in ${paths.join()}, got none. Check the data.`);
  return task.process_docs === undefined
    ? docs
    : processor(`${task.task} "process_docs"`, task.process_docs.name, 'docs')(docs);
}

const isOnHub = ({ dataset_path: path, dataset_kwargs: given }: TaskConfig, { folder, hub }: DataSource): boolean =>
  folder === undefined && hub !== false && given?.data_files === undefined && parseHubId(path ?? '') !== undefined;

const fewshotRemedy = (other: string): string =>
  `Few-shot examples come from it: ${other}, or use --num-fewshot 0, or name another "fewshot_split" in a copy of the task file.`;

async function hubFilesOf(
  task: TaskConfig,
  split: Split,
  { hub }: DataSource,
  use: DocsUse,
): Promise<readonly string[]> {
  const { dataset_path: id = '', dataset_name: name } = task;
  let listed: readonly string[] = [];
  const wanted = (paths: readonly string[]) => {
    listed = paths;
    return splitFiles(paths, name ?? undefined, split);
  };
  const found = await hubDataFiles(id, wanted, hub === false ? {} : hub);
  if (found.length > 0) return found;
  const remedy =
    use === 'few-shot'
      ? fewshotRemedy('download the data and name its folder with --data')
      : `Choose another with --split ${task.task}=NAME, or download the data and name its folder with --data.`;
  const known = listed.filter((path) => dataPattern.test(path));
  throw new MissingSplitError(
    'input',
    `${task.task}: expected the split ${show(split)}${name ? ` of ${show(name)}` : ''} in the data set ${show(id)}, got ${known.length > 0 ? showNames(known) : 'no data files'}. ${remedy}`,
  );
}

const dataPattern = /\.(parquet|jsonl|json|csv)(\.gz)?$/;
const spellings: Readonly<Record<string, readonly string[]>> = { validation: ['validation', 'valid', 'val', 'dev'] };

/**
 * The files of a data set's repository that hold a split of a subset, shards in order: `NAME/SPLIT-00000-of-00002.parquet`,
 * `data/SPLIT.jsonl`, `NAME_SPLIT.csv` and the like. Parquet where there are several formats.
 */
export function splitFiles(paths: readonly string[], name: string | undefined, split: Split): string[] {
  const subset = name === 'default' ? undefined : name;
  const of = (file: string) => new RegExp(`^(?:.*[-_.])?(?:${file})(?:[-_.].*)?$`, 'i');
  const splits = of((spellings[split] ?? [split]).map(escaped).join('|'));
  const fits = (path: string): boolean => {
    const parts = path.split('/');
    const file = (parts.at(-1) as string).replace(dataPattern, '');
    const folders = parts.slice(0, -1);
    if (!dataPattern.test(path) || !(splits.test(file) || splits.test(folders.at(-1) ?? ''))) return false;
    return subset === undefined || folders.includes(subset) || of(escaped(subset)).test(file);
  };
  const fitting = paths.filter(fits);
  const [format] = ['parquet', 'jsonl', 'json', 'csv'].filter((one) =>
    fitting.some((path) => path.includes(`.${one}`)),
  );
  return fitting.filter((path) => path.includes(`.${format}`)).sort();
}

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');

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
    [last, name, split].filter((part) => part !== undefined).join('__'),
    [last, split].join('__'),
    ...(name === undefined ? [] : [`${name}__${split}`]),
    [last, name, split].filter((part) => part !== undefined).join('/'),
    ...(name === undefined ? [] : [`${name}/${split}`]),
    ...(task.local_files?.[split] ?? []),
    split,
  ];
  return stems.flatMap((stem) => {
    const path = join(folder, stem);
    return stem.includes('#') || dataExtensions.some((extension) => stem.endsWith(extension))
      ? [path, `${path}.gz`]
      : dataExtensions.flatMap((extension) => [`${path}${extension}`, `${path}${extension}.gz`]);
  });
}

async function findFile(task: TaskConfig, split: Split, { folder }: DataSource, use: DocsUse): Promise<string> {
  const looked = candidates(task, split, folder);
  for (const path of looked) if (await exists(path)) return path;
  const missing = (remedy: string): MissingSplitError =>
    new MissingSplitError(
      'input',
      `${task.task}: expected the split ${show(split)} of ${show(task.dataset_path ?? task.task)} in ${folder === undefined ? 'a data folder' : show(folder)}${looked[0] ? `, as ${show(looked[0].slice((folder?.length ?? -1) + 1))} for example` : ''}, got no such file. ${remedy}`,
    );
  if (use === 'few-shot') throw missing(fewshotRemedy('add the file'));
  const others = [task.training_split, task.validation_split, task.test_split].filter(
    (other): other is string => other != null && other !== split,
  );
  const present: string[] = [];
  for (const other of others)
    for (const path of candidates(task, other, folder))
      if (!present.includes(other) && (await exists(path))) present.push(other);
  const remedy =
    present.length > 0
      ? `There is ${present.join(' and ')}: choose it with --split ${task.task}=${present.at(-1)}.`
      : 'Name the folder that holds the data with --data.';
  throw missing(remedy);
}

async function exists(path: string): Promise<boolean> {
  const [archive, member] = path.split('#') as [string, string | undefined];
  const there = await stat(archive).then(
    (found) => found.isFile(),
    () => false,
  );
  return there && (member === undefined || (await openArchive(archive)).has(member));
}
