// Opens thousands of damaged copies of a file and asserts what must hold for each: it opens and reads, or there is one
// RelufyError; reads stay within four times the file's size; every source is closed.
// RELUFY_FUZZ=100000 raises the count (`node packages/checkpoint/testing/fuzz.mjs` does so for every format).
import { RelufyError } from '@relufy/tensor';
import { expect, it } from 'vitest';
import { type ModelFiles, memoryFiles } from '../src/index.js';
import { counted, mutate, random } from './craft.js';

export interface FuzzCase {
  readonly file: string;
  readonly original: Uint8Array;
  /** Where the interesting bytes end: most changes are made before it. */
  readonly headerEnd: number;
  /** Opens and reads everything; what it reads while opening counts. */
  readonly read: (files: ModelFiles, opened: () => void) => Promise<void>;
}

const wanted = Number(process.env.RELUFY_FUZZ ?? 0);

export function itSurvivesMutation(name: string, cases: () => Promise<readonly FuzzCase[]>, count = 2000): void {
  const rounds = wanted || count;
  it(
    `${name}: a mutated file opens and reads, or gives one error`,
    async () => {
      for (const fuzzed of await cases()) {
        let opened = 0;
        for (let seed = 0; seed < rounds; seed++) if (await survives(fuzzed, seed)) opened++;
        expect(opened).toBeGreaterThan(rounds / 100);
        expect(opened).toBeLessThan(rounds);
      }
    },
    60_000 + rounds * 20,
  );
}

async function survives({ file, original, headerEnd, read }: FuzzCase, seed: number): Promise<boolean> {
  const bytes = mutate(original, random(seed), headerEnd);
  const watched = counted(memoryFiles('m', { [file]: bytes }));
  const state = { opened: false, bytes: 0 };
  try {
    await read(watched.files, () => {
      state.opened = true;
      state.bytes = watched.bytes();
    });
  } catch (error) {
    if (!RelufyError.is(error) || !['checkpoint', 'option'].includes(error.code))
      throw new Error(`seed ${seed}`, { cause: error });
  }
  const most = state.opened ? state.bytes : watched.bytes();
  if (most > 4 * bytes.byteLength || watched.open() !== 0)
    throw new Error(`seed ${seed}: read ${most} of ${bytes.byteLength} bytes, ${watched.open()} sources left open`);
  return state.opened;
}
