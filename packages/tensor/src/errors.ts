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

/** A value as an error message shows it: quoted, and never longer than a line. */
export function show(value: unknown): string {
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
