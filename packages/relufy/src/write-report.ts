// The files of a report into a folder: each whole or not at all, each chart as SVG and PNG. Does not own what is in them
// (@relufy/sparsity, @relufy/eval).
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withPngs } from '@relufy/sparsity/png';

/** Says where the page is. */
export async function writeReport(folder: string, files: ReadonlyMap<string, string>): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of await withPngs(files)) {
    const path = join(folder, name);
    await writeFile(`${path}.tmp`, content);
    await rename(`${path}.tmp`, path);
  }
  process.stdout.write(`${join(folder, 'report.html')}\n`);
}
