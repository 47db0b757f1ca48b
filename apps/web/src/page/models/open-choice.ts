// From a person's choice to a model's files: kept ones at once, others after a download into this browser's storage, for
// which room is asked before the first byte. One tab downloads a model, another one waits for it.
// Does not own the download itself (download.ts) nor memory (memory.ts).
import { blobFiles, type ModelFiles } from '@relufy/checkpoint';
import type { LoadProgress, ModelChoice } from '../engine/engine.js';
import { bundledFiles } from './bundled.js';
import { download } from './download.js';
import { hubFiles } from './hub.js';
import {
  type KeptModel,
  keyOf,
  modelFolder,
  readRecord,
  type WantedFile,
  wholeFile,
  writeRecord,
} from './model-store.js';

export interface OpenedChoice {
  readonly files: ModelFiles;
  /** Why it will be gone with this tab. */
  readonly notKept?: string;
}

type Hear = (progress: LoadProgress) => void;

export async function openChoice(choice: ModelChoice, hear: Hear, signal: AbortSignal): Promise<OpenedChoice> {
  if (choice.kind === 'files') return { files: blobFiles(choice.name, withoutFolder(choice.files)) };
  const key = keyOf(choice);
  const work = () => openKept(choice, key, hear, signal);
  const { locks } = navigator;
  if (locks === undefined) return work();
  const lock = `relufy-model-${key}`;
  const first = await locks.request(lock, { ifAvailable: true }, (held) => (held ? work() : undefined));
  if (first !== undefined) return first;
  hear({ stage: 'waiting', loaded: 0, total: 0 });
  return locks.request(lock, { signal }, work);
}

async function openKept(
  choice: KeptModel['choice'],
  key: string,
  hear: Hear,
  signal: AbortSignal,
): Promise<OpenedChoice> {
  const name = choice.kind === 'bundled' ? choice.name : choice.id;
  const folder = await modelFolder(key);
  const record = folder && (await readRecord(folder));
  if (folder && record?.complete) {
    const isNewest = choice.kind === 'hub' || (await isCurrent(choice, record));
    const blobs = isNewest ? await keptBlobs(folder, record) : undefined;
    if (blobs) return { files: blobFiles(name, blobs) };
  }
  const wanted =
    choice.kind === 'bundled'
      ? await bundledFiles(choice.name, choice.base)
      : await hubFiles(choice.id, choice.endpoint, signal);
  const missing = await bytesMissing(folder, wanted);
  const room = await roomFor(missing);
  const place = folder !== undefined && missing <= room ? folder : undefined;
  if (place) await writeRecord(place, { key, name, choice, files: wanted, complete: false });
  const { files, inMemory } = await download(wanted, { folder: place, hear, signal });
  if (place && !inMemory) await writeRecord(place, { key, name, choice, files: wanted, complete: true });
  const notKept =
    folder === undefined
      ? 'This browser gives the page no storage (a private window, or an address without https).'
      : inMemory
        ? `The model has ${megabytes(missing)}, this browser has room for ${megabytes(room)}. Free some space, or delete other models here.`
        : undefined;
  return { files: blobFiles(name, files), ...(notKept !== undefined && { notKept }) };
}

const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6).toLocaleString('en')} MB`;

/** A site may bring another version of its model; without the site, what is kept is the newest. */
async function isCurrent(choice: Extract<ModelChoice, { kind: 'bundled' }>, record: KeptModel): Promise<boolean> {
  const wanted = await bundledFiles(choice.name, choice.base).catch(() => undefined);
  const hashes = (files: readonly WantedFile[]) => files.map(({ name, sha256 }) => `${name} ${sha256}`).join();
  return wanted === undefined || hashes(wanted) === hashes(record.files);
}

async function keptBlobs(
  folder: FileSystemDirectoryHandle,
  record: KeptModel,
): Promise<Record<string, Blob> | undefined> {
  const blobs: Record<string, Blob> = {};
  for (const file of record.files) {
    const blob = await wholeFile(folder, file);
    if (blob === undefined) return undefined;
    blobs[file.name] = blob;
  }
  return blobs;
}

async function bytesMissing(
  folder: FileSystemDirectoryHandle | undefined,
  wanted: readonly WantedFile[],
): Promise<number> {
  let bytes = 0;
  for (const file of wanted) if (!folder || !(await wholeFile(folder, file))) bytes += file.size;
  return bytes;
}

/** Bytes that this browser would still store; without an answer, it is tried. */
async function roomFor(bytes: number): Promise<number> {
  const { quota, usage = 0 } = (await navigator.storage?.estimate?.().catch(() => undefined)) ?? {};
  return quota === undefined ? bytes : quota - usage;
}

/** Files of a folder that was picked carry its name in front. */
export function withoutFolder(files: Readonly<Record<string, Blob>>): Readonly<Record<string, Blob>> {
  const names = Object.keys(files);
  const [first = ''] = (names[0] ?? '').split('/');
  if (!names.every((name) => name.startsWith(`${first}/`))) return files;
  return Object.fromEntries(Object.entries(files).map(([name, file]) => [name.slice(first.length + 1), file]));
}
