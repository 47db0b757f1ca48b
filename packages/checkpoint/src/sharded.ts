// The index of a sharded checkpoint (`*.index.json`): which file holds which tensor. Shared by safetensors and .bin.
// Owns: reading the index strictly, opening its files a few at a time, holding both to each other.
// Does not own: what a shard is (the caller's `openShard`).
import { show } from '@relufy/tensor';
import { type ByteSource, checkFileName, type ModelFiles } from './byte-source.js';
import type { OpenedFile } from './checkpoint.js';
import { JsonReader } from './json-reader.js';
import { malformed } from './malformed.js';

export type OpenFile = (source: ByteSource, file: string, signal?: AbortSignal) => Promise<OpenedFile>;

/** tensor name -> file name */
export function parseShardIndex(where: string, text: string): Map<string, string> {
  const reader = new JsonReader(where, text);
  let weightMap: Map<string, string> | undefined;
  reader.object((key) => {
    if (key !== 'weight_map') return reader.skip();
    const map = new Map<string, string>();
    reader.object((tensor) => {
      const file = reader.string();
      checkFileName(`${where}: weight_map of ${show(tensor)}`, file);
      map.set(tensor, file);
    });
    weightMap = map;
  });
  reader.end();
  if (!weightMap) throw malformed(where, 'index, expected a "weight_map", got none');
  return weightMap;
}

/** Opens every file of an index and checks that each holds the tensors the index promises. */
export async function openShards(
  files: ModelFiles,
  indexFile: string,
  index: ReadonlyMap<string, string>,
  openShard: OpenFile,
  signal?: AbortSignal,
): Promise<OpenedFile[]> {
  const where = `${files.name}/${indexFile}`;
  const opened = await openAll(files, [...new Set(index.values())], openShard, signal, (file) =>
    malformed(
      where,
      `shard ${show(file)}, expected beside the index, got no such file`,
      'The download is incomplete; download the missing file.',
    ),
  );
  try {
    const held = new Map([...opened].map(([file, { tensors }]) => [file, new Set(tensors.map(({ name }) => name))]));
    for (const [tensor, file] of index)
      if (!held.get(file)?.has(tensor))
        throw malformed(where, `tensor ${show(tensor)}, expected in ${show(file)}, got a file without it`);
    return [...opened.values()];
  } catch (error) {
    await closeAll(opened.values());
    throw error;
  }
}

/** Opens files, at most eight at a time; on any error closes what was opened and reports the first error only. */
export async function openAll(
  files: ModelFiles,
  names: readonly string[],
  openFile: OpenFile,
  signal: AbortSignal | undefined,
  missing: (file: string) => Error,
): Promise<Map<string, OpenedFile>> {
  const opened = new Map<string, OpenedFile>();
  let failure: { error: unknown } | undefined;
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < names.length && !failure) {
      const file = names[next++] as string;
      try {
        opened.set(file, await openOne(files, file, openFile, signal, missing));
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, lane));
  if (failure) {
    await closeAll(opened.values());
    throw failure.error;
  }
  return new Map(names.map((file) => [file, opened.get(file) as OpenedFile]));
}

async function openOne(
  files: ModelFiles,
  file: string,
  openFile: OpenFile,
  signal: AbortSignal | undefined,
  missing: (file: string) => Error,
): Promise<OpenedFile> {
  const source = await files.open(file, signal);
  if (!source) throw missing(file);
  try {
    return await openFile(source, file, signal);
  } catch (error) {
    await source.close();
    throw error;
  }
}

export const closeAll = (files: Iterable<OpenedFile>): Promise<unknown> =>
  Promise.all([...files].map(({ source }) => source.close()));
