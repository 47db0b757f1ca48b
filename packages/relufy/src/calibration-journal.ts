// What a calibration has measured so far, in a file beside its result: one JSON object a line, the first one saying of which
// inputs. A run that was killed is found there by the next one with the same inputs; a line that is not whole is left out.
// Does not own what is measured (@relufy/predictor).
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { readNamedFile, toWriteError, whileLocked } from '@relufy/checkpoint/node';
import type { Journal } from '@relufy/predictor';
import { RelufyError, show } from '@relufy/tensor';

export interface JournalFile extends Journal {
  close(): Promise<void>;
  /** When all is done. */
  remove(): Promise<void>;
}

/** Of what was measured: trials of a hundred layers are a thousandth of it. */
const mostBytes = 2 ** 28;

/** `inputs`: whatever decides the numbers. A file of other inputs is begun anew. */
export async function openJournal(path: string, inputs: unknown): Promise<JournalFile> {
  const head = JSON.stringify({
    inputs: createHash('sha256').update(JSON.stringify(inputs)).digest('hex'),
  });
  const known = new Map<string, unknown>();
  const [first, ...lines] = await readNamedFile(path, { limitBytes: mostBytes, onlyFiles: true }).then(
    (bytes) => new TextDecoder().decode(bytes).split('\n'),
    () => [''],
  );
  // what stands after the last line end was cut off
  const isOurs = first === head && lines.length > 0;
  for (const line of isOurs ? lines.slice(0, -1) : []) {
    const entry = parsed(line);
    if (typeof entry?.key === 'string') known.set(entry.key, entry.value);
  }
  await mkdir(dirname(path), { recursive: true }).catch(toWriteError(path));
  // a link that somebody planted is not written through; Windows has no such flag
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW = 0 } = constants;
  const file: FileHandle = await open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | (isOurs ? 0 : O_TRUNC)).catch(
    toWriteError(path, 'what was measured'),
  );
  /** At the end; a line that does not fit is taken back, so that none is half there. */
  let end = 0;
  const append = async (text: string): Promise<void> => {
    const bytes = Buffer.from(text);
    try {
      for (let at = 0; at < bytes.length; )
        at += (await file.write(bytes, at, bytes.length - at, end + at)).bytesWritten;
      end += bytes.length;
    } catch (error) {
      await file.truncate(end).catch(() => {});
      return toWriteError(path)(error);
    }
  };
  try {
    if (isOurs) {
      // what is there stays where it is: a full disk takes nothing of it
      end = Buffer.byteLength([first, ...lines.slice(0, -1), ''].join('\n'));
      await file.truncate(end).catch(toWriteError(path));
    } else await append(`${head}\n`);
  } catch (error) {
    await file.close();
    throw error;
  }
  return {
    get: (key) => known.get(key),
    put: async (key, value) => {
      known.set(key, value);
      await append(lineOf([key, value]));
    },
    close: () => file.close(),
    remove: () => rm(path, { force: true }),
  };
}

/**
 * Runs with what runs with these inputs have measured so far for the folder `out`; it is removed when all is done, and kept for
 * the next run where something else ends it. `run` hears by its signal when the lock is lost too.
 * @throws RelufyError `state` while another process works for that folder: two would write into one journal.
 */
export async function withJournal(
  out: string,
  inputs: unknown,
  signal: AbortSignal,
  run: (journal: Journal, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  await mkdir(dirname(out), { recursive: true });
  const onWait = () => {
    throw new RelufyError(
      'state',
      `--out ${show(out)}: expected no other run that writes there, got one. Wait for it, or name another folder.`,
    );
  };
  await whileLocked(`${out}.partial.lock`, { signal, onWait }, async (whileAlone) => {
    const journal = await openJournal(`${out}.partial.jsonl`, inputs);
    try {
      await run(journal, whileAlone);
      await journal.remove();
    } catch (error) {
      // the same inputs would end the same: there is nothing to go on with
      if (RelufyError.is(error) && (error.code === 'option' || error.code === 'input')) await journal.remove();
      throw error;
    } finally {
      await journal.close();
    }
  });
}

const lineOf = ([key, value]: readonly [string, unknown]): string => `${JSON.stringify({ key, value })}\n`;

function parsed(line: string): { readonly key?: unknown; readonly value?: unknown } | null | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
