// Named arrays in a folder of their own: ordinary safetensors with its checksum beside it, written so that a reader finds
// all or nothing, and knows when bytes have changed since. Serves tokens (data/token-file.ts) and checkpoints of runs
// (run-checkpoint.ts). Does not own what is in them, nor what is done about one that is damaged.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { openCheckpoint, streamSafetensors, type TensorToWrite } from '@relufy/checkpoint';
import { folderFiles, writeAtomically, writeFolder } from '@relufy/checkpoint/node';
import { RelufyError, show } from '@relufy/tensor';
import { Checksums, checksumFile, differenceFrom, hasChecksums } from './checksums.js';

const file = 'model.safetensors';

/** What a folder holds; open until `close`. */
export interface TensorFile {
  readonly metadata: Readonly<Record<string, string>>;
  readonly names: readonly string[];
  /**
   * The bytes of one array, little endian, in memory of their own.
   * @throws RelufyError `checkpoint` when there is none of that name and type.
   */
  read(name: string, dtype: 'F32' | 'I32' | 'U8'): Promise<ArrayBuffer>;
  close(): Promise<void>;
}

/** Takes the place of a folder that is there. */
export async function writeTensorFile(
  folder: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  const write = async (staging: string): Promise<void> => {
    const sums = new Checksums();
    await writeAtomically(join(staging, file), sums.through(file, streamSafetensors(tensors, { metadata })));
    await writeAtomically(join(staging, checksumFile), sums.toString());
  };
  await writeFolder(folder, write, { replace: true });
}

/** There is a folder in the place of one, whole or not. */
export async function hasTensorFile(folder: string): Promise<boolean> {
  return stat(folder).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** `unchecked`: it can be read, and no checksum says whether its bytes are those that were written. */
export type TensorFileState = 'whole' | 'unchecked' | { readonly damage: string };

/** Reads all of it. */
export async function stateOfTensorFile(folder: string): Promise<TensorFileState> {
  const checked = await hasChecksums(folder);
  const damage = checked ? await differenceFrom(folder, [file]) : undefined;
  if (damage !== undefined) return { damage };
  try {
    await (await openTensorFile(folder)).close();
  } catch (error) {
    return { damage: (error as Error).message.replace(/\.$/, '') };
  }
  return checked ? 'whole' : 'unchecked';
}

/** @throws RelufyError `checkpoint` for a file that is damaged. */
export async function openTensorFile(folder: string): Promise<TensorFile> {
  const checkpoint = await openCheckpoint(await folderFiles(join(folder, file)));
  return {
    metadata: checkpoint.metadata,
    names: [...checkpoint.tensors.keys()],
    read: async (name, dtype) => {
      const { shape = [], dtype: found = 'none' } = checkpoint.tensors.get(name) ?? {};
      if (found !== dtype)
        throw new RelufyError(
          'checkpoint',
          `${join(folder, file)} ${show(name)}: expected ${dtype}, got ${found}. The file was not written here; remove ${folder}.`,
        );
      const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
      return (await checkpoint.readStored(name, 0, rows)).slice().buffer as ArrayBuffer;
    },
    close: () => checkpoint.close(),
  };
}
