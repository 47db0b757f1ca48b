// A model of the Hugging Face hub as `ModelFiles`: what is needed of it is brought into the cache that Python and
// JavaScript share, then read from there.
// Owns: from a name to a folder in the cache. Does not own: which files (select.ts), getting one (download.ts),
// requests (request.ts), the routes of the hub (`@huggingface/hub`).
import { readdir } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { aFunction, checkValue, RelufyError, show } from '@relufy/tensor';
import { listOfNames } from '../../arguments.js';
import { checkFileName, type ModelFiles } from '../../byte-source.js';
import { parseShardIndex } from '../../sharded.js';
import { folderFiles } from '../folder-files.js';
import { type HubCache, hubCache, isCommit, sizeOf } from './cache.js';
import { downloadBlob, type OpenBody } from './download.js';
import {
  downloadTimeoutMs,
  type Environment,
  hubCacheDir,
  hubEndpoint,
  hubToken,
  isOffline,
  isXetDisabled,
} from './environment.js';
import { type RepositoryKind, requireHubId } from './id.js';
import { checkHubOptions, type HubOptions } from './options.js';
import { ProgressOfFiles } from './progress.js';
import { type HubRequests, hubFetch, protocolError, Unreachable } from './request.js';
import { type RepositoryFile, type Selection, selectFiles } from './select.js';
import { checkToken } from './token.js';

/** Of a listing; the hub puts 1000 files on each. */
const maxPages = 200;
/** In one listing, whatever its pages hold. */
const maxFiles = 200_000;
/** Of the description of a file in Xet's storage: some 2 kB for each 64 MB. */
const maxXetBytes = 2 ** 24;

/** Everything that one call works with. */
interface Job extends HubRequests {
  readonly revision: string;
  readonly gguf: string | undefined;
  readonly folder: string;
  readonly cache: HubCache;
  readonly fetch: typeof fetch;
  readonly xet: boolean;
  readonly parallel: number;
  readonly progress: ProgressOfFiles;
}

/** The files of `facebook/opt-125m`, `hf:user/model@revision` or `hf:user/model:Q4_K_M`, downloaded where needed. */
export async function hubFiles(id: string, options: HubOptions = {}): Promise<ModelFiles> {
  const job = await prepare('hubFiles', id, options);
  const files = await onlineOrCached(
    options,
    async () => {
      const plan = await makePlan(job);
      return () => carryOut(job, plan);
    },
    async (because, failure) => {
      const cached = await fromCache(job, because);
      return async () => {
        if (failure) options.onProgress?.({ status: 'cached', name: job.repository, reason: failure.message });
        return cached;
      };
    },
  );
  return files();
}

/**
 * The files of a data set whose paths `wanted` chooses among all, as paths in the cache, in the order of its choice.
 * Cached, resumed, offline and with tokens as models are.
 */
export async function hubDataFiles(
  id: string,
  wanted: (paths: readonly string[]) => readonly string[],
  options: HubOptions = {},
): Promise<string[]> {
  checkValue('hubDataFiles: wanted', wanted, aFunction);
  const job = await prepare('hubDataFiles', id, options, 'dataset');
  const choice = (paths: readonly string[]): readonly string[] => {
    const names = wanted(paths);
    checkValue('hubDataFiles: what wanted() gives', names, listOfNames);
    return names;
  };
  return onlineOrCached(
    options,
    async () => {
      job.progress.connect(job.endpoint);
      const commit = await resolveCommit(job);
      const listed = await listRepository(job, commit);
      const chosen = choice(listed.map(({ path }) => path));
      const files = listed.filter(({ path }) => chosen.includes(path));
      await fetchFiles(job, commit, files);
      await job.cache.remember(job.revision, commit);
      return chosen.map((path) => join(job.cache.snapshot(commit), job.folder, path));
    },
    async (because) => {
      const folder = await cachedFolder(job, because);
      const present = await readdir(folder, { recursive: true });
      return choice(present.map((path) => path.split(sep).join('/')).sort()).map((path) => join(folder, path));
    },
  );
}

