// Picks the weights of a model's folder and opens them.
// Owns: the order in which formats are looked for, and the one error when there are none.
// Does not own: the formats.
import type { ModelFiles } from './byte-source.js';
import { type Checkpoint, joinFiles, type OpenedFile } from './checkpoint.js';
import { openGgufAsHuggingFace } from './gguf/as-hugging-face.js';
import { findGguf } from './gguf/read.js';
import { malformed } from './malformed.js';
import { openPyTorch } from './pytorch/open.js';
import { openSafetensors } from './safetensors/read.js';
import { closeAll, type OpenFile, openAll, openShards, parseShardIndex } from './sharded.js';

const formats: readonly { format: string; file: string; open: OpenFile }[] = [
  { format: 'safetensors', file: 'model.safetensors', open: openSafetensors },
  { format: 'pytorch', file: 'pytorch_model.bin', open: openPyTorch },
];

/** Opens the checkpoint of a folder: reads and checks its headers, no weights. */
export async function openCheckpoint(files: ModelFiles, signal?: AbortSignal): Promise<Checkpoint> {
  for (const { format, file, open } of formats) {
    const indexFile = `${file}.index.json`;
    const index = await files.readText(indexFile, { signal });
    if (index !== undefined) {
      const weightMap = parseShardIndex(`${files.name}/${indexFile}`, index);
      return join(format, files, await openShards(files, indexFile, weightMap, open, signal));
    }
    if (await has(files, file, signal)) {
      const opened = await openAll(files, [file], open, signal, () => noWeights(files));
      return join(format, files, [...opened.values()]);
    }
  }
  const gguf = await findGguf(files, signal);
  if (gguf !== undefined) return openGgufAsHuggingFace(files, gguf, signal);
  throw noWeights(files);
}

async function join(format: string, files: ModelFiles, opened: readonly OpenedFile[]): Promise<Checkpoint> {
  try {
    return joinFiles(format, files.name, opened);
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

async function has(files: ModelFiles, file: string, signal?: AbortSignal): Promise<boolean> {
  const source = await files.open(file, signal);
  await source?.close();
  return source !== undefined;
}

function noWeights(files: ModelFiles): Error {
  const looked = formats.flatMap(({ file }) => [`${file}.index.json`, file]).join(', ');
  return malformed(
    files.name,
    `weights, expected one of ${looked}, *.gguf, got none of them`,
    'Name a folder that holds a model.',
  );
}
