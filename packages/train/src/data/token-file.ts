// A source's tokens in one file, made once: ids, which are scored, and where documents begin. The file says what it was
// made of, so another tokenizer or changed data makes it anew. Ordinary safetensors, written atomically.
// Does not own reading documents (documents.ts) or choosing sequences (sequences.ts).
import { createHash } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { toWriteError, whileLocked } from '@relufy/checkpoint/node';
import { RelufyError } from '@relufy/tensor';
import type { Tokenizer } from '@relufy/tokenizer';
import type { DataSource } from '../config.js';
import { hasTensorFile, openTensorFile, stateOfTensorFile, writeTensorFile } from '../tensor-file.js';
import { readDocuments } from './documents.js';

export interface TokenData {
  readonly name: string;
  readonly ids: Int32Array;
  readonly mask: Uint8Array;
  /** Where each document begins. */
  readonly documents: Int32Array;
}

export interface TokenizeOptions {
  /** Where token files are kept. */
  readonly folder: string;
  readonly tokenizer: Tokenizer;
  /** Says which tokenizer it is: the text of its files. */
  readonly tokenizerText: string;
  readonly vocabSize: number;
  /** Hears of a token file that is damaged; it is made anew. */
  readonly warn?: (message: string) => void;
  /** Hears what is done, in words, and the share of it. */
  readonly onProgress?: (what: string, share?: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** The tokens of a source, from its file if there is one of the same data and tokenizer. */
export async function tokenize(source: DataSource, options: TokenizeOptions): Promise<TokenData> {
  const name = await fingerprintOf(source, options.tokenizerText);
  const folder = join(options.folder, name);
  const encode = async (): Promise<TokenData> => {
    if (await isWhole(folder, options)) return readTokenFile(folder, source.path);
    const made = await readAll(source, options);
    const tensors = [
      { name: 'ids', dtype: 'I32', shape: [made.ids.length], data: made.ids },
      { name: 'documents', dtype: 'I32', shape: [made.documents.length], data: made.documents },
      { name: 'mask', dtype: 'U8', shape: [made.mask.length], data: made.mask },
    ];
    await writeTensorFile(folder, tensors, { format: 'relufy tokens', source: source.path });
    return made;
  };
  let data: TokenData;
  if (await isWhole(folder)) data = await readTokenFile(folder, source.path);
  else {
    await mkdir(options.folder, { recursive: true }).catch(toWriteError(options.folder));
    options.onProgress?.(`encoding ${basename(source.path)}`);
    // runs that share the folder: one encodes, the others wait for it
    data = await whileLocked(join(options.folder, `${name}.lock`), { signal: options.signal }, encode);
  }
  let largest = 0;
  for (const id of data.ids) if (id > largest) largest = id;
  if (largest >= options.vocabSize)
    throw new RelufyError(
      'input',
      `${source.path}: expected token ids below ${options.vocabSize} (the model's vocab_size), got ${largest}. The tokenizer belongs to another model.`,
    );
  return data;
}

async function isWhole(folder: string, { warn }: Pick<TokenizeOptions, 'warn'> = {}): Promise<boolean> {
  if (!(await hasTensorFile(folder))) return false;
  const state = await stateOfTensorFile(folder);
  if (state === 'whole') return true;
  const reason = state === 'unchecked' ? 'no checksums' : state.damage;
  warn?.(`${folder}: expected the tokens that were written, got others (${reason}). They are made anew.`);
  return false;
}

async function fingerprintOf(source: DataSource, tokenizerText: string): Promise<string> {
  const { size, mtimeMs } = await stat(source.path).catch((cause: NodeJS.ErrnoException) => {
    throw new RelufyError('io', `${source.path}: expected data, got ${cause.code}. Check the path.`, { cause });
  });
  const { weight: _, ...what } = source;
  return createHash('sha256')
    .update(JSON.stringify([2, what, size, mtimeMs, tokenizerText]))
    .digest('hex')
    .slice(0, 16);
}

async function readAll(source: DataSource, { tokenizer, onProgress, signal }: TokenizeOptions): Promise<TokenData> {
  const { size } = await stat(source.path);
  let read = 0;
  const onRead = (bytes: number) => {
    read = bytes;
  };
  const ids: number[][] = [];
  const mask: (readonly number[])[] = [];
  const starts: number[] = [];
  let count = 0;
  for await (const document of readDocuments(source, tokenizer, onRead)) {
    signal?.throwIfAborted();
    onProgress?.(`encoding ${basename(source.path)}`, size === 0 ? 1 : read / size);
    starts.push(count);
    ids.push([...document.ids]);
    mask.push(document.mask);
    count += document.ids.length;
  }
  if (count === 0) throw new RelufyError('input', `${source.path}: expected documents, got none.`);
  const data = {
    name: source.path,
    ids: new Int32Array(count),
    mask: new Uint8Array(count),
    documents: Int32Array.from(starts),
  };
  starts.forEach((start, i) => {
    data.ids.set(ids[i] as number[], start);
    data.mask.set(mask[i] as readonly number[], start);
  });
  return data;
}

async function readTokenFile(folder: string, name: string): Promise<TokenData> {
  const file = await openTensorFile(folder);
  try {
    const ids = new Int32Array(await file.read('ids', 'I32'));
    const mask = new Uint8Array(await file.read('mask', 'U8'));
    const documents = new Int32Array(await file.read('documents', 'I32'));
    const fail = (expected: string, got: string): never => {
      throw new RelufyError(
        'checkpoint',
        `${folder}: expected ${expected}, got ${got}. The file was not written here; remove the folder.`,
      );
    };
    if (mask.length !== ids.length) fail(`a mask of ${ids.length} tokens`, String(mask.length));
    const negative = ids.find((id) => id < 0);
    if (negative !== undefined) fail('token ids from 0 on', String(negative));
    const outside = documents.findIndex((start, i) => start < (documents[i - 1] ?? 0) || start > ids.length);
    if (outside >= 0) fail(`documents one after the other in ${ids.length} tokens`, `one at ${documents[outside]}`);
    return { name, ids, mask, documents };
  } finally {
    await file.close();
  }
}
