// The published packages as users get them: packed, once for all test files of a run, and installed by npm into a folder
// outside the workspace.
// Asks the registry, for the dependencies of our packages.
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packages, root } from './workspace.js';

export const published = packages.filter(({ manifest }) => !manifest.private);
const tarballName = (name: string): string => `${name.replace('@', '').replace('/', '-')}-`;

/** The environment without what pnpm told its scripts; a user's own npm settings stay. */
const npmEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      ([key]) => !/^p?npm_/i.test(key) || /^npm_config_(registry|userconfig|cache|cafile|.*proxy)$/i.test(key),
    ),
  );

/** Runs a command as a user would. @returns its standard output. */
export function run(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error }: SpawnSyncReturns<string> = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: npmEnvironment(),
  });
  if (status !== 0)
    throw new Error(`${command} ${args.join(' ')}: ${error ?? `exit code ${status}`}\n${stdout}${stderr}`);
  return stdout;
}

function pack(destination: string): void {
  const { npm_execpath: packageManager = '' } = process.env;
  const args = [
    '--recursive',
    '--filter',
    '{packages/*}',
    '--filter',
    '{apps/*}',
    '--filter',
    '{packages/native/npm/*}',
    'pack',
    '--pack-destination',
    destination,
  ];
  if (/pnpm[^/\\]*$/.test(packageManager)) run(process.execPath, [packageManager, ...args], root);
  else run('npx', ['-y', JSON.parse(readFileSync(`${root}package.json`, 'utf8')).packageManager, ...args], root);
}

/** The folder with all tarballs: made by the test file that asks first, waited for by the others. */
function packedOnce(): string {
  const folder = join(process.env.RELUFY_RUN_FOLDER as string, 'packed');
  const outcome = join(folder, 'outcome.txt');
  try {
    mkdirSync(folder);
  } catch {
    const asleep = new Int32Array(new SharedArrayBuffer(4));
    for (let waited = 0; !existsSync(outcome); waited += 200) {
      if (waited > 150_000) throw new Error(`pnpm pack: expected it done by another test file in 150 s, got nothing.`);
      Atomics.wait(asleep, 0, 0, 200);
    }
    const said = readFileSync(outcome, 'utf8');
    if (said !== '') throw new Error(said);
    return folder;
  }
  try {
    pack(folder);
    writeFileSync(outcome, '');
    return folder;
  } catch (error) {
    writeFileSync(outcome, (error as Error).message);
    throw error;
  }
}

/** Packs everything into a folder and installs it there. @returns the tarball of each package. */
export function installPacked(folder: string): ReadonlyMap<string, string> {
  cpSync(packedOnce(), folder, { recursive: true, filter: (file) => !file.endsWith('outcome.txt') });
  const files = readdirSync(folder);
  const tarballs = new Map(
    published.map(({ name }) => {
      const file = files.find((candidate) => new RegExp(`^${tarballName(name)}\\d`).test(candidate));
      if (!file) throw new Error(`pnpm pack: expected a tarball of ${name}, got ${files.join(', ')}.`);
      return [name, join(folder, file)] as const;
    }),
  );
  const dependencies = Object.fromEntries([...tarballs].map(([name, file]) => [name, `file:${file}`]));
  // npm takes the one that fits, with or without its binary, and asks the registry for none
  const optionalDependencies = Object.fromEntries(
    files.flatMap((file) => {
      const platform = /^relufy-native-((?:linux|darwin|win32)-.*)-\d+\.\d+\.\d+\.tgz$/.exec(file)?.[1];
      return platform === undefined ? [] : [[`@relufy/native-${platform}`, `file:${join(folder, file)}`]];
    }),
  );
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'outside', private: true, type: 'module', dependencies, optionalDependencies }),
  );
  run(
    'npm',
    ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'],
    folder,
  );
  return tarballs;
}
