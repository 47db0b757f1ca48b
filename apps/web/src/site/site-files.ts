// The files of the page, for whoever serves them: the built page itself, the bundled models below `models/`, and
// `models.json`, which tells the page which models lie there and whether a server answers beside it.
// Does not own HTTP (tools/web.mjs, apps/serve) nor what the page does with the files.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, extname, join, normalize } from 'node:path/posix';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { modelUrl } from '@relufy/llama-tales';

export interface SiteOptions {
  /** Where an OpenAI-compatible server answers, relative to the page, such as `v1`; absent: the site is files alone. */
  readonly server?: string;
  /** Models of the packages that the site offers. Default: those that are installed. */
  readonly models?: readonly string[];
}

export interface SiteFile {
  readonly contentType: string;
  /** May be kept by browsers for ever: its name changes with its content. */
  readonly immutable: boolean;
  /** A file on this machine, or its content. */
  readonly path?: string;
  readonly content?: string;
}

const page = fileURLToPath(new URL('../page/', import.meta.url));

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.jinja': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
};

/** The folders of the models that come as packages; the second may be left out of an installation. */
function modelFolders(): ReadonlyMap<string, string> {
  const folders = new Map([['llama-tales', fileURLToPath(modelUrl)]]);
  try {
    const entry = createRequire(import.meta.url).resolve('@relufy/smollm2-135m-instruct');
    folders.set('smollm2-135m-instruct', fileURLToPath(new URL('model/', pathToFileURL(entry))));
  } catch {} // optional
  return folders;
}

/**
 * What lies at a path of the site, relative to the page: `''` is the page itself. undefined: nothing.
 * @example
 * const file = await siteFile('assets/index-1a2b.js', { server: 'v1' });
 */
export async function siteFile(path: string, options: SiteOptions = {}): Promise<SiteFile | undefined> {
  const name = normalize(path === '' || path.endsWith('/') ? `${path}index.html` : path);
  if (name.startsWith('..') || name.startsWith('/')) return undefined;
  const contentType = contentTypes[extname(name)] ?? 'application/octet-stream';
  if (name === 'models.json')
    return { contentType, immutable: false, content: JSON.stringify(await siteModels(options)) };
  const [, model = '', file = ''] = /^models\/([^/]+)\/([^/]+)$/.exec(name) ?? [];
  const folder = offered(options).get(model);
  const place = model === '' ? join(page, name) : folder && join(folder, file);
  const found = place !== undefined && (await stat(place).catch(() => undefined))?.isFile();
  return found ? { contentType, immutable: name.startsWith('assets/'), path: place } : undefined;
}

function offered({ models }: SiteOptions): ReadonlyMap<string, string> {
  return new Map([...modelFolders()].filter(([name]) => models === undefined || models.includes(name)));
}

/** What the page finds at `models.json`: src/page/models/bundled.ts reads it. */
async function siteModels(options: SiteOptions): Promise<object> {
  const models = await Promise.all(
    [...offered(options)].map(async ([name, folder]) => ({ name, files: await filesOf(folder) })),
  );
  return { models, ...(options.server !== undefined && { server: options.server }) };
}

const hashes = new Map<string, Promise<string>>();

async function filesOf(folder: string): Promise<object[]> {
  const names = (await readdir(folder)).filter((name) => name !== 'training.json');
  return Promise.all(
    names.sort().map(async (name) => {
      const path = join(folder, name);
      const { size, mtimeMs } = await stat(path);
      const key = `${path} ${size} ${mtimeMs}`;
      const sha256 = hashes.get(key) ?? sha256Of(path);
      hashes.set(key, sha256);
      return { name, size, sha256: await sha256 };
    }),
  );
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}

/** The whole site into a folder, for any server of files, at any path. */
export async function writeSite(folder: string, options: SiteOptions = {}): Promise<void> {
  const { models } = (await siteModels(options)) as { models: { name: string; files: { name: string }[] }[] };
  const names = [
    ...(await readdir(page, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(page.length)),
    ...models.flatMap(({ name, files }) => files.map((file) => `models/${name}/${file.name}`)),
    'models.json',
  ];
  for (const name of names) {
    const file = await siteFile(name, options);
    if (file === undefined) throw new Error(`internal: no file ${name}`);
    const target = join(folder, name);
    await mkdir(dirname(target), { recursive: true });
    if (file.path === undefined) await writeFile(target, file.content ?? '');
    else await copyFile(file.path, target);
  }
}
