// Files at URLs of their own, some of them on this machine: what a bundler for Node makes of a model's folder.
// Does not own: what is said of a missing one (../url-files.ts).
import { stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { ModelFiles } from '../byte-source.js';
import { openHttp } from '../http-files.js';
import { urlFiles } from '../url-files.js';
import { fileSource } from './folder-files.js';

/** Like `urlFiles`, for `file:` URLs too. */
export const localUrlFiles = (name: string, urls: Readonly<Record<string, URL | string>>): ModelFiles =>
  urlFiles(name, urls, async (url, where, signal, limitBytes) => {
    if (url.protocol !== 'file:') return openHttp(url, where, {}, signal, limitBytes);
    const path = fileURLToPath(url);
    const isFile = await stat(path).then(
      (found) => found.isFile(),
      () => false,
    );
    return isFile ? fileSource(path, path) : undefined;
  });
