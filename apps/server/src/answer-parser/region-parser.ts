// An answer, while it is written, into text, reasoning and calls, by a response template. Text is handed on as soon as it
// cannot be the beginning of a mark; a call when it is whole and parses, or, where the model can write no other, as it comes
// (call-stream.ts). Does not own the templates (known-formats.ts, a model's tokenizer_config.json).
import type { Piece } from '@relufy/models';
import type { AnswerParser, AnswerPart } from './answer-parser.js';
import { CallStream } from './call-stream.js';
import { transformed } from './content-parsers.js';
import { type Found, findMark, type Region, type ResponseTemplate } from './response-template.js';

export interface ParserOptions {
  /** What of the prompt belongs to the answer already, such as an opened region. */
  readonly prefix: string;
  /** Special tokens that are marks: they are no part of a piece's text. */
  readonly marks: ReadonlyMap<number, string>;
  /** Names that may be called, with the schemas of their parameters; undefined: calls are text. */
  readonly tools: ReadonlyMap<string, unknown> | undefined;
  /** The model can only write calls that fit: they are handed on while they come. */
  readonly isHeld?: boolean;
}

const reasoningNames: ReadonlySet<string> = new Set(['reasoning_content', 'thinking', 'reasoning']);

export class RegionParser implements AnswerParser {
  readonly #template: ResponseTemplate;
  readonly #options: ParserOptions;
  readonly #implicit: Region | undefined;
  #text = '';
  #at = 0;
  #region: Region | undefined;
  #body = '';
  /** What a region held that turned out to be no call. */
  #rawText = '';
  #captures: Readonly<Record<string, string>> = {};
  /** Of the region's text: blanks that may turn out to end it. */
  #blanks = '';
  #hasText = false;
  #calls = 0;
  readonly #stream: CallStream | undefined;

  constructor(template: ResponseTemplate, options: ParserOptions) {
    this.#template = template;
    this.#options = options;
    this.#stream = options.isHeld ? new CallStream(callId) : undefined;
    this.#implicit = template.regions.find(({ open }) => open === undefined);
    this.#region = this.#implicit;
    this.#text = options.prefix;
    this.#advance(false);
  }

  get hasCalls(): boolean {
    return this.#calls + (this.#stream?.calls ?? 0) > 0;
  }

  push({ tokenId, text }: Piece): readonly AnswerPart[] {
    this.#text += text + (this.#options.marks.get(tokenId) ?? '');
    return this.#advance(false);
  }

  end(): readonly AnswerPart[] {
    return this.#advance(true);
  }

  #advance(isWhole: boolean): readonly AnswerPart[] {
    const parts: AnswerPart[] = [];
    for (;;) {
      const { mark, hold } = this.#next(isWhole);
      if (mark === undefined) {
        if (hold > this.#at) this.#take(this.#text.slice(this.#at, hold), parts);
        this.#at = Math.max(this.#at, hold);
        break;
      }
      const { found, region } = mark;
      this.#take(this.#text.slice(this.#at, found.start), parts);
      const isNowhere = found.end === found.start && region === undefined;
      this.#at = found.end;
      this.#close(parts, region === undefined ? found : undefined);
      if (region !== undefined) {
        this.#region = region;
        this.#captures = found.groups;
      }
      if (isNowhere) break;
    }
    if (isWhole) this.#close(parts, undefined);
    // what has been read is not needed again
    this.#text = this.#text.slice(this.#at);
    this.#at = 0;
    return parts;
  }

