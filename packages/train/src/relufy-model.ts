// Relufication of a checkpoint: the same weights under another config, with what is to be expected of it: the sparsity
// that the unmodified model's pre-activations predict (ReLU Strikes Back, arXiv 2310.04564, 5.2) and the perplexity
// before and right after. Does not own the change of the spec (relufy() of @relufy/models) or training.
import { type Checkpoint, type ModelFiles, openCheckpoint, type TensorToWrite } from '@relufy/checkpoint';
import {
  companionFiles,
  type Model,
  type ModelFolder,
  modelTexts,
  parseConfig,
  type RelufyOptions,
  readTexts,
  relufiedConfig,
  relufy,
  writeModelFolder,
} from '@relufy/models';
import { parseJson, RelufyError } from '@relufy/tensor';

/** Tokens of one pass, and of all. */
const passTokens = 256;
const mostTokens = 4096;

/** A text as the sequences that it is measured on. */
export async function sampleSequences(model: Model, text: string): Promise<number[][]> {
  const ids = (await model.encode(text)).slice(0, mostTokens);
  const length = Math.min(passTokens, model.contextLength);
  const sequences: number[][] = [];
  for (let at = 0; at < ids.length; at += length) sequences.push(ids.slice(at, at + length));
  const long = sequences.filter((sequence) => sequence.length > 1);
  if (long.length === 0) throw new RelufyError('input', 'sample text: expected at least two tokens, got fewer.');
  return long;
}

/** Per layer, the share of pre-activations at or below the threshold: what its activation would make zero. */
export async function predictSparsity(
  model: Model,
  sequences: readonly (readonly number[])[],
  threshold: number,
  onProgress?: (share: number) => void,
): Promise<number[]> {
  const taps = Array.from({ length: model.spec.numHiddenLayers }, (_, layer) => `preActivation.${layer}`);
  const below = taps.map(() => 0);
  let numbers = 0;
  for (const [at, sequence] of sequences.entries()) {
    onProgress?.(at / sequences.length);
    const { captured } = await model.forward(sequence, { capture: taps });
    taps.forEach((tap, layer) => {
      for (const value of captured[tap] as Float32Array) if (value <= threshold) below[layer] = (below[layer] ?? 0) + 1;
    });
    numbers += sequence.length * model.spec.intermediateSize;
  }
  return below.map((count) => count / numbers);
}

export interface RelufyModelOptions {
  readonly relufy: RelufyOptions;
  /** The folder to write; it must not exist, or be empty. */
  readonly out: string;
  readonly signal?: AbortSignal;
}

/**
 * Writes a relufied model: weights as they are, config.json changed, so that it loads without options.
 * @throws RelufyError `io` when the folder is occupied or cannot be written; nothing is left behind.
 */
export async function relufyModel(files: ModelFiles, options: RelufyModelOptions): Promise<void> {
  const { out, signal } = options;
  const contents = async (): Promise<ModelFolder> => {
    const text = await files.readText('config.json');
    if (text === undefined) throw new RelufyError('io', `${files.name}: expected a config.json, got none.`);
    const configJson = parseJson(text) as Readonly<Record<string, unknown>>;
    const config = relufiedConfig(configJson, relufy(parseConfig(configJson).spec, options.relufy));
    const texts = modelTexts(config, await readTexts(files, companionFiles, signal));
    const checkpoint = await openCheckpoint(files, signal);
    return { texts, tensors: copies(checkpoint), close: () => checkpoint.close() };
  };
  await writeModelFolder(out, contents, { signal });
}

/** Bytes that are in flight at once. */
const chunkBytes = 4 << 20;

function copies(checkpoint: Checkpoint): TensorToWrite[] {
  return [...checkpoint.tensors.values()].map(({ name, shape, floatDType }) => {
    const columns = shape.at(-1) ?? 1;
    const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
    const chunk = Math.max(1, Math.floor(chunkBytes / (4 * columns)));
    async function* data(): AsyncGenerator<Uint8Array> {
      for (let row = 0; row < rows; row += chunk)
        yield (await checkpoint.readRows(name, row, Math.min(chunk, rows - row))).data;
    }
    return { name, shape, dtype: { f32: 'F32', bf16: 'BF16', f16: 'F16' }[floatDType], data };
  });
}
