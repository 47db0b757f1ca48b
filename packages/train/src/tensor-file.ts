// Named arrays in a folder of their own: ordinary safetensors, written so that a reader finds all of them or none.
// Serves tokens (data/token-file.ts) and checkpoints of runs (run-checkpoint.ts). Does not own what is in them.
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { openCheckpoint, type TensorToWrite } from '@relufy/checkpoint';
import { folderFiles, writeSafetensors } from '@relufy/checkpoint/node';

const file = 'model.safetensors';

/** What a folder holds; open until `close`. */
export interface TensorFile {
  readonly metadata: Readonly<Record<string, string>>;
  readonly names: readonly string[];
  /** The bytes of one array, little endian, in memory of their own. */
  read(name: string): Promise<ArrayBuffer>;
  close(): Promise<void>;
}

export async function writeTensorFile(
  folder: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeSafetensors(join(folder, file), tensors, { metadata });
}

export async function hasTensorFile(folder: string): Promise<boolean> {
  return stat(join(folder, file)).then(
    () => true,
    () => false,
  );
}

/** @throws RelufyError `checkpoint` for a file that is damaged. */
export async function openTensorFile(folder: string): Promise<TensorFile> {
  const checkpoint = await openCheckpoint(await folderFiles(folder));
  return {
    metadata: checkpoint.metadata,
    names: [...checkpoint.tensors.keys()],
    read: async (name) => {
      const { shape = [] } = checkpoint.tensors.get(name) ?? {};
      const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
      return (await checkpoint.readStored(name, 0, rows)).slice().buffer as ArrayBuffer;
    },
    close: () => checkpoint.close(),
  };
}
