// Other runtimes that Relufy is tried in: exact versions, from packages of npm that bring a program without an install
// script. Owns versions and fetching.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './staged-clone.mjs';

/** The newest of each line of Node that was tried. */
export const nodes = { 20: '20.20.2', 22: '22.23.5', 24: '24.22.3' };

export const runtimes = {
  bun: { package: '@oven/bun-linux-x64', version: '1.4.5', program: 'bin/bun', args: ['run'] },
  deno: {
    package: '@deno/linux-x64-glibc',
    version: '2.9.6',
    program: 'deno',
    args: ['run', '--allow-all', '--node-modules-dir=manual'],
  },
};

/** Installs a package into a folder of its own. @returns the path of its program. */
export function fetchProgram(folder, name, version, program) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies: { [name]: version } }));
  run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], folder);
  return join(folder, 'node_modules', name, program);
}
