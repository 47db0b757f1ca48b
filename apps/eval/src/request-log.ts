// The append-only log of an evaluation: one JSON line a scored group, written before anything counts as done. Whatever
// ends the process, the log holds all whole lines; a torn last line is cut off when it is opened again.
// Does not own what a line says (run-task.ts).
import { closeSync, openSync, truncateSync, writeSync } from 'node:fs';
import { readNamedFileIfThere } from '@relufy/checkpoint/node';
import { RelufyError, show } from '@relufy/tensor';

export class RequestLog {
  readonly #path: string;
  readonly #file: number;
  /** The lines that were there, in order. */
  readonly entries: readonly unknown[];

  private constructor(path: string, file: number, entries: readonly unknown[]) {
    this.#path = path;
    this.#file = file;
    this.entries = entries;
  }

  /**
   * Begins a log, or goes on with one whose first line is the same `header`.
   * @throws RelufyError `option` when there is a log and `resume` is not asked for, or its header differs.
   */
  static async open(path: string, header: Readonly<Record<string, unknown>>, resume: boolean): Promise<RequestLog> {
    const bytes = await readNamedFileIfThere(path, { limitBytes: mostBytes, onlyFiles: true });
    const before = bytes && new TextDecoder().decode(bytes);
    const wanted = JSON.stringify(header);
    const whole = before === undefined ? '' : before.slice(0, before.lastIndexOf('\n') + 1);
    const written = whole.split('\n').slice(0, -1);
    // a header alone holds nothing: that run ended before it scored
    const lines = written.length > 1 ? written : [];
    if (lines.length > 0) {
      if (!resume)
        throw new RelufyError(
          'option',
          `${path}: expected no earlier run, got one. Go on with it (--resume), or name another folder.`,
        );
      if (lines[0] !== wanted) throw headerError(path, lines[0] as string, header);
      truncateSync(path, Buffer.byteLength(whole));
    }
    const file = openSync(path, lines.length > 0 ? 'a' : 'w');
    const log = new RequestLog(
      path,
      file,
      lines.slice(1).map((line, at) => parseLine(path, line, at + 2)),
    );
    if (lines.length === 0) log.#write(wanted);
    return log;
  }

  append(entry: object): void {
    this.#write(JSON.stringify(entry));
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(line: string): void {
    const bytes = Buffer.from(`${line}\n`);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
    } catch (error) {
      throw new RelufyError(
        'io',
        `${this.#path}: expected room for one more line, got ${(error as Error).message}. What is written stays; go on with --resume.`,
        { cause: error },
      );
    }
  }
}

/** JavaScript holds no longer text. */
const mostBytes = 2 ** 29 - 24;

function parseLine(path: string, line: string, at: number): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new RelufyError(
      'io',
      `${path} line ${at}: expected JSON, got ${show(line)}. Begin again in another folder, or cut the file before that line.`,
      { cause: error },
    );
  }
}

function headerError(path: string, line: string, header: Readonly<Record<string, unknown>>): RelufyError {
  const there = parseLine(path, line, 1) as Record<string, unknown>;
  const key = Object.keys({ ...there, ...header }).find(
    (name) => JSON.stringify(there[name]) !== JSON.stringify(header[name]),
  );
  return new RelufyError(
    'option',
    `${path}: expected a run with ${key} ${show(header[key as string])}, got one with ${show(there[key as string])}. Resume with the same options, or name another folder.`,
  );
}
