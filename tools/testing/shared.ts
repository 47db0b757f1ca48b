// Where the fixtures beside the checkout lie (`../shared`), and how a test says that it needs them.
// Without them such a test is skipped, with that reason in its name.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'vitest';

const root = fileURLToPath(new URL('../../../shared/', import.meta.url));

/** The absolute path of a fixture, for example `shared('golden/llama-relu')`. */
export const shared = (path: string): string => `${root}${path}`;

/** `describe`, skipped by name where the fixture is missing; the body, which may read it, is not called then. */
export function describeShared(name: string, fixture: string, body: () => void): void {
  if (existsSync(shared(fixture))) describe(name, body);
  else it.skip(`${name} (skipped: ../shared/${fixture} is missing)`);
}
