// The manifest and the README of every platform's package (npm/NAME/), from the facts in targets.mjs and tried.mjs: written by
// `pnpm --filter @relufy/native describe:packages`, held by platform-packages.test.ts. The binary beside them is
// package-native.mjs's, and not in git.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { instructionSets, targets } from './targets.mjs';
import { tried } from './tried.mjs';

const folder = fileURLToPath(new URL('../', import.meta.url));
const { version, license, engines } = JSON.parse(readFileSync(`${folder}package.json`, 'utf8'));

/** File name -> text, relative to packages/native. */
export function describedPackages() {
  return new Map(
    Object.entries(targets).flatMap(([name, target]) => [
      [`npm/${name}/package.json`, manifest(name, target)],
      [`npm/${name}/README.md`, readme(name, target)],
    ]),
  );
}

function manifest(name, { os, cpu, libc, system }) {
  const content = {
    name: `@relufy/native-${name}`,
    version,
    description: `The binary of @relufy/native for ${system} on ${cpu}.`,
    license,
    engines,
    os: [os],
    cpu: [cpu],
    ...(libc === undefined ? {} : { libc: [libc] }),
    files: ['relufy.node', 'README.md'],
    exports: { './relufy.node': './relufy.node', './package.json': './package.json' },
    publishConfig: { access: 'public', provenance: true },
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

function readme(name, { cpu, system, libc }) {
  const sets = Object.keys(instructionSets[cpu]).join(', ');
  return `# @relufy/native-${name}

The kernels of [@relufy/native](https://www.npmjs.com/package/@relufy/native), compiled for ${system} or newer on ${cpu}.
It is an optional dependency of that package: npm installs it where it fits${libc === undefined ? '' : ` (os, cpu and libc)`}, and there is nothing to import here.

Instruction sets inside, of which the fastest that the processor has is taken when it is loaded: ${sets}.

## What was tried

${tried[name]}

The same binary comes of the same sources: \`pnpm --filter @relufy/native package:native ${name} --twice\` compiles it with
zig's C++ compiler, which runs on every system, and says its SHA-256.
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const [file, text] of describedPackages()) {
    mkdirSync(path.dirname(folder + file), { recursive: true });
    writeFileSync(folder + file, text);
  }
