// The body of a request as JSON: read within a limit, and its fields one by one, each checked by a rule. Fields that
// nobody reads are accepted, and told once in the log. Does not own which fields a route has.
import { parseJson, RelufyError, type Rule, show } from '@relufy/tensor';
import { ApiError, badField } from './api-error.js';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Reads the whole body as JSON. @throws ApiError 400 for what is no JSON object, 413 beyond `most` bytes. */
export async function readBody(request: Request, most: number): Promise<Body> {
  const text = await readText(request, most);
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    const reason = error instanceof SyntaxError ? error.message.split('\n')[0] : 'it cannot be read';
    throw new ApiError(400, `The body is not valid JSON: ${show(reason).slice(1, -1)}.`, { code: 'invalid_json' });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ApiError(400, `The body: expected a JSON object, got ${show(value)}.`, { code: 'invalid_json' });
  return new Body(withoutPrototypes(value, text) as Readonly<Record<string, unknown>>);
}

export async function readText(request: Request, most: number): Promise<string> {
  const tooLarge = () =>
    new ApiError(413, `The body: expected at most ${most} bytes. Send less, or raise the server's --body-limit.`, {
      code: 'body_too_large',
    });
  if (Number(request.headers.get('content-length') ?? 0) > most) throw tooLarge();
  if (request.body === null) return '';
  const parts: Uint8Array[] = [];
  let length = 0;
  const reader = request.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.byteLength;
    if (length > most) {
      reader.cancel().catch(() => {});
      throw tooLarge();
    }
    parts.push(value);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(whole);
  } catch {
    throw new ApiError(400, 'The body: expected UTF-8, got other bytes.', { code: 'invalid_json' });
  }
}

/** A key `__proto__` of JSON is a key like others until somebody assigns it to an object; nobody here needs one. */
function withoutPrototypes(value: unknown, text: string): unknown {
  if (!/__proto__|\\u005f|\\u005F/.test(text)) return value;
  const clean = (part: unknown): unknown => {
    if (Array.isArray(part)) return part.map(clean);
    if (typeof part !== 'object' || part === null) return part;
    return Object.fromEntries(
      Object.entries(part).flatMap(([key, inner]) => (key === '__proto__' ? [] : [[key, clean(inner)]])),
    );
  };
  return clean(value);
}

/** A JSON object whose fields are read by name. A field that is null counts as one that is not there. */
export class Body {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #where: string;
  readonly #read = new Set<string>();

  /** `where` goes before the names of its fields in errors: `stream_options.`. */
  constructor(fields: Readonly<Record<string, unknown>>, where = '') {
    this.#fields = fields;
    this.#where = where;
  }

  has(name: string): boolean {
    return this.raw(name) !== undefined;
  }

  /** Whatever the field holds, unchecked. */
  raw(name: string): unknown {
    this.#read.add(name);
    return Object.hasOwn(this.#fields, name) ? (this.#fields[name] ?? undefined) : undefined;
  }

  /** @throws ApiError 400 that names the field, where its value does not fit the rule. */
  get<T>(name: string, rule: Rule): T | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (!rule.fits(value)) throw badField(this.#where + name, rule.expected, show(value));
    return value as T;
  }

  /** The first of several names for the same thing that is there. */
  first<T>(names: readonly string[], rule: Rule): T | undefined {
    const values = names.map((name) => this.get<T>(name, rule));
    return values.find((value) => value !== undefined);
  }

  /** @throws ApiError 400 where it is missing. */
  required<T>(name: string, rule: Rule): T {
    const value = this.get<T>(name, rule);
    if (value === undefined) throw badField(this.#where + name, rule.expected, 'nothing');
    return value;
  }

  object(name: string): Body | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw badField(this.#where + name, 'an object', show(value));
    return new Body(value as Readonly<Record<string, unknown>>, `${this.#where}${name}.`);
  }

  /** Fields that are taken for what they are and change nothing. */
  ignore(...names: readonly string[]): void {
    for (const name of names) this.#read.add(name);
  }

  /** Names of fields that nobody has asked for. */
  unread(): readonly string[] {
    return Object.keys(this.#fields).filter((name) => !this.#read.has(name));
  }
}

/** Words an error about a field by the field's name, where a call of ours would name its own option. */
export function naming<T>(param: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!RelufyError.is(error)) throw error;
    throw new ApiError(400, `${param}: ${error.message}`, { param, code: 'invalid_value' }, { cause: error });
  }
}
