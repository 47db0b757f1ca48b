// Runs the mutation tests with 100,000 files a format (or as many as asked): node testing/fuzz.mjs [COUNT]
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const vitest = join(dirname(createRequire(join(root, 'package.json')).resolve('vitest/package.json')), 'vitest.mjs');
const { status } = spawnSync(process.execPath, [vitest, 'run', 'packages/checkpoint', '-t', 'a mutated file'], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, RELUFY_FUZZ: process.argv[2] ?? '100000' },
});
process.exit(status ?? 1);
