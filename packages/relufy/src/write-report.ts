// The files of a report into a folder: each whole or not at all, each chart as SVG and PNG. Does not own what is in them
// (@relufy/sparsity, @relufy/eval).
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
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
    const path = join(folder, name);
    try {
      await writeFile(`${path}.tmp`, content);
      await rename(`${path}.tmp`, path);
    } catch (error) {
      await rm(`${path}.tmp`, { force: true });
      throw new RelufyError(
        'io',
        `${path}: expected to write it, got ${(error as Error).message}. Correct that and run again.`,
        { cause: error },
      );
    }
  }
  print(join(folder, 'report.html'));
}
