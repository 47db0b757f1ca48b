// The bytes of a file of documents: as it lies there, out of gzip, or out of a tar archive. A task file may be a stranger's
// and name any file: what never ends is not read, and what is packed may not unpack to more than text usually does.
// Does not own what the bytes say (data-files.ts).
import { readNamedFile } from '@relufy/checkpoint/node';
import { RelufyError, show } from '@relufy/tensor';

/** What Node reads at once. */
const mostBytes = 2 ** 31 - 1;

const archives = new Map<string, Promise<ReadonlyMap<string, Uint8Array>>>();

/** The bytes of a file, unpacked where its name ends in .gz; of `archive.tar.gz#member`, that member. */
export async function readBytes(path: string): Promise<Uint8Array> {
  const [archive, member] = path.split('#') as [string, string | undefined];
  if (member === undefined) return readWhole(path, path.endsWith('.gz'));
  const found = (await openArchive(archive)).get(member);
  if (found) return found;
  throw new RelufyError('io', `${archive}: expected a member ${show(member)}, got none. Check the archive.`);
}

/** The members of a tar archive. Each archive is read once. */
export function openArchive(path: string): Promise<ReadonlyMap<string, Uint8Array>> {
  let opened = archives.get(path);
  if (opened === undefined) {
    opened = readWhole(path, path.endsWith('gz')).then((bytes) => tarMembers(path, bytes));
    archives.set(path, opened);
  }
  return opened;
}

function readWhole(path: string, gzip: boolean): Promise<Uint8Array> {
  const refuse = (got: string, cause: unknown) =>
    new RelufyError('input', `${path}: expected a file of at most ${mostBytes} bytes, got ${got}. Check the file.`, {
      cause,
    });
  return readNamedFile(path, { limitBytes: mostBytes, onlyFiles: true, gzip, refuse });
}

/** Blocks of 512 bytes: a header, then the file in as many as it takes. */
function tarMembers(path: string, bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const members = new Map<string, Uint8Array>();
  const field = (at: number, length: number) =>
    new TextDecoder().decode(bytes.subarray(at, at + length)).replace(/\0.*$/s, '');
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0; ) {
    const octal = field(at + 124, 12).trim();
    const size = /^[0-7]*$/.test(octal) ? Number.parseInt(octal || '0', 8) : Number.NaN;
    if (!(at + 512 + size <= bytes.length))
      throw new RelufyError(
        'input',
        `${path}: expected a tar archive, got a member of ${show(octal)} bytes (octal) at ${at}. Check the archive.`,
      );
    const kind = field(at + 156, 1);
    const prefix = field(at + 257, 5) === 'ustar' ? field(at + 345, 155) : '';
    const name = `${prefix === '' ? '' : `${prefix}/`}${field(at, 100)}`.replace(/^\.\//, '');
    if (kind === '' || kind === '0') members.set(name, bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return members;
}
