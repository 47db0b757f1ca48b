// `pnpm test:node [VERSION...] [-- TEST...]`: the tests, or those whose path contains one of the texts, under other versions
// of Node than this one, which packages of npm bring. Without versions: the newest of 20, 22 and 24 that were tried.
// Owns fetching Node; running tests is tools/test.mjs's.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fetchProgram, nodes } from './programs.mjs';
import { root } from './staged-clone.mjs';

const args = process.argv.slice(2);
const asked = args.filter((arg) => /^\d+(\.\d+\.\d+)?$/.test(arg));
const tests = args.filter((arg) => !asked.includes(arg) && arg !== '--');
const versions = (asked.length > 0 ? asked : Object.keys(nodes)).map((version) => nodes[version] ?? version);

const folder = path.join(root, 'build', 'nodes');
const outcomes = versions.map((version) => {
  const program = path.join(
    folder,
    `node-${version}`,
    'node_modules',
    `node-${process.platform}-${process.arch}`,
    'bin/node',
  );
  const node = existsSync(program)
    ? program
    : fetchProgram(
        path.join(folder, `node-${version}`),
        `node-${process.platform}-${process.arch}`,
        version,
        'bin/node',
      );
  console.log(`\nNode ${version}`);
  const env = { ...process.env, PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH}` };
  const { status } = spawnSync(node, ['tools/test.mjs', ...tests], { cwd: root, stdio: 'inherit', env });
  return { version, passed: status === 0 };
});
for (const { version, passed } of outcomes) console.log(`Node ${version}: ${passed ? 'passed' : 'FAILED'}`);
process.exitCode = outcomes.every(({ passed }) => passed) ? 0 : 1;
