// The packages of the workspace and their source files, as the checks see them: read from disk, nothing written down.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The repository, ending in `/`. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

/** What stands under a path in `exports`: a file, or conditions, each with one again. */
export type Conditional = string | { readonly [condition: string]: Conditional };

export interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly exports?: Readonly<Record<string, Conditional>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
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

/** The packages whose `.` entries run in browsers too. */
export const browserPackages: readonly string[] = [
  '@relufy/tensor',
  '@relufy/kernels',
  '@relufy/checkpoint',
  '@relufy/tokenizer',
  '@relufy/models',
  '@relufy/llama-tales',
  '@relufy/smollm2-135m-instruct',
  'relufy',
  '@relufy/ai-provider',
];

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
  const source = inside.filter((file) => file.startsWith(`${folder}/src/`) && /\.tsx?$/.test(file));
  return source.length > 0 ? source : inside.filter((file) => file.endsWith('.js'));
}

/** Tests, and what only tests use. */
export const isTest = (file: string): boolean => file.endsWith('.test.ts') || file.includes('/testing/');

/** What stands in `exports` leads to under these conditions: the first that holds, as Node and bundlers take it. */
export function resolveExport(entry: Conditional | undefined, conditions: readonly string[]): string | undefined {
  if (entry === undefined || typeof entry === 'string') return entry;
  for (const [condition, below] of Object.entries(entry)) {
    const holds = condition === 'default' || conditions.includes(condition);
    const found = holds ? resolveExport(below, conditions) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}
