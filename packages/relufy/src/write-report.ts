// The files of a report into a folder: each whole or not at all, each chart as SVG and PNG. Does not own what is in them
// (@relufy/sparsity, @relufy/eval).
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from '@relufy/checkpoint/node';
import { withPngs } from '@relufy/sparsity/png';
import { RelufyError } from '@relufy/tensor';
import { print } from './output.js';

/** @throws RelufyError `io` when the folder cannot be made: before anything long is done for it. */
export async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((error: Error) => {
    throw new RelufyError('io', `--out: expected a folder to write to, got ${error.message}. Name another.`, {
      cause: error,
    });
  });
}

/** Says where the page is. */
export async function writeReport(folder: string, files: ReadonlyMap<string, string>): Promise<void> {
  await makeFolder(folder);
  for (const [name, content] of await withPngs(files)) {
    await writeAtomically(join(folder, name), content);
  }
  print(join(folder, 'report.html'));
}
