// What a model's folder in Hugging Face layout holds: texts and tensors. Made by conversion, relufication and training.
// Does not own writing one (node/model-folder.ts).
import type { ModelFiles, TensorToWrite } from '@relufy/checkpoint';

export interface ModelFolder {
  /** By name; config.json is one of them. */
  readonly texts: ReadonlyMap<string, string>;
  /** Each may come in pieces, when it is its turn. */
  readonly tensors: readonly TensorToWrite[];
  /** The numbers of the plan, if the weights are laid out for one: a file of its own. */
  readonly planTensors?: readonly TensorToWrite[];
  /** Of the tensors' file. Default: what transformers expects there. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly alignment?: number;
  /** Gives back what the tensors are read from. */
  close?(): Promise<void>;
}

/** Files that a tokenizer is made of. */
export const tokenizerFiles: readonly string[] = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'vocab.json',
  'merges.txt',
];

/** Files that go with the weights, and are copied as they are when a model is written anew. */
export const companionFiles: readonly string[] = ['generation_config.json', ...tokenizerFiles];

/** Those of some files that are there. */
export async function readTexts(
  files: ModelFiles,
  names: readonly string[] = companionFiles,
  signal?: AbortSignal,
): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const name of names) {
    const text = await files.readText(name, { signal });
    if (text !== undefined) texts.set(name, text);
  }
  return texts;
}

/** The texts of a folder: its config.json, and what goes with it. */
export const modelTexts = (
  config: Readonly<Record<string, unknown>>,
  companions: Iterable<readonly [string, string]>,
): ReadonlyMap<string, string> => new Map([['config.json', `${JSON.stringify(config, null, 2)}\n`], ...companions]);
