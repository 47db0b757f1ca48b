// Runs vitest over packages, apps and tools, hands arguments through (`pnpm test packages/tensor`), and writes what came
// out to .vitest/: results.json, and summary.txt, the one line that .ci/run ends with.
// Fails where a test failed, where a test file could not be run, and where no test ran at all.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = `${root}.vitest`;
rmSync(out, { recursive: true, force: true });
mkdirSync(out);

const vitest = `${root}node_modules/vitest/vitest.mjs`;
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${out}/results.json`];
const args = process.argv.slice(2).filter((argument) => argument !== '--');
const { status } = spawnSync(process.execPath, [vitest, 'run', ...reporters, ...args], { cwd: root, stdio: 'inherit' });

const { passed, failed, skipped, reasons } = outcome();
const ok = status === 0 && failed === 0 && passed > 0;
const summary = `${passed} passed, ${ok ? 0 : Math.max(1, failed)} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
writeFileSync(`${out}/summary.txt`, `${summary}\n`);
for (const [reason, count] of reasons) console.log(`${count} skipped: ${reason}`);
console.log(passed + failed === 0 ? `${summary}: no test ran. Name a test file, or none for all.` : summary);
process.exit(ok ? 0 : 1);

/** The tests by what became of them, and the reasons in the names of skipped ones, `... (skipped: why)`. */
function outcome() {
  let files = [];
  try {
    files = JSON.parse(readFileSync(`${out}/results.json`, 'utf8')).testResults;
  } catch {} // vitest ended before it could write, and said why
  const broken = files.filter(({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0);
  const tests = files.flatMap(({ assertionResults }) => assertionResults);
  const count = (...states) => tests.filter(({ status }) => states.includes(status)).length;
  const reasons = new Map();
  for (const { ancestorTitles, title } of tests) {
    const reason = /\(skipped: (.*)\)/.exec([...ancestorTitles, title].join(' '))?.[1];
    if (reason) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  return {
    passed: count('passed'),
    // pending: begun by a process that died before it could tell
    failed: count('failed', 'pending') + broken.length,
    skipped: count('skipped', 'todo', 'disabled'),
    reasons,
  };
}
