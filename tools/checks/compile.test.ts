// The whole repository is type-checked, tests and tools included, and is formatted and linted.
import { spawnSync } from 'node:child_process';
import { test } from 'vitest';
import { root } from './workspace.js';

function run(script: string, ...args: string[]): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`${root}node_modules/${script}`, ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${script} ${args.join(' ')}: exit code ${status}\n${stdout}${stderr}`);
}

test('tsc finds no type error, in tests and tools neither', () => {
  run('typescript/bin/tsc', '--project', 'tsconfig.json');
});

test('biome finds nothing to format and nothing to correct', () => {
  run('@biomejs/biome/bin/biome', 'ci', '--error-on-warnings', '--colors=off', '.');
});
