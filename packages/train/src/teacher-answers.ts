// What a teacher has said, on disk: for each sequence that it was asked about, its likeliest tokens at every scored
// position with their log-probabilities; the mass of all others is what these leave of 1. A later run with the same teacher
// asks nobody. Runs may share a folder: each appends to a file of its own, and a record that a kill cut off is not read.
// Does not own asking (teacher.ts).
import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { toWriteError } from '@relufy/checkpoint/node';
import type { Sequence } from './data/sequences.js';

/** Of one sequence: [scored positions, tokens], a row's likeliest first. */
export interface Answer {
  readonly ids: Int32Array;
  readonly logprobs: Float32Array;
}

/** A record: the sequence's key, a count, then that many ids and that many log-probabilities. */
const [keyBytes, headBytes] = [16, 20];

const suffix = '.answers';

interface Place {
  readonly file: FileHandle;
  readonly at: number;
  readonly count: number;
}

export class TeacherAnswers {
  readonly #folder: string;
  readonly #files: FileHandle[] = [];
  readonly #places = new Map<string, Place>();
  #own: { readonly path: string; readonly file: FileHandle; size: number } | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** The answers of one teacher, in a folder of its own below `folder`. */
  static async open(folder: string, fingerprint: string, tokens: number): Promise<TeacherAnswers> {
    const path = join(folder, `${fingerprint}-${tokens}`);
    await mkdir(path, { recursive: true }).catch(toWriteError(path));
    const answers = new TeacherAnswers(path);
    for (const name of (await readdir(path)).sort()) if (name.endsWith(suffix)) await answers.#read(join(path, name));
    return answers;
  }

  get count(): number {
    return this.#places.size;
  }

  async get(sequence: Sequence): Promise<Answer | undefined> {
    const place = this.#places.get(keyOf(sequence).toString('hex'));
    if (place === undefined) return undefined;
    const bytes = new Uint8Array(8 * place.count);
    await place.file.read(bytes, 0, bytes.length, place.at);
    return {
      ids: new Int32Array(bytes.buffer, 0, place.count),
      logprobs: new Float32Array(bytes.buffer, 4 * place.count, place.count),
    };
  }

  /** @throws RelufyError `io` when it cannot be written. */
  async add(sequence: Sequence, { ids, logprobs }: Answer): Promise<void> {
    const key = keyOf(sequence);
    const own = await this.#ownFile();
    const head = Buffer.alloc(headBytes);
    key.copy(head);
    head.writeUInt32LE(ids.length, keyBytes);
    const record = Buffer.concat([head, bytesOf(ids), bytesOf(logprobs)]);
    for (let done = 0; done < record.length; )
      done += (
        await own.file
          .write(record, done, record.length - done, own.size + done)
          .catch(toWriteError(own.path, "the teacher's answers"))
      ).bytesWritten;
    this.#places.set(key.toString('hex'), { file: own.file, at: own.size + headBytes, count: ids.length });
    own.size += record.length;
  }

  async close(): Promise<void> {
    for (const file of this.#files) await file.close();
  }

  async #read(path: string): Promise<void> {
    const file = await open(path, 'r');
    this.#files.push(file);
    const { size } = await file.stat();
    const head = Buffer.alloc(headBytes);
    for (let at = 0; at + headBytes <= size; ) {
      await file.read(head, 0, headBytes, at);
      const count = head.readUInt32LE(keyBytes);
      const end = at + headBytes + 8 * count;
      if (end > size) return;
      this.#places.set(head.toString('hex', 0, keyBytes), { file, at: at + headBytes, count });
      at = end;
    }
  }

  async #ownFile() {
    if (this.#own) return this.#own;
    const path = join(this.#folder, `${randomUUID()}${suffix}`);
    const file = await open(path, 'wx+').catch(toWriteError(path));
    this.#files.push(file);
    this.#own = { path, file, size: 0 };
    return this.#own;
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Int32Array | Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

const keyOf = ({ ids, mask }: Sequence): Buffer =>
  createHash('sha256').update(bytesOf(ids)).update(mask).digest().subarray(0, keyBytes);