/** What the hub gives; what is cached where nobody may ask it, or (after `failure`) where it does not answer. */
async function onlineOrCached<T>(
  { localFilesOnly, signal }: HubOptions,
  online: () => Promise<T>,
  cached: (because: string, failure?: Unreachable) => Promise<T>,
): Promise<T> {
  if (localFilesOnly ?? isOffline(process.env)) return cached(localFilesOnly ? 'localFilesOnly' : 'HF_HUB_OFFLINE');
  try {
    return await online();
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof Unreachable)) throw error;
    return cached('the network', error).catch(() => {
      throw error;
    });
  }
}

async function prepare(call: string, id: string, options: HubOptions, kind: RepositoryKind = 'model'): Promise<Job> {
  checkHubOptions(call, options);
  const env: Environment = process.env;
  const { repository, revision, gguf } = requireHubId(id, options.revision);
  if (options.subfolder !== undefined) checkFileName('subfolder', options.subfolder);
  const endpoint = hubEndpoint(env);
  const requests: HubRequests = {
    kind,
    repository,
    endpoint,
    token: checkToken(options.token === false ? undefined : (options.token ?? (await hubToken(env)))),
    timeoutMs: downloadTimeoutMs(env),
    attempts: options.retry?.attempts ?? 5,
    pauseMs: options.retry?.pauseMs ?? 500,
    signal: options.signal,
    onWait: (reason) => options.onProgress?.({ status: 'connect', name: repository, endpoint, reason }),
  };
  return {
    ...requests,
    revision,
    gguf,
    folder: options.subfolder === undefined ? '' : `${options.subfolder}/`,
    cache: hubCache(options.cacheDir ?? hubCacheDir(env), repository, kind),
    fetch: hubFetch(requests),
    xet: !isXetDisabled(env),
    parallel: options.parallel ?? 4,
    progress: new ProgressOfFiles(repository, options.onProgress),
  };
}

async function cachedFolder(job: Job, because: string): Promise<string> {
  const commit = await job.cache.commitOf(job.revision);
  const folder = commit === undefined ? undefined : join(job.cache.snapshot(commit), job.folder);
  if (folder === undefined || (await sizeOf(folder)) === undefined)
    throw new RelufyError(
      'io',
      `hub ${job.kind} ${show(job.repository)}: revision ${show(job.revision)}, expected in the cache because of ${because}, got none. Load it once with a network.`,
    );
  return folder;
}

async function fromCache(job: Job, because: string): Promise<ModelFiles> {
  const folder = await cachedFolder(job, because);
  const files = await folderFiles(folder);
  if (job.gguf === undefined) return named(job, files);
  const present = ((await files.list?.()) ?? []).map(
    (path): RepositoryFile => ({ path, size: 0, hash: { kind: 'git', hex: '' } }),
  );
  const { gguf } = selectFiles(job.repository, present, job.gguf);
  return named(job, await folderFiles(join(folder, gguf as string)));
}

interface Plan extends Selection {
  readonly commit: string;
  /** All files of the folder. */
  readonly listed: readonly RepositoryFile[];
}

async function makePlan(job: Job): Promise<Plan> {
  job.progress.connect(job.endpoint);
  const commit = await resolveCommit(job);
  const listed = await listRepository(job, commit);
  return { ...selectFiles(job.repository, listed, job.gguf), commit, listed };
}

async function carryOut(job: Job, { commit, listed, files, index, gguf }: Plan): Promise<ModelFiles> {
  const folder = join(job.cache.snapshot(commit), job.folder);
  const all = [...files];
  if (index) {
    await fetchFiles(job, commit, [index]);
    const text = await (await folderFiles(folder)).readText(index.path, { signal: job.signal });
    const shards = new Set(parseShardIndex(`${job.repository}/${index.path}`, text ?? '').values());
    all.push(index, ...listed.filter(({ path }) => shards.has(path)));
  }
  await fetchFiles(job, commit, all);
  await job.cache.remember(job.revision, commit);
  return named(job, await folderFiles(gguf === undefined ? folder : join(folder, gguf)));
}

