// Puts the page, and relufy with all its files as a CDN would have it, into a folder: `node examples/html/build.mjs OUT`.
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { urlFiles } from 'relufy/esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const out = process.argv[2] ?? join(here, 'dist');
await build({
  stdin: { contents: "export * from 'relufy';", resolveDir: here },
  bundle: true,
  minify: true,
  format: 'esm',
  splitting: true,
  outdir: join(out, 'cdn'),
  entryNames: 'relufy',
  plugins: [urlFiles()],
  logLevel: 'error',
});
for (const file of ['index.html', 'worker.js']) cpSync(join(here, file), join(out, file));