  /** The next mark that counts here, or up to where the text is sure. `region`: it opens one. */
  #next(isWhole: boolean): { mark?: { found: Found; region: Region | undefined }; hold: number } {
    let best: { found: Found; region: Region | undefined } | undefined;
    let hold = this.#text.length;
    const look = (region: Region, opens: boolean) => {
      const mark = opens ? region.open : region.close;
      if (mark === undefined || (opens && region.name === 'tool_calls' && this.#options.tools === undefined)) return;
      const got = findMark(mark, this.#text, this.#at, isWhole);
      if (got.found === undefined) hold = Math.min(hold, got.hold);
      else if (best === undefined || got.found.start < best.found.start)
        best = { found: got.found, region: opens ? region : undefined };
    };
    if (this.#region !== undefined && this.#region !== this.#implicit) look(this.#region, false);
    else {
      for (const region of this.#template.regions) look(region, true);
      if (this.#implicit) look(this.#implicit, false);
    }
    // one that may be beginning before it could be the real one
    return best !== undefined && best.found.start <= hold ? { mark: best, hold } : { hold };
  }

  #take(text: string, parts: AnswerPart[]): void {
    if (text === '' || this.#region === undefined) return;
    if (!this.#region.isText) {
      if (this.#stream !== undefined && this.#region.name === 'tool_calls') parts.push(...this.#stream.push(text));
      else this.#body += text;
      return;
    }
    const kind = kindOf(this.#region);
    if (kind === undefined) return;
    if (this.#region.args.strip === false) {
      parts.push({ kind, text });
      return;
    }
    // blanks around a region's text are not part of it
    const whole = this.#blanks + (this.#hasText ? text : text.trimStart());
    const sure = whole.trimEnd();
    this.#blanks = this.#hasText || sure !== '' ? whole.slice(sure.length) : '';
    if (sure === '') return;
    this.#hasText = true;
    parts.push({ kind, text: sure });
  }

  #close(parts: AnswerPart[], end: Found | undefined): void {
    const region = this.#region;
    if (region !== undefined && !region.isText && this.#body !== '') {
      const calls = region.name === 'tool_calls' ? this.#callsOf(region, end) : [];
      if (calls === undefined) parts.push({ kind: 'text', text: this.#rawText });
      else for (const call of calls) this.#emit(call, parts);
    }
    this.#region = this.#implicit;
    this.#body = '';
    this.#captures = {};
    this.#blanks = '';
    // the text that a call interrupted goes on as a new one
    this.#hasText = false;
    this.#rawText = '';
  }

  /** Undefined for what is no call: then it was text. */
  #callsOf(region: Region, end: Found | undefined): readonly Call[] | undefined {
    this.#rawText = this.#body;
    try {
      const scope = { ...this.#captures, ...end?.groups };
      const content = region.parse(this.#body, region.args);
      const value =
        region.transform === undefined
          ? content
          : region.transformsEach
            ? (content as readonly object[]).map((each) => transformed(region.transform, { ...scope, ...each }))
            : transformed(region.transform, { ...scope, content });
      const calls = (Array.isArray(value) ? value : [value]).map(asCall);
      return calls.length > 0 && calls.every((call) => call !== undefined && this.#options.tools?.has(call.name))
        ? (calls as readonly Call[])
        : undefined;
    } catch {
      return undefined;
    }
  }

  #emit({ name, args }: Call, parts: AnswerPart[]): void {
    const call = this.#calls++;
    const fitted = fittedTo(args, this.#options.tools?.get(name));
    parts.push({ kind: 'call', call, id: callId(), name }, { kind: 'arguments', call, text: JSON.stringify(fitted) });
  }
}

const kindOf = ({ name }: Region): 'text' | 'reasoning' | undefined =>
  name === 'content' ? 'text' : reasoningNames.has(name) ? 'reasoning' : undefined;

interface Call {
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** `{ name, arguments }`, with `parameters` for arguments, or with both under `function`. */
function asCall(value: unknown): Call | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const given = value as Readonly<Record<string, unknown>>;
  if (typeof given.function === 'object') return asCall(given.function);
  const { name } = given;
  let args = given.arguments ?? given.parameters ?? {};
  if (typeof args === 'string') args = JSON.parse(args) as unknown as object;
  if (typeof name !== 'string' || typeof args !== 'object' || args === null || Array.isArray(args)) return undefined;
  return { name, args: args as Readonly<Record<string, unknown>> };
}

/** Formats that write every argument as text leave it to the schema what it is. */
function fittedTo(args: Readonly<Record<string, unknown>>, schema: unknown): Readonly<Record<string, unknown>> {
  const { properties } = (schema ?? {}) as { readonly properties?: Readonly<Record<string, unknown>> };
  if (typeof properties !== 'object' || properties === null) return args;
  return Object.fromEntries(
    Object.entries(args).map(([key, value]) => {
      const { type } = (Object.hasOwn(properties, key) ? (properties[key] ?? {}) : {}) as { readonly type?: unknown };
      return [key, typeof value === 'string' ? fittedValue(value, type) : value];
    }),
  );
}

function fittedValue(text: string, type: unknown): unknown {
  if (type === 'integer' || type === 'number') {
    const value = Number(text);
    return text.trim() !== '' && Number.isFinite(value) && (type === 'number' || Number.isInteger(value))
      ? value
      : text;
  }
  if (type === 'boolean') return { true: true, false: false }[text.trim().toLowerCase()] ?? text;
  if (type !== 'object' && type !== 'array') return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** Nine letters and digits: templates of Mistral's models take nothing else, and others take anything. */
export function callId(): string {
  const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
  return Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => letters[byte % 62]).join('');
}
