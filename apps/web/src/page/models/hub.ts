// Which files a model of the hub needs, with sizes and hashes. Asks the hub only when somebody names a model there.
// Does not own the choice among files (@relufy/checkpoint) nor downloading (download.ts).
import { parseHubId, type RepositoryFile, selectFiles } from '@relufy/checkpoint';
import type { WantedFile } from './model-store.js';

interface TreeEntry {
  readonly type: string;
  readonly path: string;
  readonly size: number;
  readonly oid: string;
  readonly lfs?: { readonly oid: string; readonly size: number };
}

const maxPages = 20;

/** @throws Error that says what the hub answered, or which files there are to choose from. */
export async function hubFiles(id: string, endpoint: string, signal: AbortSignal): Promise<readonly WantedFile[]> {
  const parsed = parseHubId(id);
  if (parsed === undefined) throw new Error(`Expected a name such as "facebook/opt-125m", got "${id}".`);
  const { repository, revision = 'main', gguf } = parsed;
  const base = endpoint.replace(/\/+$/, '');
  const resolve = (path: string) =>
    `${base}/${repository}/resolve/${encodeURIComponent(revision)}/${path.split('/').map(encodeURIComponent).join('/')}`;
  const all = await list(
    new URL(`${base}/api/models/${repository}/tree/${encodeURIComponent(revision)}`),
    repository,
    signal,
  );
  const { files, index } = selectFiles(repository, all, gguf);
  const shards = index ? await shardsOf(resolve(index.path), all, signal) : [];
  return [...files, ...(index ? [index] : []), ...shards].map(({ path, size, hash }) => ({
    name: path,
    url: resolve(path),
    size,
    ...(hash.kind === 'sha256' ? { sha256: hash.hex } : { gitSha1: hash.hex }),
  }));
}

async function list(address: URL, repository: string, signal: AbortSignal): Promise<RepositoryFile[]> {
  const files: RepositoryFile[] = [];
  let page: URL | undefined = address;
  for (let pages = 0; page && pages < maxPages; pages++) {
    const response: Response = await fetch(page, { signal }).catch((cause) => {
      signal.throwIfAborted();
      throw new Error(
        `The hub at ${address.origin} gives no answer. Check the connection, or open a folder or file instead.`,
        { cause },
      );
    });
    if (response.status === 401 || response.status === 404)
      throw new Error(`The hub has no model "${repository}", or it is gated. Check the name.`);
    if (!response.ok) throw new Error(`The hub at ${address.origin} answers ${response.status}. Try again later.`);
    for (const { type, path, size, oid, lfs } of (await response.json()) as TreeEntry[])
      if (type === 'file')
        files.push({
          path,
          size: lfs?.size ?? size,
          hash: lfs ? { kind: 'sha256', hex: lfs.oid } : { kind: 'git', hex: oid },
        });
    const next: string | undefined = /<([^>]*)>;\s*rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
    page = next === undefined ? undefined : new URL(next, page);
  }
  return files;
}

async function shardsOf(url: string, all: readonly RepositoryFile[], signal: AbortSignal): Promise<RepositoryFile[]> {
  const response = await fetch(url, { signal });
  const { weight_map: map = {} } = (await response.json()) as { weight_map?: Record<string, string> };
  const names = new Set(Object.values(map));
  const found = all.filter(({ path }) => names.has(path));
  if (found.length < names.size)
    throw new Error(`The index names ${names.size} files of weights, the hub has ${found.length} of them.`);
  return found;
}
