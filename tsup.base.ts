// The one build recipe of the libraries: ESM for Node 20 and browsers, source maps; types come from tsc.
import type { Options } from 'tsup';

export function library(entry: string[], extra: Options = {}): Options {
  return {
    entry,
    format: 'esm',
    target: 'es2022',
    platform: 'neutral',
    sourcemap: true,
    clean: true,
    splitting: true,
    silent: true,
    ...extra,
  };
}
