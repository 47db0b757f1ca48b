// Bytes that people and other systems wrote as text: UTF-8 or UTF-16, with or without a byte order mark, as editors and
// PowerShell write them; the mark is no part of what is said. Anything else is refused. And lines of such text: only line
// feeds and carriage returns end one, for U+2028 and its like are characters that people paste and JSON keeps as they are.
// Does not own files, nor what the texts mean.
import { RelufyError } from './errors.js';

type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * The text of bytes, as they come. `where` says what is read, for the error.
 * @throws RelufyError `input` for bytes that are no text.
 */
export async function* decodeText(where: string, chunks: Chunks): AsyncGenerator<string> {
  let decoder: TextDecoder | undefined;
  let held: Uint8Array = new Uint8Array(0);
  const decode = (bytes: Uint8Array, last: boolean): string => {
    try {
      decoder ??= new TextDecoder(encodingOf(bytes), { fatal: true });
      return decoder.decode(bytes, { stream: !last });
    } catch {
      throw new RelufyError('input', `${where}: expected text in UTF-8 or UTF-16, got other bytes. Save it as UTF-8.`);
    }
  };
  for await (const chunk of chunks) {
    // its first four bytes say how a text is encoded
    held = held.length === 0 ? chunk : joined(held, chunk);
    if (decoder === undefined && held.length < 4) continue;
    yield decode(held, false);
    held = new Uint8Array(0);
  }
  yield decode(held, true);
}

/** Of a text that is held whole: a prompt, a config, a report. Standard input may have no end. */
const mostHeld = 1 << 24;

/**
 * All of it at once.
 * @throws RelufyError `input` for more than is held.
 */
export async function decodeWhole(where: string, chunks: Chunks): Promise<string> {
  let text = '';
  for await (const part of decodeText(where, chunks)) {
    text += part;
    if (text.length > mostHeld)
      throw new RelufyError('input', `${where}: expected at most ${mostHeld} characters, got more. Give a part of it.`);
  }
  return text;
}

/** By its mark, or by the zero in each of its first two letters. @throws for UTF-32, which nobody decodes. */
function encodingOf([a, b, c, d]: Uint8Array): string {
  if ((a === 0xff && b === 0xfe && c === 0 && d === 0) || (a === 0 && b === 0)) throw new RangeError('UTF-32');
  if (a === 0xfe && b === 0xff) return 'utf-16be';
  if (a === 0xff && b === 0xfe) return 'utf-16le';
  if (a === 0 && c === 0) return 'utf-16be';
  return b === 0 && (d === 0 || d === undefined) ? 'utf-16le' : 'utf-8';
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

/** A file that an editor marked begins with U+FEFF, also where it was appended to another one. */
export function withoutMark(text: string): string {
  return text.replace(/^\ufeff+/, '');
}

/** Lines of a text that comes in chunks, without what ends them and without marks before them. */
export class LineSplitter {
  #rest = '';
  #afterReturn = false;

  /** Characters of a line that has no end yet. */
  get pending(): number {
    return this.#rest.length;
  }

  push(chunk: string): string[] {
    // CR LF may be parted by a chunk's end
    const text = this.#afterReturn && chunk.startsWith('\n') ? chunk.slice(1) : chunk;
    if (chunk !== '') this.#afterReturn = chunk.endsWith('\r');
    const lines = text.split(/\r\n|\n|\r/);
    lines[0] = this.#rest + lines[0];
    this.#rest = lines.pop() ?? '';
    return lines.map(withoutMark);
  }

  /** The last line, where nothing ended it. */
  flush(): string[] {
    const rest = withoutMark(this.#rest);
    this.#rest = '';
    return rest === '' ? [] : [rest];
  }
}
