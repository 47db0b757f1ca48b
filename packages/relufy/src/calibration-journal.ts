// What a calibration has measured so far, in a file beside its result: one JSON object a line, the first one saying of which
// inputs. A run that was killed is found there by the next one with the same inputs; a line that is not whole is left out.
// Does not own what is measured (@relufy/predictor).
import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Journal } from '@relufy/predictor';

export interface JournalFile extends Journal {
  close(): Promise<void>;
  /** When all is done. */
  remove(): Promise<void>;
}

/** `inputs`: whatever decides the numbers. A file of other inputs is begun anew. */
export async function openJournal(path: string, inputs: unknown): Promise<JournalFile> {
  const head = JSON.stringify({
    inputs: createHash('sha256').update(JSON.stringify(inputs)).digest('hex'),
  });
  const known = new Map<string, unknown>();
  const [first, ...lines] = (await readFile(path, 'utf8').catch(() => '')).split('\n');
  const isOurs = first === head;
  // what stands after the last line end was cut off
  for (const line of isOurs ? lines.slice(0, -1) : []) {
    const entry = parsed(line);
    if (entry) known.set(entry.key, entry.value);
  }
  await mkdir(dirname(path), { recursive: true });
  const file: FileHandle = await open(path, 'w');
  try {
    await file.write(`${head}\n${[...known].map(lineOf).join('')}`);
  } catch (error) {
    await file.close();
    throw error;
  }
  return {
    get: (key) => known.get(key),
    put: async (key, value) => {
      known.set(key, value);
      await file.write(lineOf([key, value]));
    },
    close: () => file.close(),
    remove: () => rm(path, { force: true }),
  };
}

const lineOf = ([key, value]: readonly [string, unknown]): string => `${JSON.stringify({ key, value })}\n`;

function parsed(line: string): { readonly key: string; readonly value: unknown } | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
