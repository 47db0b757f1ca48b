// Files of documents: Parquet, JSON lines, JSON, CSV, raw text, gzipped or in a tar archive, named `archive.tar.gz#member`.
// Does not own which file belongs to a split (task-data.ts).
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { RelufyError, show } from '@relufy/tensor';
import { markFloat, parsePythonJson } from '@relufy/tokenizer/jinja';
import type { Doc } from './processors.js';

const unzip = promisify(gunzip);

/** Extensions that a file of documents can have, besides `.gz`. */
export const dataExtensions = ['.parquet', '.jsonl', '.json', '.csv', '.raw', '.txt'] as const;

const archives = new Map<string, Promise<ReadonlyMap<string, Uint8Array>>>();

/**
 * The documents of a file. Raw text is one document with the field `text`; CSV has the fields of its header, or
 * `column0`, `column1`, ... where `header` is false.
 */
export async function readDocs(path: string, { header = true } = {}): Promise<Doc[]> {
  let content: string;
  try {
    const bytes = await readBytes(path);
    if (path.endsWith('.parquet')) return await parquetDocs(bytes);
    content = decodeText(bytes);
  } catch (error) {
    if (RelufyError.is(error)) throw error;
    throw unreadable(path, path.endsWith('.parquet') ? 'a Parquet file' : 'a readable file of UTF-8 text', error);
  }
  const name = path.replace(/\.gz$/, '');
  if (/\.jsonl?$/.test(name)) return jsonDocs(path, content);
  if (name.endsWith('.csv')) return csvDocs(content, header);
  return [{ text: content }];
}

/** A byte order mark is no part of the text. @throws TypeError for what is not UTF-8. */
export const decodeText = (bytes: Uint8Array): string => new TextDecoder('utf-8', { fatal: true }).decode(bytes);

const unreadable = (path: string, expected: string, cause: unknown): RelufyError =>
  new RelufyError('input', `${path}: expected ${expected}, got ${(cause as Error).message}. Check the file.`, {
    cause,
  });

/**
 * A list of objects, or an object a line: by what the file holds, since both names are given to both. Lines end at \n
 * alone: U+2028 and its like may stand inside a text.
 */
function jsonDocs(path: string, content: string): Doc[] {
  const parse = (json: string): { value: unknown } | { error: unknown } => {
    try {
      return { value: parsePythonJson(json) };
    } catch (error) {
      return { error };
    }
  };
  const begin = content.trimStart()[0];
  const whole = begin === '[' ? parse(content) : undefined;
  if (whole && 'value' in whole && Array.isArray(whole.value))
    return whole.value.map((item, at) => asDoc(`${path} item ${at + 1}`, item));
  const docs: Doc[] = [];
  for (const [at, line] of content.split('\n').entries()) {
    // files that were put together have a mark in each
    const json = line.trim();
    if (json === '') continue;
    const parsed = parse(json);
    if ('error' in parsed) {
      // one object over several lines
      const only = docs.length === 0 ? parse(content) : parsed;
      if ('value' in only) return [asDoc(path, only.value)];
      if (whole && 'error' in whole) throw unreadable(path, 'a JSON list of objects', whole.error);
      throw unreadable(path, `a JSON object in line ${at + 1}`, parsed.error);
    }
    docs.push(asDoc(`${path} line ${at + 1}`, parsed.value));
  }
  return docs;
}

/** The reader is loaded for the first Parquet file: most runs have none. */
async function parquetDocs(bytes: Uint8Array): Promise<Doc[]> {
  const [{ parquetMetadata, parquetReadObjects }, { compressors }] = await Promise.all([
    import('hyparquet'),
    import('hyparquet-compressors'),
  ]);
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  const rows = await parquetReadObjects({ file, compressors });
  const floats = parquetMetadata(file)
    .schema.filter(({ type }) => type === 'DOUBLE' || type === 'FLOAT')
    .map(({ name }) => name);
  return rows.map((row) => {
    const doc = plain(row) as Doc;
    for (const name of floats) if (typeof doc[name] === 'number') markFloat(doc, name);
    return doc;
  });
}

/** As JSON would have it, which is what templates are written for: 64-bit integers are numbers, times texts. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (ArrayBuffer.isView(value)) return Array.from(value as Float64Array, plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

function asDoc(where: string, value: unknown): Doc {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Doc;
  throw new RelufyError('input', `${where}: expected an object, got ${show(value)}. Check the file.`);
}

async function readBytes(path: string): Promise<Uint8Array> {
  const [archive, member] = path.split('#') as [string, string | undefined];
  if (member === undefined) {
    const bytes = await readFile(path);
    return path.endsWith('.gz') ? unzip(bytes) : bytes;
  }
  const found = (await openArchive(archive)).get(member);
  if (found) return found;
  throw new RelufyError('io', `${archive}: expected a member ${show(member)}, got none. Check the archive.`);
}

/** The members of a tar archive. Each archive is read once. */
export function openArchive(path: string): Promise<ReadonlyMap<string, Uint8Array>> {
  let opened = archives.get(path);
  if (opened === undefined) {
    opened = readFile(path)
      .then((bytes) => (path.endsWith('gz') ? unzip(bytes) : bytes))
      .then(tarMembers);
    archives.set(path, opened);
  }
  return opened;
}

/** Blocks of 512 bytes: a header, then the file in as many as it takes. */
function tarMembers(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const members = new Map<string, Uint8Array>();
  const field = (at: number, length: number) =>
    new TextDecoder().decode(bytes.subarray(at, at + length)).replace(/\0.*$/s, '');
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0; ) {
    const size = Number.parseInt(field(at + 124, 12).trim(), 8) || 0;
    const kind = field(at + 156, 1);
    const prefix = field(at + 257, 5) === 'ustar' ? field(at + 345, 155) : '';
    const name = `${prefix === '' ? '' : `${prefix}/`}${field(at, 100)}`.replace(/^\.\//, '');
    if (kind === '' || kind === '0') members.set(name, bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return members;
}

/** RFC 4180: quoted fields may hold commas, line breaks and doubled quotes. */
function csvDocs(content: string, header: boolean): Doc[] {
  const rows: string[][] = [];
  let row: string[] = [];
  let field = '';
  let quoted = false;
  const endField = () => {
    row.push(field);
    field = '';
  };
  const endRow = () => {
    endField();
    if (row.length > 1 || row[0] !== '') rows.push(row);
    row = [];
  };
  for (let i = 0; i < content.length; i++) {
    const char = content[i] as string;
    if (quoted) {
      if (char !== '"') field += char;
      else if (content[i + 1] === '"') field += content[++i];
      else quoted = false;
    } else if (char === '"' && field === '') quoted = true;
    else if (char === ',') endField();
    else if (char === '\n') endRow();
    else if (char !== '\r' || content[i + 1] !== '\n') field += char;
  }
  if (field !== '' || row.length > 0) endRow();
  const names = header ? (rows.shift() ?? []) : (rows[0] ?? []).map((_, at) => `column${at}`);
  return rows.map((values) => Object.fromEntries(names.map((name, at) => [name, values[at] ?? ''])));
}
