// The files of a report into a folder: each whole or not at all, each chart as SVG and PNG. Does not own what is in them
// (@relufy/sparsity, @relufy/eval).
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { withPngs } from '@relufy/charts/png';
import { writeAtomically } from '@relufy/checkpoint/node';
import { refuseReport } from '@relufy/eval';
import { RelufyError } from '@relufy/tensor';
import { print } from './output.js';

const page = 'report.html';

/**
 * Before anything long is done for it.
 * @throws RelufyError `io` when the folder cannot be made, `option` when it holds a report and `force` is not given.
 */
export async function makeFolder(folder: string, { force = false } = {}): Promise<void> {
  if (!force) refuseReport(folder, { remedy: 'Name another folder, or write over it with --force.' });
  await mkdir(folder, { recursive: true }).catch((error: Error) => {
    throw new RelufyError('io', `--out: expected a folder to write to, got ${error.message}. Name another.`, {
      cause: error,
    });
  });
}

/** Says where the page is. It comes last: a folder that holds it holds all. */
export async function writeReport(folder: string, files: ReadonlyMap<string, string>): Promise<void> {
  await makeFolder(folder, { force: true });
  const all = [...(await withPngs(files))];
  const isPage = ([name]: (typeof all)[number]) => name === page;
  for (const [name, content] of [...all.filter((file) => !isPage(file)), ...all.filter(isPage)])
    await writeAtomically(join(folder, name), content);
  print(join(folder, page));
}
