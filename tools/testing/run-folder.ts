// One temporary folder for a whole run of vitest, named to its test files by RELUFY_RUN_FOLDER and removed after them: what
// several of them need and takes long to make is made once there (the packed packages: tools/checks/packed.ts).
// Owns the folder; what lies in it is whoever's makes it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** vitest's `globalSetup`: runs before the workers begin, which take the variable over. @returns the end of the run. */
export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'relufy-run-'));
  process.env.RELUFY_RUN_FOLDER = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
