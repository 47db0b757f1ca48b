// Bytes as a file whose rows are read in steps, for tests; the file goes when it is closed.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { openRowFile } from '../../packages/checkpoint/dist/node.js';
import type { RowFile } from '../../packages/tensor/dist/index.js';

export function rowFileOf(bytes: Uint8Array): RowFile {
  const path = join(mkdtempSync(join(tmpdir(), 'relufy-rows-')), 'rows');
  writeFileSync(path, bytes);
  const file = openRowFile(path);
  return {
    ...file,
    close: () => {
      file.close();
      rmSync(dirname(path), { recursive: true });
    },
  };
}
