// How a model's answer is taken apart, as data: regions that begin and end at marks, and what each holds. This is the
// `response_template` that Hugging Face puts into tokenizer_config.json beside a chat template (transformers 5.13); formats
// of models that have none are written the same way (known-formats.ts). Does not own reading an answer (region-parser.ts).
import type { PatternEngine } from '@relufy/tokenizer';
import { type ContentParser, contentParsers, pythonPattern } from './content-parsers.js';

/** Where a region begins or ends: texts, or a pattern. */
export interface Mark {
  /** Longest first. */
  readonly texts: readonly string[];
  readonly pattern: PatternEngine | undefined;
  /** What a match of the pattern begins with; none known: it may begin anywhere. */
  readonly beginnings: readonly string[];
  /** Characters after which a beginning that led to nothing is let go. */
  readonly patience: number;
}

export interface Region {
  /** The key of the message: `content`, `reasoning_content`, `tool_calls`. */
  readonly name: string;
  /** None: what no other region has. */
  readonly open: Mark | undefined;
  /** None: to the end of the answer. */
  readonly close: Mark | undefined;
  readonly parse: ContentParser;
  readonly args: Readonly<Record<string, unknown>>;
  /** The text of the region is the value; it can be handed on while it comes. */
  readonly isText: boolean;
  readonly transform: unknown;
  readonly transformsEach: boolean;
}

export interface ResponseTemplate {
  readonly regions: readonly Region[];
  /** What opens the assistant's turn in a prompt: what stands after it belongs to the answer. */
  readonly anchor: Mark | undefined;
  /** Further special tokens that must not be left out of the text. */
  readonly marks: readonly string[];
}

/** Characters that are held back at most, for what a pattern may still become. */
const mostPatience = 4096;

type Fields = Readonly<Record<string, unknown>>;
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @throws Error that says what of it cannot be run: then the answer is taken apart by a known format. */
export function readResponseTemplate(spec: unknown): ResponseTemplate {
  if (!isFields(spec) || (spec.version ?? 1) !== 1 || !isFields(spec.fields))
    throw new Error('response_template: expected version 1 with fields');
  const regions = Object.entries(spec.fields).map(([name, field]) => readRegion(name, field));
  if (regions.filter(({ open }) => open === undefined).length > 1)
    throw new Error('response_template: expected one field without "open", got more');
  const marks = Array.isArray(spec.marks) ? spec.marks.filter((mark) => typeof mark === 'string') : [];
  return { regions, anchor: readMark(spec, 'start_anchor', 'start_anchor_pattern'), marks };
}

function readRegion(name: string, field: unknown): Region {
  if (!isFields(field)) throw new Error(`response_template "${name}": expected an object`);
  const { content = 'text', content_args: args = {}, transform, transform_each: each = false } = field;
  const parse = typeof content === 'string' ? contentParsers.get(content) : undefined;
  if (parse === undefined || !isFields(args))
    throw new Error(`response_template "${name}": expected a content parser, got ${JSON.stringify(content)}`);
  return {
    name,
    open: readMark(field, 'open', 'open_pattern'),
    close: readMark(field, 'close', 'close_pattern'),
    parse,
    args,
    isText: content === 'text',
    transform,
    transformsEach: each === true,
  };
}

function readMark(field: Fields, textKey: string, patternKey: string): Mark | undefined {
  const text = field[textKey];
  if (text !== undefined) {
    const texts = (Array.isArray(text) ? text : [text]).filter((each) => typeof each === 'string' && each !== '');
    if (texts.length === 0) throw new Error(`response_template "${textKey}": expected texts`);
    return { texts: texts.sort((a, b) => b.length - a.length), pattern: undefined, beginnings: [], patience: 0 };
  }
  const source = field[patternKey];
  if (source === undefined) return undefined;
  if (typeof source !== 'string' || source.length > 2000)
    throw new Error(`response_template "${patternKey}": expected a pattern`);
  const { beginnings = beginningOf(source), patience = mostPatience } = field;
  if (!Array.isArray(beginnings) || !beginnings.every((each) => typeof each === 'string' && each !== ''))
    throw new Error('response_template "beginnings": expected texts');
  if (!Number.isInteger(patience) || (patience as number) < 0)
    throw new Error('response_template "patience": expected a number of characters');
  return {
    texts: [],
    pattern: pythonPattern(source),
    beginnings,
    patience: Math.min(patience as number, mostPatience),
  };
}

/** The text that every match of a pattern begins with, as far as it is plain. */
function beginningOf(source: string): readonly string[] {
  // alternatives on the top level begin differently
  if (/(?<!\\)\|/.test(source.replaceAll(/\((?:[^()\\]|\\.)*\)/g, ''))) return [];
  const plain = /^(?:[^\\^$.*+?()[\]{}|]|\\[^a-zA-Z0-9])+/.exec(source)?.[0] ?? '';
  const rest = source.slice(plain.length);
  // what a quantifier follows may be missing
  const sure = /^[*?{]/.test(rest) ? plain.replace(/(\\.|.)$/s, '') : plain;
  const text = sure.replaceAll(/\\(.)/gs, '$1');
  return text === '' ? [] : [text];
}

export interface Found {
  readonly start: number;
  readonly end: number;
  readonly groups: Readonly<Record<string, string>>;
}

/**
 * The first match of a mark from `from` on; or where one may be beginning, which is the text's length where none is.
 * `isWhole`: no more text comes.
 */
export function findMark(
  mark: Mark,
  text: string,
  from: number,
  isWhole: boolean,
): { readonly found?: Found; readonly hold: number } {
  return mark.pattern ? findPattern(mark, text, from, isWhole) : findTexts(mark.texts, text, from, isWhole);
}

function findTexts(texts: readonly string[], text: string, from: number, isWhole: boolean) {
  let found: Found | undefined;
  for (const each of texts) {
    const start = text.indexOf(each, from);
    if (start >= 0 && (found === undefined || start < found.start))
      found = { start, end: start + each.length, groups: {} };
  }
  if (isWhole) return { ...(found && { found }), hold: text.length };
  // a longer mark may be on its way at the same place
  const grows =
    found !== undefined &&
    texts.some(
      (each) =>
        each.length > text.length - (found as Found).start && each.startsWith(text.slice((found as Found).start)),
    );
  if (found !== undefined && grows) return { hold: found.start };
  return { ...(found && { found }), hold: found?.start ?? beginningAt(texts, text, from) };
}

/** Where the text ends with the beginning of one of these. */
export function beginningAt(texts: readonly string[], text: string, from: number): number {
  const longest = Math.max(0, ...texts.map(({ length }) => length));
  for (let at = Math.max(from, text.length - longest + 1); at < text.length; at++)
    if (texts.some((each) => each.startsWith(text.slice(at)))) return at;
  return text.length;
}

function findPattern({ pattern, beginnings, patience }: Mark, text: string, from: number, isWhole: boolean) {
  const search = pattern as PatternEngine;
  search.lastIndex = from;
  const match = search.exec(text);
  const found = match && { start: match.index, end: match.index + match[0].length, groups: { ...match.groups } };
  if (isWhole) return { ...(found && { found }), hold: text.length };
  // one that ends where the text does could still become longer
  if (found && found.end < text.length) return { found, hold: found.start };
  if (found) return { hold: found.start };
  if (beginnings.length === 0) return { hold: Math.max(from, text.length - patience) };
  const begun = beginnings
    .map((each) => text.indexOf(each, Math.max(from, text.length - patience)))
    .filter((at) => at >= 0);
  return { hold: Math.min(beginningAt(beginnings, text, from), ...begun) };
}
