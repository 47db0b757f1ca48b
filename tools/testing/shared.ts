// Where the fixtures beside the checkout lie (`../shared`, or the folder that RELUFY_SHARED names), and how a test says
// that it needs them. What is not there is looked for in tools/goldens, which has smaller cases of the same layout, made
// by a script. Where neither has it, the test is skipped, with that reason in its name.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'vitest';

const beside = process.env.RELUFY_SHARED ?? fileURLToPath(new URL('../../../shared', import.meta.url));
const own = fileURLToPath(new URL('../goldens', import.meta.url));

/** Models that are part of the repository. */
const packaged: Readonly<Record<string, string>> = {
  'models/llama-tales': fileURLToPath(new URL('../../packages/llama-tales/model', import.meta.url)),
  'models/smollm2-135m-instruct': fileURLToPath(new URL('../../packages/smollm2-135m-instruct/model', import.meta.url)),
};

/** The absolute path of a fixture, for example `shared('golden/llama-relu')`. */
export function shared(path: string): string {
  const larger = `${beside}/${path}`;
  if (existsSync(larger)) return larger;
  const [model, folder] = Object.entries(packaged).find(([name]) => path === name || path.startsWith(`${name}/`)) ?? [];
  const part = model === undefined ? undefined : `${folder}${path.slice(model.length)}`;
  // what is said of a packaged model does not lie with it
  return part !== undefined && existsSync(part) ? part : `${own}/${path}`;
}

/** `describe`, skipped by name where the fixture is missing; the body, which may read it, is not called then. */
export function describeShared(name: string, fixture: string, body: () => void): void {
  if (existsSync(shared(fixture))) describe(name, body);
  else it.skip(`${name} (skipped: ../shared/${fixture} is missing)`);
}
