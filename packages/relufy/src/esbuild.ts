// A plugin for esbuild, which alone among the common bundlers leaves `new URL('./file', import.meta.url)` as it is: the
// file is put beside the output, and the expression leads there. Serves every module that names a file so, whosever.
// Does not own: bundling what a file imports. The files of Relufy import nothing.
import { readFile, stat } from 'node:fs/promises';
import { dirname, extname, resolve } from 'node:path';

/** What of esbuild's own types the plugin uses: relufy does not depend on esbuild. */
interface Build {
  readonly initialOptions: { readonly format?: string | undefined; readonly platform?: string | undefined };
  onLoad(
    filter: { filter: RegExp; namespace?: string },
    load: (file: { path: string }) => Promise<Loaded | undefined>,
  ): void;
  onResolve(filter: { filter: RegExp }, found: (module: { path: string }) => { path: string; namespace: string }): void;
}
interface Loaded {
  readonly contents: string | Uint8Array;
  readonly loader: 'js' | 'file';
  readonly resolveDir?: string;
}
export interface EsbuildPlugin {
  readonly name: string;
  setup(build: Build): void;
}

const expression = /\bnew\s+URL\(\s*(['"])(\.\.?\/[^'"\n]*)\1\s*,\s*import\.meta\.url\s*\)/g;
const prefix = 'relufy-file:';

/**
 * Copies the files that `new URL('./file', import.meta.url)` names, and lets the expression lead to the copy.
 * @example
 * await build({ entryPoints: ['app.js'], bundle: true, format: 'esm', outdir: 'dist', plugins: [urlFiles()] });
 */
export function urlFiles(): EsbuildPlugin {
  return {
    name: 'relufy-url-files',
    setup(build) {
      const { format, platform } = build.initialOptions;
      const isScript = platform === 'node' && (format === undefined || format === 'cjs');
      // CommonJS has no import.meta; its file is known by another name
      const address = isScript ? "require('node:url').pathToFileURL(__filename)" : 'import.meta.url';

      build.onResolve({ filter: new RegExp(`^${prefix}`) }, ({ path }) => ({
        path: path.slice(prefix.length),
        namespace: prefix,
      }));
      build.onLoad({ filter: /.*/, namespace: prefix }, async ({ path }) => ({
        contents: await readFile(path),
        loader: 'file',
      }));
      build.onLoad({ filter: /\.m?js$/, namespace: 'file' }, async ({ path }) => {
        const source = await readFile(path, 'utf8');
        const files = new Map<string, string>();
        for (const [, , relative = ''] of source.matchAll(expression)) {
          const file = resolve(dirname(path), relative);
          const isFile = extname(file) !== '' && (await stat(file).catch(() => undefined))?.isFile();
          if (isFile) files.set(relative, file);
        }
        if (files.size === 0) return undefined;
        const names = new Map([...files.keys()].map((relative, index) => [relative, `relufyFile${index}`]));
        const code = source.replace(expression, (found, _quote, relative: string) =>
          names.has(relative) ? `new URL(${names.get(relative)}, ${address})` : found,
        );
        // at the end, so that every line stays where source maps have it
        const imports = [...files].map(
          ([relative, file]) => `import ${names.get(relative)} from ${JSON.stringify(prefix + file)};`,
        );
        return { contents: `${code}\n${imports.join('\n')}\n`, loader: 'js', resolveDir: dirname(path) };
      });
    },
  };
}