/** Errors shall speak of the model, not of a folder with a commit in its path. */
const named = (job: Job, files: ModelFiles): ModelFiles => ({ ...files, name: job.repository });

async function resolveCommit(job: Job): Promise<string> {
  const { datasetInfo, modelInfo } = await import('@huggingface/hub');
  const asked = {
    name: job.repository,
    revision: job.revision,
    hubUrl: job.endpoint,
    fetch: job.fetch,
  };
  const { sha } = await (job.kind === 'dataset'
    ? datasetInfo({ ...asked, additionalFields: ['sha'] })
    : modelInfo({ ...asked, additionalFields: ['sha'] })
  ).catch(toHubError(job));
  if (typeof sha !== 'string' || !isCommit(sha)) throw unexpected(job, 'a commit', sha);
  return sha;
}

async function listRepository(job: Job, commit: string): Promise<RepositoryFile[]> {
  const { listFiles } = await import('@huggingface/hub');
  const files: RepositoryFile[] = [];
  const entries = listFiles({
    repo: { type: job.kind, name: job.repository },
    revision: commit,
    recursive: job.kind === 'dataset' || (job.gguf?.includes('/') ?? false),
    ...(job.folder === '' ? {} : { path: job.folder.slice(0, -1) }),
    hubUrl: job.endpoint,
    fetch: fetchOfPages(job),
  });
  try {
    for await (const { type, path, size, oid, lfs } of entries) {
      if (type !== 'file' || !path.startsWith(job.folder)) continue;
      const name = path.slice(job.folder.length);
      checkFileName(`hub ${job.kind} ${show(job.repository)}`, name);
      const hash = lfs ? ({ kind: 'sha256', hex: lfs.oid } as const) : ({ kind: 'git', hex: oid ?? '' } as const);
      const length = lfs?.size ?? size;
      // The hash becomes a file name.
      if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash.hex) || !Number.isSafeInteger(length) || length < 0)
        throw unexpected(job, `size and hash of ${show(name)}`, { size: length, hash: hash.hex });
      files.push({ path: name, size: length, hash });
      if (files.length > maxFiles) throw protocolError(job, `at most ${maxFiles} files`, 'more');
    }
  } catch (error) {
    toHubError(job)(error);
  }
  return files;
}

/** A listing comes page by page, each of which names the next: one that was there before, or too many, is no listing. */
function fetchOfPages(job: Job): typeof fetch {
  const seen = new Set<string>();
  return (input, init) => {
    const page = String(input);
    if (seen.has(page)) throw protocolError(job, 'a list of files that ends', `the page ${show(page)} twice`);
    if (seen.size >= maxPages) throw protocolError(job, `a list of files of at most ${maxPages} pages`, 'more');
    seen.add(page);
    return job.fetch(page, init);
  };
}

/** Brings files into the snapshot, a few at a time; the first error ends all. */
async function fetchFiles(job: Job, commit: string, files: readonly RepositoryFile[]): Promise<void> {
  const missing: RepositoryFile[] = [];
  for (const file of files) {
    if ((await sizeOf(join(job.cache.snapshot(commit), job.folder, file.path))) === file.size) continue;
    missing.push(file);
    job.progress.expect(file.path, file.size);
  }
  const stop = new AbortController();
  const signal = job.signal ? AbortSignal.any([job.signal, stop.signal]) : stop.signal;
  const queue = [...missing].sort((a, b) => b.size - a.size);
  const blobs = new Map<string, Promise<void>>();
  const lane = async (): Promise<void> => {
    for (let file = queue.shift(); file && !signal.aborted; file = queue.shift()) {
      const { path, hash } = file;
      job.progress.start(path);
      // Two files of one content are one blob.
      const blob = blobs.get(hash.hex) ?? fetchBlob(job, commit, file, signal);
      blobs.set(hash.hex, blob);
      await blob;
      job.progress.loaded(path, file.size);
      await job.cache.link(commit, job.folder + path, hash.hex);
      job.progress.done(path);
    }
  };
  const lanes = Array.from({ length: Math.max(1, job.parallel) }, () =>
    lane().catch((error: unknown) => {
      stop.abort(error);
      throw error;
    }),
  );
  const results = await Promise.allSettled(lanes);
  job.signal?.throwIfAborted();
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw stop.signal.reason;
}

