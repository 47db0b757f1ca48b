// How each bundler is asked to build the two programs of app/: what docs/bundlers.md tells as recipes, run.
// esbuild and Vite are the workspace's; the others are in this folder's own node_modules, where somebody installed them.
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type BuildOptions, build as esbuild } from 'esbuild';
import { build as vite } from 'vite';
import { run } from '../checks/packed.js';

/** Where an application is built: it holds app/ and the installed packages; `out` is empty. */
export interface Place {
  readonly folder: string;
  readonly out: string;
}

export interface Bundler {
  readonly name: string;
  /** Of this folder's package.json: without it, the tests are skipped. */
  readonly needs?: string;
  /** Its bundle for Node leaves packages out, and is run beside them. */
  readonly nodeKeepsPackages?: boolean;
  /** @returns the file that Node runs. */
  readonly forNode?: (place: Place) => Promise<string>;
  /** Leaves a site in `out`. */
  readonly forBrowsers?: (place: Place) => Promise<void>;
}

const own = fileURLToPath(new URL('.', import.meta.url));
export const isInstalled = (name: string): boolean => existsSync(join(own, 'node_modules', name, 'package.json'));

/** A module of this folder's node_modules. */
const load = async <Module>(name: string): Promise<Module> => {
  const module = await import(pathToFileURL(createRequire(join(own, 'package.json')).resolve(name)).href);
  return (module.default ?? module) as Module;
};

/** relufy's own plugin for esbuild, as the application installed it. */
const urlFiles = async ({ folder }: Place) => {
  const { urlFiles } = await import(pathToFileURL(join(folder, 'node_modules/relufy/dist/esbuild.js')).href);
  return urlFiles();
};

/** One program by esbuild with relufy's plugin. */
async function bundle(place: Place, program: string, options: BuildOptions): Promise<void> {
  const plugins = [await urlFiles(place)];
  await bareEsbuild(place, { outdir: place.out, entryPoints: [program], plugins, ...options });
}

const page = ({ out }: Place, script: string): void =>
  writeFileSync(
    join(out, 'index.html'),
    `<!doctype html><meta charset="utf-8"><title>relufy</title><link rel="icon" href="data:,">${script}`,
  );

export const bundlers: readonly Bundler[] = [
  {
    name: 'esbuild',
    forNode: async (place) => {
      await bundle(place, 'node.js', { platform: 'node', format: 'esm' });
      writeFileSync(join(place.out, 'package.json'), '{ "type": "module" }');
      return 'node.js';
    },
    forBrowsers: async (place) => {
      await bundle(place, 'browser.js', { format: 'esm', minify: true });
      page(place, '<script type="module" src="browser.js"></script>');
    },
  },
  {
    name: 'esbuild, CommonJS or split',
    forNode: async (place) => {
      await bundle(place, 'node.js', { platform: 'node', format: 'cjs', outExtension: { '.js': '.cjs' } });
      return 'node.cjs';
    },
    forBrowsers: async (place) => {
      await bundle(place, 'browser.js', {
        format: 'esm',
        splitting: true,
        entryNames: 'js/[name]',
        chunkNames: 'js/chunks/[name]-[hash]',
        assetNames: 'files/[name]-[hash]',
      });
      page(place, '<script type="module" src="js/browser.js"></script>');
    },
  },
  {
    name: 'Vite',
    // as it does for a server: what is in node_modules stays there
    nodeKeepsPackages: true,
    forNode: async ({ folder: root, out: outDir }) => {
      await vite({ root, configFile: false, logLevel: 'error', build: { ssr: 'node.js', outDir, emptyOutDir: true } });
      return 'node.js';
    },
    forBrowsers: async ({ folder: root, out: outDir }) => {
      await vite({ root, configFile: false, logLevel: 'error', base: './', build: { outDir, emptyOutDir: true } });
    },
  },
  {
    name: 'webpack',
    needs: 'webpack',
    forNode: async ({ folder, out }) => {
      await webpack({
        context: folder,
        mode: 'production',
        target: 'node',
        entry: './node.js',
        output: { path: out, filename: 'node.cjs' },
      });
      return 'node.cjs';
    },
    forBrowsers: async (place) => {
      const { folder, out } = place;
      await webpack({
        context: folder,
        mode: 'production',
        entry: './browser.js',
        output: { path: out, filename: 'browser.js' },
      });
      page(place, '<script src="browser.js"></script>');
    },
  },
  {
    name: 'Rollup',
    needs: 'rollup',
    forNode: async ({ folder, out }) => {
      await rollup(join(folder, 'node.js'), out, ['node', 'import']);
      writeFileSync(join(out, 'package.json'), '{ "type": "module" }');
      return 'node.js';
    },
    forBrowsers: async (place) => {
      await rollup(join(place.folder, 'browser.js'), place.out, ['browser', 'import']);
      page(place, '<script type="module" src="browser.js"></script>');
    },
  },
  {
    name: 'Next.js',
    needs: 'next',
    forBrowsers: async ({ folder, out }) => {
      await next(folder);
      cpSync(join(folder, 'next/out'), out, { recursive: true });
    },
  },
];

/** As somebody builds who has not read docs/bundlers.md. */
export async function bareEsbuild(place: Place, options: BuildOptions): Promise<void> {
  await esbuild({ absWorkingDir: place.folder, bundle: true, logLevel: 'error', ...options });
  page(place, '<script type="module" src="browser.js"></script>');
}

type Webpack = (
  configuration: object,
  done: (error: Error | null, stats?: { hasErrors(): boolean; toString(options: string): string }) => void,
) => void;

async function webpack(configuration: object): Promise<void> {
  const run = await load<Webpack>('webpack');
  await new Promise<void>((resolve, reject) =>
    run({ performance: false, ...configuration }, (error, stats) => {
      if (error || stats?.hasErrors()) reject(error ?? new Error(stats?.toString('errors-only')));
      else resolve();
    }),
  );
}

interface Rollup {
  rollup(options: object): Promise<{ write(options: object): Promise<unknown> }>;
}

async function rollup(input: string, dir: string, conditions: readonly string[]): Promise<void> {
  const { rollup } = await load<Rollup>('rollup');
  type Plugin = (options?: object) => object;
  const [resolve, commonjs] = await Promise.all(
    ['@rollup/plugin-node-resolve', '@rollup/plugin-commonjs'].map((name) => load<Plugin>(name)),
  );
  const { importMetaAssets } = await load<{ importMetaAssets: Plugin }>('@web/rollup-plugin-import-meta-assets');
  const isNode = conditions.includes('node');
  const bundle = await rollup({
    input,
    plugins: [resolve?.({ exportConditions: conditions, browser: !isNode }), commonjs?.(), importMetaAssets()],
    onwarn: () => {},
  });
  await bundle.write({ dir, format: 'esm' });
}

/** In the application's own folder, since Next.js wants everything below one. A route is written while it builds: the server's side. */
async function next(folder: string): Promise<void> {
  const { dependencies } = JSON.parse(readFileSync(join(own, 'package.json'), 'utf8'));
  const wanted = ['next', 'react', 'react-dom'].map((name) => `${name}@${dependencies[name]}`);
  run(
    'npm',
    ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', ...wanted],
    folder,
  );
  run(process.execPath, ['node_modules/next/dist/bin/next', 'build', 'next'], folder);
}
