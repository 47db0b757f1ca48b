// A model of any format -> a folder in Hugging Face layout with safetensors, which appears whole or not at all.
// Owns: which files go along, the temporary folder. Does not own: the weights' conversion (../convert.ts).
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RelufyError } from '@relufy/tensor';
import type { ModelFiles } from '../byte-source.js';
import { type ConversionOptions, convertedTensors } from '../convert.js';
import { parseObject } from '../gguf/config-reader.js';
import { openCheckpoint } from '../open.js';
import { descriptionFiles } from '../weight-files.js';
import { writeSafetensors } from './write-safetensors.js';

/** Writes `files` as a new folder `out`; memory used: a few megabytes of rows. */
export async function convertToSafetensors(out: string, files: ModelFiles, options: ConversionOptions): Promise<void> {
  const present = await readdir(out).catch(() => []);
  if (present.length > 0)
    throw new RelufyError(
      'option',
      `${out}: expected a folder that is new or empty, got ${present.length} files in it. Name another one.`,
    );
  const temporary = join(dirname(out), `.${randomUUID()}.tmp`);
  const checkpoint = await openCheckpoint(files, options.signal);
  try {
    await mkdir(temporary, { recursive: true });
    for (const file of descriptionFiles) {
      const text = await files.readText(file, { signal: options.signal });
      if (text === undefined) continue;
      await writeFile(join(temporary, file), file === 'config.json' ? withDType(files, text, options) : text);
    }
    await writeSafetensors(join(temporary, 'model.safetensors'), convertedTensors(checkpoint, options), {
      metadata: { format: 'pt' },
      signal: options.signal,
    });
    await rm(out, { recursive: true, force: true }); // empty, as seen above
    await rename(temporary, out);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  } finally {
    await checkpoint.close();
  }
}

function withDType(files: ModelFiles, text: string, { dtype }: ConversionOptions): string {
  const config = parseObject(`${files.name}/config.json`, text);
  const { dtype: _, ...rest } = config;
  return `${JSON.stringify({ ...rest, torch_dtype: dtype === 'f32' ? 'float32' : 'bfloat16' }, null, 2)}\n`;
}
