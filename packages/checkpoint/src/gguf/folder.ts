// A folder whose weights are a GGUF, answered as a Hugging Face folder: the texts that the loader asks for are made
// from the GGUF's metadata. A config.json beside a GGUF is often a stub, so the made one wins; a tokenizer beside it
// was put there by somebody, and wins over the made one.
// Does not own: making them (as-hugging-face.ts, tokenizer.ts), the weights (../open.ts).
import { type ModelFiles, memorySource, type ReadTextOptions } from '../byte-source.js';
import { closeAll } from '../sharded.js';
import { weightNames } from '../weight-files.js';
import { ggufToConfig, tensorFacts } from './as-hugging-face.js';
import { GgufFields, type GgufMetadata } from './metadata.js';
import { generationKey, laidOver } from './own-keys.js';
import { findGguf, ggufPath, openGgufFiles } from './read.js';
import { ggufTokenizer } from './tokenizer.js';

type Texts = Readonly<Record<string, string>>;
const made = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'];

/** The same files, and where the weights are a GGUF, the texts made from it. */
export function withGguf(files: ModelFiles): ModelFiles {
  let texts: Promise<Texts | undefined> | undefined;
  const textOf = async (file: string, signal?: AbortSignal): Promise<string | undefined> => {
    if (!made.includes(file) || !files.list) return undefined;
    texts ??= makeTexts(files, signal).catch((error: unknown) => {
      texts = undefined; // an abort or a broken connection must not stick
      throw error;
    });
    return (await texts)?.[file];
  };
  return {
    ...files,
    async open(file, signal) {
      const made = file === 'config.json' ? await textOf(file, signal) : undefined;
      const source = made === undefined ? await files.open(file, signal) : undefined;
      if (source) return source;
      const text = made ?? (await textOf(file, signal));
      return text === undefined ? undefined : memorySource(`${files.name}/${file}`, new TextEncoder().encode(text));
    },
    async readText(file, options?: ReadTextOptions) {
      const made = file === 'config.json' ? await textOf(file, options?.signal) : undefined;
      return made ?? (await files.readText(file, options)) ?? textOf(file, options?.signal);
    },
  };
}

async function makeTexts(files: ModelFiles, signal: AbortSignal | undefined): Promise<Texts | undefined> {
  const names = (await files.list?.(signal)) ?? [];
  const file = names.some((name) => weightNames.includes(name)) ? undefined : await findGguf(files, signal);
  if (file === undefined) return undefined;
  const opened = await openGgufFiles(files, file, signal);
  try {
    const where = ggufPath(files, file);
    const facts = await tensorFacts(opened, where, signal);
    return describe(where, opened.metadata, ggufToConfig(opened.metadata, facts, where));
  } finally {
    await closeAll(opened.files);
  }
}

function describe(where: string, metadata: GgufMetadata, config: Record<string, unknown>): Texts {
  const fields = new GgufFields(where, metadata);
  const texts: Record<string, string> = {
    'config.json': JSON.stringify(config),
    'generation_config.json': JSON.stringify(generationConfig(fields)),
  };
  if (metadata.has('tokenizer.ggml.model')) {
    const { tokenizerJson, tokenizerConfig } = ggufTokenizer(metadata, where);
    texts['tokenizer.json'] = JSON.stringify(tokenizerJson);
    texts['tokenizer_config.json'] = JSON.stringify(tokenizerConfig);
  }
  return texts;
}

/** A turn may end with other tokens than the text does; more than GGUF has keys for stand in our own. */
export function generationConfig(fields: GgufFields): Record<string, unknown> {
  const id = (name: string): number | undefined => fields.size(`tokenizer.ggml.${name}_token_id`);
  const ends = [...new Set([id('eos'), id('eot'), id('eom')])].filter((end) => end !== undefined);
  const [bos, pad] = [id('bos'), id('padding')];
  return laidOver(fields, generationKey, {
    ...(bos === undefined ? {} : { bos_token_id: bos }),
    ...(ends.length === 0 ? {} : { eos_token_id: ends.length === 1 ? ends[0] : ends }),
    ...(pad === undefined ? {} : { pad_token_id: pad }),
  });
}
