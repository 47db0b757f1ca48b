// Runs a turbo task over the workspace: `node tools/run.mjs TASK [--quiet]`. Telemetry off; --quiet says on the error
// stream what is built (build-progress.mjs), and what a package said only where it failed.
// Owns one shortcut for `chat`: where nothing that a build reads is newer than the last build (the time of
// .turbo/built), turbo is not asked, which saves a third of a second. Folders count too: their time tells of files that
// came or went.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { buildProgress, failedLines } from './build-progress.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const built = `${root}.turbo/built`;
const [task, ...flags] = process.argv.slice(2);
const quiet = flags.includes('--quiet');
if (task === 'build' && quiet && isFresh()) process.exit(0);

const started = new Date();
const turbo = createRequire(import.meta.url).resolve('turbo/bin/turbo');
const child = spawn(process.execPath, [turbo, 'run', task, '--output-logs=new-only'], {
  cwd: root,
  stdio: ['ignore', quiet ? 'pipe' : 'inherit', 'inherit'],
  env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1', TURBO_NO_UPDATE_NOTIFIER: '1' },
});
const lines = [];
const progress = buildProgress(process.stderr, { first: !existsSync(built), total: packagesToBuild().length });
const ticking = setInterval(progress.tick, 1000);
if (child.stdout)
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    progress.hear(line);
  });
child.on('error', (error) => {
  process.stderr.write(`turbo: ${error.message}\n`);
  process.exit(1);
});
child.on('close', (status) => {
  clearInterval(ticking);
  if (quiet) progress.end(status === 0);
  if (status !== 0)
    process.stderr.write(
      failedLines(lines)
        .map((line) => `${line}\n`)
        .join(''),
    );
  else if (task === 'build') {
    mkdirSync(`${root}.turbo`, { recursive: true });
    writeFileSync(built, '');
    utimesSync(built, started, started);
  }
  process.exitCode = status ?? 1;
});

function packageFolders() {
  return ['packages', 'apps'].flatMap((group) => readdirSync(root + group).map((name) => `${root}${group}/${name}`));
}

function packagesToBuild() {
  return packageFolders().filter((folder) => {
    const manifest = `${folder}/package.json`;
    return existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).scripts?.[task] !== undefined;
  });
}

function isFresh() {
  if (!existsSync(built)) return false;
  const since = statSync(built).mtimeMs;
  const written = new Set(['dist', 'node_modules', '.turbo', 'generated', 'model']);
  const isOld = (path) =>
    statSync(path).mtimeMs < since &&
    (!statSync(path).isDirectory() || readdirSync(path).every((name) => written.has(name) || isOld(`${path}/${name}`)));
  const packages = packageFolders();
  return (
    ['package.json', 'pnpm-lock.yaml', 'turbo.json', 'tsup.base.ts', 'tsconfig.base.json'].every((file) =>
      isOld(root + file),
    ) &&
    packages.every((folder) => !existsSync(`${folder}/src`) || existsSync(`${folder}/dist`)) &&
    packages.every((folder) => readdirSync(folder).every((name) => written.has(name) || isOld(`${folder}/${name}`)))
  );
}
