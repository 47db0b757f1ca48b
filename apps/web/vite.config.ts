// The page: one HTML file whose script and style are below 150 KB compressed, a worker that comes with the first model, and
// a service worker that knows what to keep for offline use. Every address is relative, so any sub-path will do.
import { createHash } from 'node:crypto';
import { defineConfig, type Plugin } from 'vite';

/** Writes into sw.js what to keep, and a version that changes with it. */
function precache(): Plugin {
  return {
    name: 'relufy-precache',
    // after Vite has added what the worker's bundle emits
    enforce: 'post',
    generateBundle(_, bundle) {
      const worker = bundle['sw.js'];
      if (worker?.type !== 'chunk') throw new Error('internal: sw.js was not built');
      const kept = Object.keys(bundle).filter((name) => name !== 'sw.js' && !/training-|\.map$/.test(name));
      const files = ['./', 'icon.svg', 'page.webmanifest', ...kept.filter((name) => name !== 'index.html')];
      const version = createHash('sha256')
        .update(JSON.stringify(bundle['index.html']))
        .update(files.join())
        .digest('hex');
      worker.code = worker.code
        .replace('__PRECACHE__', JSON.stringify(files).replaceAll('"', '\\"'))
        .replace('__VERSION__', version.slice(0, 16));
    },
  };
}

export default defineConfig({
  base: './',
  build: {
    outDir: 'dist/page',
    target: 'es2022',
    sourcemap: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { index: 'index.html', sw: 'src/page/sw.ts' },
      output: { entryFileNames: ({ name }) => (name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js') },
    },
  },
  worker: { format: 'es' },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  plugins: [precache()],
});
