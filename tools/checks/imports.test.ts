// Who may import whom: the import direction between packages, dependencies as declared, no cycles inside a package.
// Reads source with a real parser: static and dynamic imports, re-exports, `import('...')` types, and files of packages
// that `resolve('...')` finds.
import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join } from 'node:path/posix';
import { parseSync } from 'rolldown/utils';
import { describe, expect, test } from 'vitest';
import { isTest, packages, readManifest, repositoryFiles, root, sourceFiles } from './workspace.js';

const allBut = (...names: string[]): string[] =>
  packages.map(({ name }) => name).filter((name) => !names.includes(name));

/** What each package may import of the others. Change it together with the table in ARCHITECTURE.md. */
const mayImport: Readonly<Record<string, { statically: readonly string[]; dynamically?: readonly string[] }>> = {
  '@relufy/tensor': { statically: [] },
  '@relufy/llama-tales': { statically: [] },
  '@relufy/smollm2-135m-instruct': { statically: [] },
  '@relufy/kernels': { statically: ['@relufy/tensor'] },
  '@relufy/native': { statically: ['@relufy/tensor'] },
  '@relufy/checkpoint': { statically: ['@relufy/tensor'] },
  // for its error class
  '@relufy/tokenizer': { statically: ['@relufy/tensor'] },
  '@relufy/models': {
    statically: ['@relufy/tensor', '@relufy/checkpoint', '@relufy/tokenizer'],
    dynamically: ['@relufy/kernels', '@relufy/native'],
  },
  '@relufy/charts': { statically: [] },
  '@relufy/sparsity': { statically: ['@relufy/tensor', '@relufy/models', '@relufy/charts'] },
  '@relufy/train': {
    statically: ['@relufy/tensor', '@relufy/checkpoint', '@relufy/tokenizer', '@relufy/models', '@relufy/charts'],
  },
  '@relufy/predictor': {
    statically: [
      '@relufy/tensor',
      '@relufy/checkpoint',
      '@relufy/tokenizer',
      '@relufy/models',
      '@relufy/charts',
      '@relufy/sparsity',
      '@relufy/train',
    ],
  },
  '@relufy/chat': { statically: allBut('relufy') },
  '@relufy/eval': { statically: allBut('relufy') },
  '@relufy/server': { statically: allBut('relufy') },
  '@relufy/web': { statically: allBut('relufy') },
  relufy: { statically: allBut('@relufy/ai-provider') },
  '@relufy/ai-provider': {
    statically: [
      '@relufy/tensor',
      '@relufy/models',
      '@relufy/tokenizer',
      '@relufy/server',
      '@relufy/llama-tales',
      'relufy',
    ],
  },
};

/**
 * Source that is bundled when its package is built: what it imports is a devDependency, and no burden to whoever installs
 * the package.
 */
const bundled: Readonly<Record<string, string>> = { '@relufy/web': 'apps/web/src/page/' };

interface Import {
  readonly specifier: string;
  readonly dynamic: boolean;
  /** Gone when compiled. */
  readonly typeOnly: boolean;
}

const parsed = new Map<string, readonly Import[]>();

