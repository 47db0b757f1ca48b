// What the commands that make sparsity plans share: the text as ids, percentages, and the folder that is written. Does not
// own what is in a plan (@relufy/predictor).
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toWriteError } from '@relufy/checkpoint/node';
import { fingerprint, type ModelFiles, planModel, readTokenizer } from '@relufy/models';
import { type PlanDraft, planContents } from '@relufy/predictor';
import { RelufyError } from '@relufy/tensor';
import { usageError } from './failure.js';
import { numberOf } from './options.js';
import { type openText, sequencesOf, textIds, whileWanted } from './text-ids.js';

/** The first ids of a text, by the model's tokenizer. */
export async function firstTokenIds(
  files: ModelFiles,
  text: Awaited<ReturnType<typeof openText>>,
  most: number,
  signal: AbortSignal,
): Promise<readonly number[]> {
  const tokenizer = await readTokenizer(files, signal);
  if (tokenizer === undefined)
    throw new RelufyError(
      'input',
      `${files.name}: expected a tokenizer.json (or vocab.json and merges.txt) beside the weights, got none. Add the files.`,
    );
  const pieces = textIds(whileWanted(text(), signal), async (...asked) => tokenizer.encode(...asked));
  for await (const ids of sequencesOf(pieces, most, most)) return ids;
  return [];
}

/** Of the weights that a plan is made for: what a journal is kept by. */
export async function fingerprintOf(files: ModelFiles, signal: AbortSignal): Promise<string> {
  const { spec, checkpoint, close } = await planModel(files, { signal });
  return fingerprint(spec, checkpoint, signal).finally(close);
}

/** The files of a plan into a folder. */
export async function writePlan(folder: string, draft: PlanDraft): Promise<void> {
  for (const [name, content] of await planContents(draft)) {
    const path = join(folder, name);
    await writeFile(path, content).catch(toWriteError(path));
  }
}

/** Before anything long is done for it. */
export async function refuseExisting(path: string): Promise<void> {
  const exists = await stat(path).then(
    () => true,
    () => false,
  );
  if (exists) throw usageError(`--out: expected a folder that does not exist yet, got ${JSON.stringify(path)}.`);
}

/** An option such as 1%, as a share. */
export const percentOf =
  (option: string) =>
  (text: string): number =>
    numberOf(option, text.replace(/\s*%$/, ''), {
      fits: (value) => value > 0,
      expected: 'a number of percent above 0',
    }) / 100;
