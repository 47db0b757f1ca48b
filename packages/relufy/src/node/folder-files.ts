// The files of a folder for `relufy inspect`, which opens a checkpoint without loading a model.
// Does not own formats. Loading itself goes through @relufy/models, which has a stricter reader of its own.
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { httpFiles, type ModelFiles, type ModelSource } from '@relufy/models';
import { RelufyError } from '@relufy/tensor';

type ByteSource = NonNullable<Awaited<ReturnType<ModelFiles['open']>>>;

/** The files that a resolved source leads to. */
export function filesOf(source: ModelSource): ModelFiles {
  if (typeof source === 'object' && !(source instanceof URL)) return source;
  if (/^https?:/i.test(String(source))) return httpFiles(new URL(source));
  return folderFiles(/^file:/i.test(String(source)) ? fileURLToPath(source) : String(source));
}

function folderFiles(folder: string): ModelFiles {
  const openFile = async (file: string): Promise<ByteSource | undefined> => {
    const path = join(folder, file);
    const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw new RelufyError('io', `${path}: expected a readable file, got ${error.code}. Check the path.`, {
        cause: error,
      });
    });
    return handle && sourceOf(path, handle);
  };
  return {
    name: folder,
    open: openFile,
    readText: async (file) => {
      const source = await openFile(file);
      if (source === undefined) return undefined;
      try {
        return new TextDecoder().decode(await source.read(0, source.size));
      } finally {
        await source.close();
      }
    },
  };
}

async function sourceOf(name: string, handle: FileHandle): Promise<ByteSource> {
  const { size } = await handle.stat();
  return {
    name,
    size,
    read: async (offset, length) => {
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0)
          throw new RelufyError(
            'io',
            `${name}: expected ${length} bytes at ${offset}, got ${done}. The file is truncated; download it again.`,
          );
        done += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}
