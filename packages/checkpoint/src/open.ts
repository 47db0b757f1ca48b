// Picks the weights of a model's folder and opens them.
// Owns: the order in which formats are looked for, and the one error when there are none. A whole file comes before an
// index, as in transformers: an index beside one is left over from a checkpoint in parts.
// Does not own: the formats.
import { checkModelFiles } from './arguments.js';
import type { ModelFiles } from './byte-source.js';
import { type Checkpoint, joinFiles, type OpenedFile } from './checkpoint.js';
import { openGgufAsHuggingFace } from './gguf/as-hugging-face.js';
import { findGguf } from './gguf/read.js';
import { malformed } from './malformed.js';
import { openPyTorch } from './pytorch/open.js';
import { openSafetensors } from './safetensors/read.js';
import { closeAll, type OpenFile, openAll, openShards, parseShardIndex } from './sharded.js';
import { indexOf, planWeightsFile, weightFiles, weightNames } from './weight-files.js';

const formats: Readonly<Record<(typeof weightFiles)[number], { format: string; open: OpenFile }>> = {
  'model.safetensors': { format: 'safetensors', open: openSafetensors },
  'pytorch_model.bin': { format: 'pytorch', open: openPyTorch },
};

/** The largest known index, of 90,000 tensors, has 9 MB. */
const maxIndexBytes = 2 ** 25;

/** Opens the checkpoint of a folder: reads and checks its headers, no weights. */
export async function openCheckpoint(files: ModelFiles, signal?: AbortSignal): Promise<Checkpoint> {
  checkModelFiles('openCheckpoint', files);
  for (const file of weightFiles) {
    const { format, open } = formats[file];
    if (await has(files, file, signal)) {
      const opened = await openAll(files, [file], open, signal, () => noWeights(files));
      return join(format, files, [...opened.values()]);
    }
    const indexFile = indexOf(file);
    const index = await files.readText(indexFile, { limitBytes: maxIndexBytes, signal });
    if (index !== undefined) {
      const weightMap = parseShardIndex(`${files.name}/${indexFile}`, index);
      return join(format, files, await openShards(files, indexFile, weightMap, open, signal));
    }
  }
  const gguf = await findGguf(files, signal);
  if (gguf !== undefined) return openGgufAsHuggingFace(files, gguf, signal);
  throw noWeights(files);
}

/** Opens the numbers of a sparsity plan; undefined where there is no such file. */
export async function openPlanWeights(files: ModelFiles, signal?: AbortSignal): Promise<Checkpoint | undefined> {
  if (!(await has(files, planWeightsFile, signal))) return undefined;
  const opened = await openAll(files, [planWeightsFile], openSafetensors, signal, () => noWeights(files));
  return join('safetensors', files, [...opened.values()]);
}

/**
 * Opens one file that `torch.save` wrote, whatever its name: a predictor, an adapter; undefined where there is none.
 * @throws RelufyError `checkpoint` for anything else than a state dict in a zip archive.
 */
export async function openStateDict(
  files: ModelFiles,
  file: string,
  signal?: AbortSignal,
): Promise<Checkpoint | undefined> {
  checkModelFiles('openStateDict', files);
  if (!(await has(files, file, signal))) return undefined;
  const opened = await openAll(files, [file], openPyTorch, signal, () => noWeights(files));
  return join('pytorch', files, [...opened.values()]);
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
  return malformed(
    files.name,
    `weights, expected one of ${weightNames.join(', ')}, *.gguf, got none of them`,
    'Name a folder that holds a model.',
  );
}
