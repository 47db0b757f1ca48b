// Models that this browser keeps: a folder each in the origin private file system, with a record of what belongs there.
// Owns names and records. Does not own filling the folders (download.ts).
import type { ModelChoice } from '../engine/engine.js';

/** A file that a model needs, and how to know that it arrived whole. */
export interface WantedFile {
  readonly name: string;
  readonly url: string;
  readonly size: number;
  readonly sha256?: string;
  /** Git's hash, for small files of the hub. */
  readonly gitSha1?: string;
}

export interface KeptModel {
  readonly key: string;
  readonly name: string;
  readonly choice: Exclude<ModelChoice, { kind: 'files' }>;
  readonly files: readonly WantedFile[];
  /** All files are there, and were verified. */
  readonly complete: boolean;
}

export interface KeptModelSize extends KeptModel {
  /** Bytes that are there. */
  readonly bytes: number;
}

const rootName = 'relufy-models';
const recordName = 'record.json';
export const incomplete = '.incomplete';

export const keyOf = (choice: KeptModel['choice']): string =>
  choice.kind === 'bundled' ? `bundled:${choice.name}` : `hub:${choice.id}`;

/** Names of folders and files, whatever a repository calls them. */
const safe = (name: string): string => encodeURIComponent(name).replaceAll('.', '%2E').replaceAll('*', '%2A');

/** undefined: this browser, or this page, has no such storage. */
async function openRoot(create: boolean): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    const storage = await navigator.storage.getDirectory();
    return await storage.getDirectoryHandle(rootName, { create });
  } catch {
    return undefined;
  }
}

/** Where a model's files are kept; undefined: nowhere. */
export async function modelFolder(key: string): Promise<FileSystemDirectoryHandle | undefined> {
  const root = await openRoot(true);
  return root?.getDirectoryHandle(safe(key), { create: true }).catch(() => undefined);
}

export const fileName = (name: string): string => safe(name);

export async function writeRecord(folder: FileSystemDirectoryHandle, record: KeptModel): Promise<void> {
  const handle = await folder.getFileHandle(recordName, { create: true });
  const writable = await handle.createWritable();
  await writable.write(JSON.stringify(record));
  await writable.close();
}

export async function readRecord(folder: FileSystemDirectoryHandle): Promise<KeptModel | undefined> {
  try {
    const handle = await folder.getFileHandle(recordName);
    return JSON.parse(await (await handle.getFile()).text()) as KeptModel;
  } catch {
    return undefined; // none, or a tab was closed while it was written: the files are looked at again
  }
}

/** A file that is whole; undefined: it is not. */
export async function wholeFile(folder: FileSystemDirectoryHandle, file: WantedFile): Promise<File | undefined> {
  try {
    const found = await (await folder.getFileHandle(fileName(file.name))).getFile();
    return found.size === file.size ? found : undefined;
  } catch {
    return undefined;
  }
}

/** What is kept, whole or in part. */
export async function listKept(): Promise<KeptModelSize[]> {
  const root = await openRoot(false);
  const kept: KeptModelSize[] = [];
  if (root === undefined) return kept;
  for await (const handle of (root as unknown as { values(): AsyncIterable<FileSystemHandle> }).values()) {
    if (handle.kind !== 'directory') continue;
    const folder = handle as FileSystemDirectoryHandle;
    const record = await readRecord(folder);
    if (record !== undefined) kept.push({ ...record, bytes: await bytesIn(folder) });
  }
  return kept.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function bytesIn(folder: FileSystemDirectoryHandle): Promise<number> {
  let bytes = 0;
  for await (const handle of (folder as unknown as { values(): AsyncIterable<FileSystemHandle> }).values())
    if (handle.kind === 'file') bytes += (await (handle as FileSystemFileHandle).getFile()).size;
  return bytes;
}

/** A model that is loaded goes on: its bytes are in memory. */
export async function deleteKept(key: string): Promise<void> {
  const root = await openRoot(false);
  await root?.removeEntry(safe(key), { recursive: true });
}
