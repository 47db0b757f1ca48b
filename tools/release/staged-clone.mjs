// The release as a clone in a temporary folder: versions raised by changesets, built, packed; and the repository's own
// checks of packages and bundlers, run there. Owns the clone; reads nothing of what is packed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

export const root = fileURLToPath(new URL('../../', import.meta.url));
const { packageManager } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));

/** The environment without what pnpm told its scripts; a user's own settings of the registry stay. */
export const plainEnvironment = Object.fromEntries(
  Object.entries(process.env).filter(
    ([key]) => !/^p?npm_/i.test(key) || /^npm_config_(registry|userconfig|cache|cafile|.*proxy)$/i.test(key),
  ),
);

/** Runs a command and gives its output; throws with its last lines where it fails. */
export function run(command, args, cwd, extra = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...plainEnvironment, ...extra },
  });
  if (status === 0) return stdout;
  const said = `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n').slice(-25).join('\n');
  throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `exit code ${status}`}\n${said}`);
}

const pnpm = (args, cwd) => run('npx', ['-y', packageManager, ...args], cwd);

/** A clone of the last commit, with the versions of the release. */
export async function stageClone(release) {
  release.folder = mkdtempSync(join(tmpdir(), 'relufy-release-'));
  release.clone = join(release.folder, 'repository');
  run('git', ['clone', '--quiet', '--no-hardlinks', root, release.clone], release.folder);
  pnpm(['install', '--frozen-lockfile', '--prefer-offline'], release.clone);
  const waiting = readdirSync(join(release.clone, '.changeset')).filter(
    (file) => file.endsWith('.md') && file !== 'README.md',
  );
  if (waiting.length === 0) throw new Error('.changeset: expected a change to release, found none.');
  pnpm(['exec', 'changeset', 'version'], release.clone);
  run(process.execPath, ['packages/native/scripts/describe-packages.mjs'], release.clone);
  const uncommitted = run('git', ['status', '--porcelain'], root).trim().split('\n').filter(Boolean).length;
  return [
    `${waiting.length} changes, of ${run('git', ['rev-parse', '--short', 'HEAD'], root).trim()}`,
    ...(uncommitted > 0 ? [`${uncommitted} files of the working tree are not committed, and not in it`] : []),
  ];
}

/** Builds, takes the binaries that package:native has made here, and packs every package that is not private. */
export async function buildAndPack(release) {
  pnpm(['build'], release.clone);
  const lacking = takeBinaries(release.clone);
  const tarballs = join(release.folder, 'tarballs');
  mkdirSync(tarballs);
  const groups = ['{packages/*}', '{apps/*}', '{packages/native/npm/*}'].flatMap((group) => ['--filter', group]);
  pnpm(['--recursive', ...groups, 'pack', '--pack-destination', tarballs], release.clone);
  release.packages = inOrder(readdirSync(tarballs).map((file) => describeTarball(join(tarballs, file))));
  // the other steps are of use all the same
  if (lacking.length > 0)
    release.failures.push(
      `binaries: expected all of these sources, ${lacking.length} are not. Run \`pnpm --filter @relufy/native package:native\`.`,
    );
  return [`${release.packages.length} tarballs`, ...lacking];
}

/** Copies the binaries of the platforms. @returns what is wrong with them: lacking, or made of other sources. */
function takeBinaries(clone) {
  const record = `${root}packages/native/prebuilds/built.json`;
  const built = existsSync(record) ? JSON.parse(readFileSync(record, 'utf8')) : {};
  run(process.execPath, ['packages/native/scripts/generate-ops.mjs'], clone);
  const script = "import('./packages/native/scripts/compile.mjs').then((m) => console.log(m.sourceHash()))";
  const sources = run(process.execPath, ['-e', script], clone).trim();
  return readdirSync(`${clone}/packages/native/npm`).flatMap((name) => {
    const from = `${root}packages/native/npm/${name}/relufy.node`;
    if (existsSync(from)) copyFileSync(from, `${clone}/packages/native/npm/${name}/relufy.node`);
    const made = built[name]?.sources;
    return made === sources
      ? []
      : [`@relufy/native-${name}: the binary is ${made ? `of other sources (${made})` : 'not built'}`];
  });
}

/** What is inside a tarball: its manifest, its files with their sizes, and its hash. */
function describeTarball(path) {
  const bytes = readFileSync(path);
  const files = new Map(tarEntries(gunzipSync(bytes)));
  const manifest = JSON.parse(files.get('package/package.json').toString());
  return {
    name: manifest.name,
    version: manifest.version,
    path,
    packed: statSync(path).size,
    unpacked: [...files.values()].reduce((sum, file) => sum + file.length, 0),
    sha: createHash('sha512').update(bytes).digest('base64'),
    manifest,
    files: [...files.keys()].map((file) => file.replace(/^package\//, '')),
  };
}

/** Of a tar archive as npm writes it (ustar): names and contents of its files. */
function* tarEntries(tar) {
  const field = (at, length) => tar.toString('latin1', at, at + length).replace(/\0.*$/s, '');
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(field(at + 124, 12).trim(), 8);
    const [prefix, name] = [field(at + 345, 155), field(at, 100)];
    const isFile = tar[at + 156] === 0x30 || tar[at + 156] === 0;
    if (isFile) yield [prefix ? `${prefix}/${name}` : name, tar.subarray(at + 512, at + 512 + size)];
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

/** A package after what it depends on, so that none is ever published whose dependencies are not there. */
function inOrder(packages) {
  const left = new Map(packages.map((one) => [one.name, one]));
  const ordered = [];
  const take = (name) => {
    const one = left.get(name);
    if (one === undefined) return;
    left.delete(name);
    const { dependencies, optionalDependencies } = one.manifest;
    for (const dependency of Object.keys({ ...dependencies, ...optionalDependencies })) take(dependency);
    ordered.push(one);
  };
  for (const { name } of packages) take(name);
  return ordered;
}

/** The repository's checks and its bundlers, on the packages with the versions of the release. */
export async function runChecks(release) {
  const bundlers = existsSync(`${root}tools/bundlers/node_modules`);
  if (bundlers) run('npm', ['ci', '--prefer-offline'], join(release.clone, 'tools/bundlers'));
  const said = run(process.execPath, ['tools/test.mjs', 'tools/checks', 'tools/bundlers'], release.clone);
  return [
    said.trim().split('\n').at(-1),
    ...(bundlers
      ? []
      : ['of the bundlers only esbuild and Vite: the others are not installed (tools/bundlers/README.md)']),
  ];
}
