// The packages of the workspace and their source files, as the checks see them: read from disk, nothing written down.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The repository, ending in `/`. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

export interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly exports?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

export interface Package {
  /** Its npm name. */
  readonly name: string;
  /** Relative to the repository: `packages/tensor`. */
  readonly folder: string;
  readonly manifest: Manifest;
}

export const readManifest = (folder: string): Manifest =>
  JSON.parse(readFileSync(`${root}${folder}/package.json`, 'utf8')) as Manifest;

export const packages: readonly Package[] = ['packages', 'apps']
  .flatMap((group) => readdirSync(root + group).map((name) => `${group}/${name}`))
  .filter((folder) => existsSync(`${root}${folder}/package.json`))
  .map((folder) => {
    const manifest = readManifest(folder);
    return { name: manifest.name, folder, manifest };
  });

/** Every file that git tracks or would track, relative to the repository. */
export const repositoryFiles: readonly string[] = execFileSync(
  'git',
  ['ls-files', '--cached', '--others', '--exclude-standard', '-z'],
  { cwd: root, encoding: 'utf8' },
)
  .split('\0')
  .filter((file) => file !== '' && existsSync(root + file));

/** The TypeScript and JavaScript of a package that ships or is compiled into what ships. */
export function sourceFiles(folder: string): readonly string[] {
  const inside = repositoryFiles.filter((file) => file.startsWith(`${folder}/`));
  const source = inside.filter((file) => file.startsWith(`${folder}/src/`) && file.endsWith('.ts'));
  return source.length > 0 ? source : inside.filter((file) => file.endsWith('.js'));
}

/** Tests, and what only tests use. */
export const isTest = (file: string): boolean => file.endsWith('.test.ts') || file.includes('/testing/');
