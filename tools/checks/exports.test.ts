// What an import gets at run time is what its types promise: for every entry of every package, as Node resolves it and
// as bundlers for browsers do. Names at run time come from importing the entry (Node) and from bundling it (browsers);
// names of the types from the compiler, by a probe that does not compile where they differ.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserPackages, packages, resolveExport, root } from './workspace.js';

type Place = 'node' | 'browser';

const conditionsOf: Readonly<Record<Place, readonly string[]>> = {
  node: ['node', 'import'],
  browser: ['browser', 'import'],
};

const entries = packages.flatMap(({ name, folder, manifest }) =>
  Object.entries(manifest.exports ?? {}).map(([path, entry]) => ({
    entry: name + path.slice(1),
    places: browserPackages.includes(name) && !['./node', './esbuild'].includes(path) ? ['node', 'browser'] : ['node'],
    code: (place: Place) => join(root, folder, resolveExport(entry, conditionsOf[place]) as string),
    types: (place: Place) => join(root, folder, resolveExport(entry, ['types', ...conditionsOf[place]]) as string),
  })),
);

/** By a bundle of it, which is not run. `vitest` and `fast-check` are the contract suite's peers. */
async function browserNames(file: string): Promise<readonly string[]> {
  const { metafile } = await build({
    entryPoints: [file],
    absWorkingDir: root,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    conditions: ['browser', 'import'],
    external: ['node:*', ...builtinModules, 'vitest', 'fast-check'],
    outdir: 'out',
    metafile: true,
    write: false,
    logLevel: 'silent',
  });
  return Object.values(metafile.outputs).find(({ entryPoint }) => entryPoint !== undefined)?.exports ?? [];
}

const namesOf: Readonly<Record<Place, (file: string) => Promise<readonly string[]>>> = {
  node: async (file) => Object.keys(await import(/* @vite-ignore */ pathToFileURL(file).href)),
  browser: browserNames,
};

const union = (names: readonly string[]): string =>
  names.length === 0 ? 'never' : names.map((name) => JSON.stringify(name)).join(' | ');

/** Compiles only where the types have these names; an error spells out which are too many and which too few. */
const probe = (types: string, names: readonly string[], moreAllowed: boolean): string => `
import type * as entry from ${JSON.stringify(types.replace(/\.d\.ts$/, '.js'))};
type Types = keyof typeof entry;
type RunTime = ${union(names)};
type Only<Name> = [Name] extends [never] ? 'nothing' : Name;
export const inTypesOnly: Only<Exclude<Types, RunTime>> = 'nothing';
${moreAllowed ? '' : `export const atRunTimeOnly: Only<Exclude<RunTime, Types>> = 'nothing';`}
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-exports-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** @returns the errors of the compiler. */
function compile(probes: ReadonlyMap<string, string>, resolution: 'nodenext' | 'bundler'): readonly string[] {
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2022', 'es2024.sharedmemory', 'esnext.disposable', 'dom', 'dom.asynciterable'],
    module: resolution === 'bundler' ? 'esnext' : 'nodenext',
    moduleResolution: resolution,
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    noErrorTruncation: true,
    types: [],
  };
  const fileOf = (entry: string): string => `${entry.replace(/\W+/g, '-')}.mts`;
  for (const [entry, source] of probes) writeFileSync(join(folder, fileOf(entry)), source);
  const files = [...probes.keys()].map(fileOf);
  const config = join(folder, 'tsconfig.json');
  writeFileSync(config, JSON.stringify({ compilerOptions, files }));
  const { status, stdout } = spawnSync(
    process.execPath,
    [`${root}node_modules/typescript/bin/tsc`, '--project', config, '--pretty', 'false'],
    { cwd: folder, encoding: 'utf8' },
  );
  return status === 0 ? [] : stdout.trim().split('\n');
}

describe('the names at run time are those of the types', () => {
  test.each([
    { place: 'node', resolution: 'nodenext', moreAllowed: false, title: 'in Node' },
    { place: 'browser', resolution: 'bundler', moreAllowed: false, title: 'in a browser' },
    { place: 'node', resolution: 'bundler', moreAllowed: true, title: 'in Node, by types that a bundler resolves' },
  ] as const)('$title', async ({ place, resolution, moreAllowed }) => {
    const typesPlace = resolution === 'nodenext' ? 'node' : 'browser';
    const probes = new Map<string, string>();
    for (const { entry, code, types } of entries.filter(({ places }) => places.includes(typesPlace)))
      probes.set(entry, probe(types(typesPlace), await namesOf[place](code(place)), moreAllowed));
    expect(compile(probes, resolution)).toEqual([]);
  });

  test('a probe tells a name too many and one too few', () => {
    const [types] = entries.filter(({ entry }) => entry === '@relufy/llama-tales').map(({ types }) => types('node'));
    const errors = compile(new Map([['wrong', probe(types as string, ['nowhere'], false)]]), 'nodenext').join('\n');
    expect(errors).toContain('"modelUrl"');
    expect(errors).toContain('"nowhere"');
  });
});
