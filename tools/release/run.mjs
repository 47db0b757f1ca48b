// `pnpm release --dry-run [--only STEP,...] [--keep]`: everything that a release does short of publishing, in a clone of
// the last commit, so that the working tree stays as it is; then what would be published.
// Owns the order of the steps and the report. What a step does: staged-clone.mjs, packed-checks.mjs, projects.mjs.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { checkChangelog, checkInventory, checkManifests, checkSizes } from './packed-checks.mjs';
import { installEverywhere, otherRuntimes } from './projects.mjs';
import { buildAndPack, root, runChecks, stageClone } from './staged-clone.mjs';

const { values: options } = parseArgs({
  options: {
    'dry-run': { type: 'boolean', default: false },
    only: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
if (!options['dry-run'])
  throw new Error(
    'pnpm release: expected --dry-run. Publishing takes an account of the registry: tools/release/README.md has the commands.',
  );

/** Each gets the release so far, adds to it, and gives lines for the report; what is wrong it throws. */
const steps = {
  version: stageClone,
  pack: buildAndPack,
  manifests: checkManifests,
  sizes: checkSizes,
  changelog: checkChangelog,
  inventory: checkInventory,
  install: installEverywhere,
  runtimes: otherRuntimes,
  checks: runChecks,
};
const always = ['version', 'pack'];
const wanted = options.only?.split(',') ?? Object.keys(steps);
const unknown = wanted.find((name) => steps[name] === undefined);
if (unknown !== undefined)
  throw new Error(`pnpm release --only: expected ${Object.keys(steps).join(', ')}, got ${unknown}.`);

const before = gitStatus();
const failures = [];
const release = { folder: undefined, packages: [], failures };
try {
  for (const [name, step] of Object.entries(steps)) {
    if (!always.includes(name) && !wanted.includes(name)) continue;
    const began = performance.now();
    try {
      const lines = await step(release);
      console.log(`${name} (${((performance.now() - began) / 1000).toFixed(0)} s)`);
      for (const line of lines) console.log(`  ${line}`);
    } catch (error) {
      failures.push(`${name}: ${error.message}`);
      console.log(`${name}: FAILED\n  ${error.message.replaceAll('\n', '\n  ')}`);
      if (always.includes(name)) break;
    }
  }
} finally {
  if (release.folder !== undefined && !options.keep) rmSync(release.folder, { recursive: true, force: true });
  else console.log(`kept: ${release.folder}`);
}
if (gitStatus() !== before) failures.push('the working tree is not as it was before');

if (failures.length === 0) {
  console.log('\nwould be published, in this order:');
  for (const { name, version, packed, sha } of release.packages)
    console.log(`  ${name}@${version}  ${kilobytes(packed)}  sha512 ${sha.slice(0, 16)}...`);
} else {
  console.log(`\nnothing could be published:\n${failures.map((line) => `  ${line.split('\n')[0]}`).join('\n')}`);
  process.exitCode = 1;
}

function gitStatus() {
  return spawnSync('git', ['status', '--porcelain'], { cwd: root, encoding: 'utf8' }).stdout;
}

function kilobytes(bytes) {
  return `${(bytes / 1000).toFixed(0)} kB`;
}
