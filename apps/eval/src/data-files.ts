// Files of documents: Parquet, JSON lines, JSON, CSV, raw text, gzipped or in a tar archive, named `archive.tar.gz#member`.
// Does not own their bytes (data-bytes.ts) nor which file belongs to a split (task-data.ts).
import { RelufyError, show } from '@relufy/tensor';
import { markFloat, parsePythonJson } from '@relufy/tokenizer/jinja';
import { readBytes } from './data-bytes.js';
import type { Doc } from './processors.js';

/** Extensions that a file of documents can have, besides `.gz`. */
export const dataExtensions = ['.parquet', '.jsonl', '.json', '.csv', '.raw', '.txt'] as const;

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
  if (name.endsWith('.csv')) return csvDocs(path, content, header);
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

/** Every row has a field for each column, also where the file leaves it out: a short file could ask for any number. */
const mostCells = 50_000_000;

/** RFC 4180: quoted fields may hold commas, line breaks and doubled quotes. */
function csvDocs(path: string, content: string, header: boolean): Doc[] {
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
    if (rows.length * (rows[0]?.length ?? 0) > mostCells)
      throw new RelufyError(
        'input',
        `${path}: expected a table of at most ${mostCells} cells, got ${rows[0]?.length} columns and more than ${rows.length - 1} rows. Check the file.`,
      );
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
