// Runs the mutation tests with 100,000 files a format (or as many as asked), as many configs, tokenizers and
// chat templates, and a 25th of them answers of a hub, some minutes in all: node testing/fuzz.mjs [COUNT] [PART OF A PATH, such as config-fuzz or hub-fuzz]
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const vitest = join(dirname(createRequire(join(root, 'package.json')).resolve('vitest/package.json')), 'vitest.mjs');
const paths = process.argv[3]
  ? [process.argv[3]]
  : ['packages/checkpoint', 'packages/models/src/loading/config-fuzz', 'packages/tokenizer/src/fuzz'];
const { status } = spawnSync(process.execPath, [vitest, 'run', ...paths, '-t', 'a mutated'], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, RELUFY_FUZZ: process.argv[2] ?? '100000' },
});
process.exit(status ?? 1);