function fetchBlob(job: Job, commit: string, file: RepositoryFile, signal: AbortSignal): Promise<void> {
  const { kind, repository, cache, timeoutMs, attempts, pauseMs } = job;
  return downloadBlob(file, {
    kind,
    repository,
    cache,
    timeoutMs,
    attempts,
    pauseMs,
    signal,
    openBody: bodyOpener(job, commit, signal),
    onBytes: (loaded) => job.progress.loaded(file.path, loaded),
  });
}

function bodyOpener(job: Job, commit: string, signal: AbortSignal): OpenBody {
  let xetFailed = false;
  return async (file, offset) => {
    const hub = await import('@huggingface/hub');
    const requests = { ...job, signal };
    const asked = { repo: { type: job.kind, name: job.repository }, path: job.folder + file.path, revision: commit };
    let answeredBy: string | undefined;
    const info = await hub
      .fileDownloadInfo({
        ...asked,
        hubUrl: job.endpoint,
        async fetch(input, init) {
          const response = await hubFetch(requests, 'headers')(input, init);
          answeredBy = response.url;
          return response;
        },
      })
      .catch(toHubError(job));
    if (!info) throw unexpected(job, `the file ${show(file.path)}`, null);
    if (info.size !== file.size) throw unexpected(job, `${file.size} bytes of ${show(file.path)}`, info.size);
    // Only the hub may say who sees the tokens of Xet: a host that a download was redirected to says the same headers.
    const xet = info.xet && isOfHub(job, answeredBy) && isOfHub(job, info.xet.refreshUrl) ? info.xet : undefined;
    if (xet && job.xet && !xetFailed) {
      const isDescription = (url: URL): boolean =>
        url.href === xet.refreshUrl.href || url.pathname.includes('/reconstructions/');
      const blob = await hub.downloadFile({
        ...asked,
        hubUrl: job.endpoint,
        fetch: hubFetch(requests, (url) => (isDescription(url) ? maxXetBytes : 'stream')),
        downloadInfo: info,
      });
      if (blob) return { offset, body: orElse(blob.slice(offset).stream(), () => (xetFailed = true)) };
    }
    const response = await hubFetch(requests, 'stream')(info.url, {
      headers: { ...(offset > 0 ? { Range: `bytes=${offset}-` } : {}), 'Accept-Encoding': 'identity' },
    });
    const begin = Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1] ?? 0);
    if (begin !== 0 && begin !== offset) throw unexpected(job, `${show(file.path)} from byte ${offset} on`, begin);
    return { offset: begin, body: response.body ?? emptyBody() };
  };
}

const isOfHub = ({ endpoint }: Job, url: string | URL | undefined): boolean =>
  url !== undefined && URL.canParse(String(url)) && new URL(url).origin === new URL(endpoint).origin;

/** Where the chunked protocol fails, the next try is a plain download. */
async function* orElse(body: AsyncIterable<Uint8Array>, failed: () => void): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    failed();
    throw RelufyError.is(error) ? new Error(error.message, { cause: error }) : error;
  }
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {}

const unexpected = (job: Job, expected: string, got: unknown): RelufyError => protocolError(job, expected, show(got));

/** What the hub's client throws by itself: a malformed answer, a token of the wrong form. */
function toHubError(job: Job): (error: unknown) => never {
  return (error) => {
    job.signal?.throwIfAborted();
    if (RelufyError.is(error)) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new RelufyError(
      'io',
      `hub ${job.kind} ${show(job.repository)}: expected an answer of the hub's form from ${job.endpoint}, got ${show(message)}. Check HF_ENDPOINT and HF_TOKEN.`,
      { cause: error },
    );
  };
}