function importsOf(file: string): readonly Import[] {
  const known = parsed.get(file);
  if (known) return known;
  const source = readFileSync(root + file, 'utf8');
  const { module, comments, errors } = parseSync(file, source);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message}`);
  let code = source;
  for (const { start, end } of comments) code = code.slice(0, start) + ' '.repeat(end - start) + code.slice(end);
  const isType = (entries: readonly { readonly isType: boolean }[]) =>
    entries.length > 0 && entries.every((entry) => entry.isType);
  const found: Import[] = [
    ...module.staticImports.map(({ moduleRequest, entries }) => ({
      specifier: moduleRequest.value,
      dynamic: false,
      typeOnly: isType(entries),
    })),
    ...module.staticExports.flatMap(({ entries }) =>
      entries.flatMap(({ moduleRequest, isType: typeOnly }) =>
        moduleRequest ? [{ specifier: moduleRequest.value, dynamic: false, typeOnly }] : [],
      ),
    ),
    ...[...code.matchAll(/(typeof\s+)?\b(?:import|resolve)\(\s*['"]([^'"]+)['"]\s*\)/g)].map(
      ([, typeOf, specifier]) => ({
        specifier: specifier as string,
        dynamic: true,
        typeOnly: typeOf !== undefined,
      }),
    ),
  ];
  parsed.set(file, found);
  return found;
}

/** `@relufy/tensor/contract` -> `@relufy/tensor`; undefined for a file of the package itself or a Node built-in. */
function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('.') || isBuiltin(specifier)) return undefined;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** The first cycle that a depth-first walk meets. */
function findCycle(files: readonly string[]): readonly string[] | undefined {
  const known = new Set(files);
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): readonly string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const { specifier, typeOnly } of importsOf(file)) {
      if (typeOnly || !specifier.startsWith('.')) continue;
      const target = join(dirname(file), specifier).replace(/\.js$/, '.ts');
      const found = [target, `${target}x`].find((candidate) => known.has(candidate));
      const cycle = found ? visit(found, [...path, file]) : undefined;
      if (cycle) return cycle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of files) {
    const cycle = visit(file, []);
    if (cycle) return cycle;
  }
  return undefined;
}

/** Packages with a binary, which @relufy/native finds by the name of the platform (binding.ts). */
const platformPackages = readdirSync(`${root}packages/native/npm`).map((name) => `@relufy/native-${name}`);

describe.each(packages)('imports of $folder', ({ name, folder, manifest }) => {
  const files = sourceFiles(folder);

  test('go only in the direction of ARCHITECTURE.md', () => {
    const allowed = mayImport[name];
    if (!allowed)
      throw new Error(`tools/checks/imports.test.ts "mayImport": expected an entry for ${name}, found none.`);
    const wrong = files.flatMap((file) =>
      importsOf(file).flatMap(({ specifier, dynamic, typeOnly }) => {
        const target = packageOf(specifier);
        if (target === undefined || target === name || !packages.some((other) => other.name === target)) return [];
        if (allowed.statically.includes(target)) return [];
        if (allowed.dynamically?.includes(target) && (dynamic || typeOnly || isTest(file))) return [];
        return [`${file}: ${specifier}`];
      }),
    );
    expect(wrong, `${name} may import ${JSON.stringify(allowed)}`).toEqual([]);
  });

  test('are declared in package.json, and all that is declared is imported', () => {
    const { peerDependencies = {}, devDependencies = {} } = manifest;
    const dependencies = { ...manifest.dependencies, ...manifest.optionalDependencies };
    const forTests = { ...devDependencies, ...readManifest('.').devDependencies };
    const isBundled = (file: string) => file.startsWith(bundled[name] ?? '\0');
    const used = new Set<string>();
    const usedByBundle = new Set<string>();
    const undeclared = files.flatMap((file) =>
      importsOf(file).flatMap(({ specifier }) => {
        const target = packageOf(specifier);
        if (target === undefined || target === name) return [];
        if (!isTest(file)) (isBundled(file) ? usedByBundle : used).add(target);
        if (isBundled(file) && target in devDependencies) return [];
        if (target in dependencies || target in peerDependencies || (isTest(file) && target in forTests)) return [];
        return [`${file}: ${specifier}`];
      }),
    );
    expect(undeclared, 'imported, but not among the dependencies').toEqual([]);
    if (name in bundled)
      expect(
        Object.keys(devDependencies).filter((dependency) => !usedByBundle.has(dependency)),
        'among the devDependencies, but not in the bundle',
      ).toEqual([]);
    const declared = [...Object.keys(dependencies), ...Object.keys(peerDependencies)];
    expect(
      declared.filter((dependency) => !used.has(dependency) && !platformPackages.includes(dependency)),
      'among the dependencies, but imported nowhere',
    ).toEqual([]);
  });

  test('have no cycle', () => {
    expect(findCycle(files)?.join(' -> ')).toBeUndefined();
  });
});

test('tools import no file of a package but its built entries', () => {
  const wrong = repositoryFiles
    .filter((file) => file.startsWith('tools/') && /\.(ts|mjs|js)$/.test(file))
    .flatMap((file) => importsOf(file).map(({ specifier }) => `${file}: ${specifier}`))
    .filter((line) => /\/(packages|apps)\/[\w-]+\/src\//.test(line));
  expect(wrong).toEqual([]);
});
