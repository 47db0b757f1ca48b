// The one error class of Relufy and the one way to word it. Every package throws it for bad input;
// a broken invariant of our own throws a plain Error that begins with "internal:".

/** What a caller may branch on. */
export type ErrorCode =
  | 'config' // a model's config.json holds a value that cannot be run
  | 'checkpoint' // a weight file is truncated, lies, or lacks a tensor
  | 'tokenizer' // a tokenizer file or chat template is malformed
  | 'option' // a call or a command line got an unknown or unusable option
  | 'input' // a prompt or token id cannot be run (too long, out of range)
  | 'program' // a program does not validate
  | 'backend' // a backend is unavailable, out of memory, or its worker died
  | 'state' // the call came at the wrong time, for example after dispose()
  | 'io'; // a file or a server could not be read or written

const marker = Symbol.for('relufy.error');

/** Thrown for every bad input, worded `where: what, expected, got. Remedy.` */
export class RelufyError extends Error {
  readonly [marker] = true;
  override readonly name = 'RelufyError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** Works across copies of the package, where `instanceof` does not. */
  static is(error: unknown): error is RelufyError {
    return typeof error === 'object' && error !== null && marker in error;
  }
}

/**
 * A value as an error message shows it: as JSON, never longer than a line, without characters that a terminal would act
 * on. Takes anything, and reads no more of it than it shows: what a file holds may be huge, circular or no JSON at all.
 */
export function show(value: unknown): string {
  const text = write(value, 0);
  return text.length > mostShown ? `${text.slice(0, mostShown - 3)}...` : text;
}

/** Names as an error message lists them: the first of them, and how many more there are, however many a file has. */
export function showNames(names: Iterable<string>, most = 6): string {
  const shown: string[] = [];
  let more = 0;
  for (const name of names)
    if (shown.length < most) shown.push(show(name).replace(/^"|"$/g, ''));
    else more++;
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

const mostShown = 80;

/** At least the first `mostShown` characters of the JSON of a value. */
function write(value: unknown, depth: number): string {
  if (typeof value === 'string') return writeText(value);
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? '0' : String(value);
  if (depth > 8) return '...';
  try {
    if (ArrayBuffer.isView(value) && !(value instanceof DataView))
      return writeAll('[', value as unknown as Iterable<unknown>, ']', (item) => write(item, depth + 1));
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON === 'function') return write(toJSON.call(value), depth + 1);
    if (Array.isArray(value)) return writeAll('[', value, ']', (item) => write(item, depth + 1));
    const tag = Object.prototype.toString.call(value).slice(8, -1);
    if (tag === 'RegExp' || tag === 'Error') return String(value);
    if (tag !== 'Object') return `a ${tag}`;
    return writeAll('{', ownKeys(value), '}', (key) => {
      const item = (value as Record<string, unknown>)[key];
      return item === undefined ? undefined : `${writeText(key)}:${write(item, depth + 1)}`;
    });
  } catch {
    return 'a value that cannot be shown';
  }
}

function* ownKeys(value: object): Generator<string> {
  for (const key in value) if (Object.hasOwn(value, key)) yield key;
}

function writeAll<T>(open: string, items: Iterable<T>, close: string, item: (item: T) => string | undefined): string {
  let text = open;
  for (const next of items) {
    const written = item(next);
    if (written === undefined) continue;
    text += text === open ? written : `,${written}`;
    if (text.length > mostShown) return text;
  }
  return text + close;
}

/** DEL, the second set of control codes, and what reverses or hides text; JSON itself escapes the first set. */
const acting = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

function writeText(text: string): string {
  return JSON.stringify(text.slice(0, mostShown + 1)).replace(
    acting,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
