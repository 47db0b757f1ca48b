// What the text of a region means: text, numbers, JSON, tags, calls. The parsers that response templates name, and two of
// our own for formats that have no template. Does not own where a region begins and ends (response-template.ts).

import { boundedPattern, type PatternEngine } from '@relufy/tokenizer';

export type Args = Readonly<Record<string, unknown>>;
/** @throws Error for a text that is none of its kind. */
export type ContentParser = (text: string, args: Args) => unknown;

const stripped = (text: string, { strip = true }: Args): string => (strip === false ? text : text.trim());

function json(text: string, args: Args): unknown {
  const kept: string[] = [];
  let plain = text;
  for (const pair of Array.isArray(args.string_delims) ? (args.string_delims as readonly unknown[]) : []) {
    const [open, close] = Array.isArray(pair) ? (pair as readonly unknown[]) : [];
    if (typeof open !== 'string' || typeof close !== 'string' || open === '' || close === '')
      throw new Error('string_delims: expected pairs of texts');
    let at = plain.indexOf(open);
    while (at >= 0) {
      const end = plain.indexOf(close, at + open.length);
      if (end < 0) break;
      kept.push(plain.slice(at + open.length, end));
      plain = `${plain.slice(0, at)}\ue000${kept.length - 1}\ue001${plain.slice(end + close.length)}`;
      at = plain.indexOf(open);
    }
  }
  if (args.unquoted_keys === true)
    plain = plain.replaceAll(/"(?:\\.|[^"\\])*"|(?<=[{,])(\s*)(\w+)(\s*):/gs, (whole, before, key, after) =>
      key === undefined ? whole : `${before}"${key}"${after}:`,
    );
  plain = plain.replaceAll(/\ue000(\d+)\ue001/g, (_, index) => JSON.stringify(kept[Number(index)]));
  try {
    return JSON.parse(plain) as unknown;
  } catch (error) {
    if (args.allow_non_json === true) return stripped(text, args);
    throw error;
  }
}

function inner(text: string, parser: unknown): unknown {
  if (typeof parser !== 'object' || parser === null) return text;
  const { name = 'text', args = {} } = parser as { readonly name?: string; readonly args?: Args };
  const parse = contentParsers.get(name);
  if (parse === undefined) throw new Error(`no content parser ${name}`);
  return parse(text, args);
}

/** A pattern as Python spells it, in a budget of steps: it came with a model. @throws SyntaxError for what cannot be run so. */
export function pythonPattern(source: string): PatternEngine {
  const pattern = source.replaceAll('(?P<', '(?<').replaceAll('\\Z', '$(?![\\s\\S])');
  const from = { where: 'response_template: pattern', file: 'tokenizer_config.json', code: 'tokenizer' } as const;
  return boundedPattern(pattern, 'gs', from);
}

/** `<parameter=city>Paris</parameter>` and the like, by a pattern with the groups `key` and `value`. */
function tags(text: string, args: Args): unknown {
  const pattern = pythonPattern(String(args.tag_pattern));
  const out = new Map<string, unknown>();
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    const { groups } = match;
    if (match[0] === '') pattern.lastIndex++;
    const key = groups?.key;
    if (key === undefined) throw new Error('tag_pattern: expected a group "key"');
    const value = inner(groups?.value ?? '', args.value_parser);
    const before = out.get(key);
    const merges = args.merge_duplicates === true && out.has(key);
    out.set(key, merges ? [...(Array.isArray(before) ? before : [before]), value] : value);
  }
  return Object.fromEntries(out);
}

function lines(text: string, args: Args): unknown {
  const { line_sep: between = '\n', kv_sep: equals = ':' } = args as { line_sep?: string; kv_sep?: string };
  return Object.fromEntries(
    text.split(between).flatMap((line) => {
      const at = line.indexOf(equals);
      if (at < 0) return [];
      const key = stripped(line.slice(0, at), args);
      return [[key, inner(stripped(line.slice(at + equals.length), args), args.value_parser)]];
    }),
  );
}

/** JSON values one after the other, with blanks or semicolons between them; a list counts as its items. */
function jsonSequence(text: string): unknown[] {
  const values: unknown[] = [];
  for (let at = 0; ; ) {
    while (/[\s;,]/.test(text[at] ?? '')) at++;
    if (at >= text.length) return values;
    const end = endOfJson(text, at);
    const value = JSON.parse(text.slice(at, end)) as unknown;
    values.push(...(Array.isArray(value) ? value : [value]));
    at = end;
  }
}

/** After the object or list that begins at `at`; the text's length where it does not end. */
export function endOfJson(text: string, at: number): number {
  let depth = 0;
  let quoted = false;
  for (let i = at; i < text.length; i++) {
    const character = text[i];
    if (quoted) {
      if (character === '\\') i++;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === '{' || character === '[') depth++;
    else if ((character === '}' || character === ']') && --depth <= 0) return i + 1;
  }
  return text.length;
}

/** `[{"name": ..., "arguments": {...}}]`, or `name[ARGS]{...}` as newer models of Mistral write. */
function mistralCalls(text: string): unknown[] {
  const calls: unknown[] = [];
  for (const part of text.split('[TOOL_CALLS]')) {
    if (/^\s*[[{]/.test(part)) {
      calls.push(...jsonSequence(part));
      continue;
    }
    const [, name, rest] = /^\s*([\w.-]+)(?:\[CALL_ID\]\w+)?(?:\[ARGS\])?\s*(\{.*)$/s.exec(part) ?? [];
    if (name === undefined || rest === undefined) throw new Error('no call');
    calls.push({ name, arguments: JSON.parse(rest.slice(0, endOfJson(rest, 0))) as unknown });
  }
  return calls;
}

const number = (text: string): number => {
  const value = Number(text.trim());
  if (text.trim() === '' || Number.isNaN(value)) throw new Error('no number');
  return value;
};

export const contentParsers: ReadonlyMap<string, ContentParser> = new Map<string, ContentParser>([
  ['text', stripped],
  ['int', (text) => Math.trunc(number(text))],
  ['float', number],
  ['bool', (text) => ['true', '1'].includes(text.trim().toLowerCase())],
  ['json', json],
  ['xml-inline', tags],
  ['kv-lines', lines],
  ['json-sequence', jsonSequence],
  ['mistral-calls', mistralCalls],
]);

/** Puts what was parsed where a template says: `"{content.name}"` is the name in the region's value. */
export function transformed(transform: unknown, scope: Readonly<Record<string, unknown>>): unknown {
  if (Array.isArray(transform)) return transform.map((each) => transformed(each, scope));
  if (typeof transform === 'object' && transform !== null)
    return Object.fromEntries(Object.entries(transform).map(([key, each]) => [key, transformed(each, scope)]));
  const path = typeof transform === 'string' ? /^\{(\w+(?:\.\w+)*)\}$/.exec(transform)?.[1] : undefined;
  if (path === undefined) return transform;
  let value: unknown = scope;
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) throw new Error(`no ${path}`);
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return value;
}
