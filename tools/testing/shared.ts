// Where the fixtures beside the checkout lie (`../shared`, or the folder that RELUFY_SHARED names), and how a test says
// that it needs them. What is not there is looked for in tools/goldens, which has smaller cases of the same layout, made
// by a script. Where neither has it, the test is skipped, with that reason in its name.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'vitest';

const beside = process.env.RELUFY_SHARED ?? fileURLToPath(new URL('../../../shared', import.meta.url));
const own = fileURLToPath(new URL('../goldens', import.meta.url));

const bundled = fileURLToPath(new URL('../../packages/llama-tales/model', import.meta.url));

/** The absolute path of a fixture, for example `shared('golden/llama-relu')`. */
export function shared(path: string): string {
  const larger = `${beside}/${path}`;
  if (existsSync(larger)) return larger;
  // the bundled model is part of the repository
  return path.startsWith('models/llama-tales')
    ? `${bundled}${path.slice('models/llama-tales'.length)}`
    : `${own}/${path}`;
}

/** `describe`, skipped by name where the fixture is missing; the body, which may read it, is not called then. */
export function describeShared(name: string, fixture: string, body: () => void): void {
  if (existsSync(shared(fixture))) describe(name, body);
  else it.skip(`${name} (skipped: ../shared/${fixture} is missing)`);
}
