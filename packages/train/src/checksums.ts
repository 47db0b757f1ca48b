// SHA-256 of a folder's files, in a file of their own as `sha256sum` writes them: `sha256sum -c SHA256SUMS` says the same.
// Owns taking them while files are written, and saying what differs. Does not own what is done about it.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { readNamedFile } from '@relufy/checkpoint/node';
import { show } from '@relufy/tensor';

export const checksumFile = 'SHA256SUMS';

const linePattern = /^([0-9a-f]{64}) [ *](.+)$/;

/** The checksums of what goes through. */
export class Checksums {
  readonly #lines: string[] = [];

  async *through(name: string, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const hash = createHash('sha256');
    for await (const piece of pieces) {
      hash.update(piece);
      yield piece;
    }
    this.#lines.push(`${hash.digest('hex')}  ${name}\n`);
  }

  /** What `checksumFile` holds. */
  toString(): string {
    return this.#lines.join('');
  }
}

export async function hasChecksums(folder: string): Promise<boolean> {
  return stat(join(folder, checksumFile)).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  );
}

/** What of a folder's files is not as it was written; undefined when all is. `files` must be among those listed. */
export async function differenceFrom(folder: string, files: readonly string[]): Promise<string | undefined> {
  const refuse = (got: string) => new Error(`${checksumFile}: expected a readable file, got ${got}`);
  const bytes = await readNamedFile(join(folder, checksumFile), { onlyFiles: true, refuse }).catch(
    (error: Error) => error,
  );
  if (bytes instanceof Error) return bytes.message;
  const lines = new TextDecoder().decode(bytes).split('\n').slice(0, -1);
  const expected = new Map<string, string>();
  for (const line of lines) {
    const [, sum = '', name = ''] = linePattern.exec(line) ?? [];
    if (name === '' || basename(name) !== name)
      return `${checksumFile}: expected a checksum and a name a line, got ${show(line)}`;
    expected.set(name, sum);
  }
  const unlisted = files.find((file) => !expected.has(file));
  if (unlisted !== undefined) return `${checksumFile}: expected the checksum of ${unlisted}, got none`;
  for (const [name, sum] of expected) {
    const got = await checksumOf(join(folder, name)).catch((error: NodeJS.ErrnoException) => error.code);
    if (got !== sum) return `${name}: expected the SHA-256 ${shortened(sum)}, got ${shortened(got)}`;
  }
  return undefined;
}

async function checksumOf(path: string): Promise<string> {
  // a pipe would be waited for
  if (!(await stat(path)).isFile()) return 'no file';
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}

const shortened = (sum = 'nothing'): string => (sum.length === 64 ? `${sum.slice(0, 12)}...` : sum);
