// What browsers get: no Node built-in or global is reachable from a browser-neutral entry, and bundles stay small.
// Follows the built files as a bundler does, so that dependencies count as much as our own code.
import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { gzipSync } from 'node:zlib';
import { type BuildResult, build } from 'esbuild';
import { parseSync } from 'rolldown/utils';
import { expect, test } from 'vitest';
import ceilings from './bundle-sizes.json' with { type: 'json' };
import { browserPackages, packages, resolveExport, root } from './workspace.js';

/** Files that a browser-neutral package starts, beside its `.` entry. */
const started: Readonly<Record<string, readonly string[]>> = { '@relufy/kernels': ['./dist/worker.js'] };
const asked =
  'one file serves Web Workers and worker threads; a thread of Node asks process.getBuiltinModule, others have none';
/** What looks like Node and is allowed, each with its reason. */
const exceptions: Readonly<Record<string, string>> = {
  'packages/kernels/dist/worker.js: node:worker_threads': asked,
  'packages/kernels/dist/worker.js: node:fs': asked,
  'packages/kernels/dist/worker.js: node:v8': asked,
  'packages/kernels/dist/worker.js: node:vm': asked,
};

const nodeGlobals = new Set(['process', 'Buffer', 'require', '__dirname', '__filename']);

const entries = packages
  .filter(({ name }) => browserPackages.includes(name))
  .flatMap(({ name, folder, manifest }) => {
    const main = resolveExport(manifest.exports?.['.'], ['browser', 'import']);
    const further = (started[name] ?? []).map((path) => ({
      entry: name + path.slice(1),
      file: folder + path.slice(1),
    }));
    return [{ entry: name, file: folder + main?.slice(1) }, ...further];
  });

type Bundle = BuildResult<{ metafile: true; write: false }>;

const bundle = (file: string): Promise<Bundle> =>
  build({
    absWorkingDir: root,
    entryPoints: [file],
    outdir: 'out',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    conditions: ['browser', 'import'],
    external: ['node:*', ...builtinModules],
    minify: true,
    metafile: true,
    write: false,
    logLevel: 'silent',
  });

/** Node's globals that a file reads, and the names of built-ins that it holds as strings. */
function nodeNames(file: string): readonly string[] {
  const found = new Set<string>();
  const walk = (node: unknown, parent?: Record<string, unknown>, key?: string): void => {
    if (Array.isArray(node)) {
      for (const item of node) walk(item, parent, key);
      return;
    }
    if (typeof node !== 'object' || node === null) return;
    const { type, name, value } = node as Record<string, unknown>;
    const isMember = parent?.computed === false && (key === 'property' || key === 'key');
    if (type === 'Identifier' && nodeGlobals.has(name as string) && !isMember) found.add(name as string);
    if (type === 'Literal' && typeof value === 'string' && /^node:\w/.test(value)) found.add(value);
    for (const [child, below] of Object.entries(node)) walk(below, node as Record<string, unknown>, child);
  };
  walk(parseSync(file, readFileSync(root + file, 'utf8')).program);
  return [...found];
}

test.each(entries)('$entry reaches no Node built-in and no Node global', async ({ file }) => {
  const { metafile } = await bundle(file);
  const reached = Object.entries(metafile.inputs).flatMap(([input, { imports }]) => [
    ...imports.filter(({ external }) => external).map(({ path }) => `${input}: ${path}`),
    ...nodeNames(input).map((name) => `${input}: ${name}`),
  ]);
  expect(reached.filter((line) => !(line in exceptions))).toEqual([]);
});

test.each(Object.entries(ceilings.javascript))(
  '%s is no larger than bundle-sizes.json allows',
  async (entry, ceiling) => {
    const { outputFiles } = await bundle(entries.find((candidate) => candidate.entry === entry)?.file as string);
    const bytes = outputFiles.reduce((sum, { contents }) => sum + gzipSync(contents).length, 0);
    expect(bytes, `gzipped bytes of ${entry} with all it imports`).toBeLessThanOrEqual(ceiling);
  },
);

test.each(Object.entries(ceilings.wasm))('%s is no larger than bundle-sizes.json allows', (file, ceiling) => {
  expect(gzipSync(readFileSync(root + file)).length, `gzipped bytes of ${file}`).toBeLessThanOrEqual(ceiling);
});

test('every exception is still needed', async () => {
  const files = new Set(Object.keys(exceptions).map((line) => line.split(': ')[0] as string));
  const found = [...files].flatMap((file) => nodeNames(file).map((name) => `${file}: ${name}`));
  expect(Object.keys(exceptions).filter((line) => !found.includes(line))).toEqual([]);
});
