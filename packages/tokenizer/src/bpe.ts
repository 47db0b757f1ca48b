// Byte-pair encoding of one piece of text into ids, as Rust's `models/bpe` does it, quirks included.
// Why not @huggingface/tokenizers' own BPE: it keeps pairs as JSON strings (seconds to load a 280k-merge vocabulary),
// decides about unknown characters after merging instead of before, and for a tokenizer without a pre-tokenizer (Llama 2,
// Mistral) treats a whole document as one word. Splitting text into pieces is pre-tokenizer.ts.
import { type RelufyError, show } from '@relufy/tensor';
import { type Fields, isObject, malformed } from './json.js';
import { MergeTable } from './merge-table.js';

const CACHED_PIECE_LENGTH = 256;
const CACHE_ENTRIES = 16_384;
const NONE = -1;
/** Ids stay below this, so that a pair of them is exact in a double. */
export const MAX_IDS = 0x4000000;
const encoder = new TextEncoder();

/** Turns pieces into ids. */
export interface Model {
  readonly vocab: ReadonlyMap<string, number>;
  /** Appends the ids of one piece of text to `out`. */
  encode(piece: string, out: number[]): void;
}

export class BpeModel implements Model {
  readonly vocab: ReadonlyMap<string, number>;
  readonly #merges: MergeTable;
  readonly #unk: number;
  readonly #missingUnk: { readonly fields: Fields; readonly unk: string } | undefined;
  readonly #fuseUnk: boolean;
  readonly #byteIds: Int32Array | undefined;
  readonly #ignoreMerges: boolean;
  readonly #prefix: string;
  readonly #suffix: string;
  readonly #joints: Set<number> | undefined;
  readonly #cache = new Map<string, readonly number[]>();

  constructor(fields: Fields, vocab: ReadonlyMap<string, number>) {
    this.vocab = vocab;
    this.#prefix = fields.string('continuing_subword_prefix', '');
    this.#suffix = fields.string('end_of_word_suffix', '');
    this.#fuseUnk = fields.boolean('fuse_unk', false);
    this.#ignoreMerges = fields.boolean('ignore_merges', false);
    if (fields.get('dropout') !== undefined && fields.get('dropout') !== 0) {
      throw fields.fail('dropout', '0 or null (random merges cannot be used to run a model)');
    }
    const unk = fields.string('unk_token', undefined);
    this.#unk = unk === undefined ? NONE : (vocab.get(unk) ?? NONE);
    // Some files name an unknown token that they do not hold; that matters only if a character is unknown.
    if (unk !== undefined && this.#unk === NONE) this.#missingUnk = { fields, unk };
    if (fields.boolean('byte_fallback', false)) this.#byteIds = byteIds(vocab);
    const merges = readMerges(fields);
    this.#merges = new MergeTable(merges, vocab, this.#prefix.length, fields.source);
    // A part of a piece must not be looked up as if it were a whole piece, so `ignore_merges` rules out cutting.
    const cuttable = this.#prefix === '' && this.#suffix === '' && !this.#ignoreMerges;
    if (cuttable) this.#joints = findJoints(merges, vocab, this.#byteIds);
  }

  encode(piece: string, out: number[]): void {
    if (piece.length <= CACHED_PIECE_LENGTH) {
      this.#encodeCached(piece, out);
      return;
    }
    let start = 0;
    for (const stop of this.#cuts(piece)) {
      const part = piece.slice(start, stop);
      if (part.length <= CACHED_PIECE_LENGTH) this.#encodeCached(part, out);
      else for (const id of this.#merge(part)) out.push(id);
      start = stop;
    }
  }

  #encodeCached(piece: string, out: number[]): void {
    let ids = this.#cache.get(piece);
    if (ids === undefined) {
      ids = this.#merge(piece);
      if (this.#cache.size >= CACHE_ENTRIES) this.#cache.clear();
      this.#cache.set(piece, ids);
    }
    for (let i = 0; i < ids.length; i++) out.push(ids[i]!);
  }

  /**
   * Where a long piece may be cut without changing its ids: between two known characters that no merge can ever join,
   * because no merge has the first at the end of its left part and the second at the start of its right part.
   * This makes documents of tokenizers without a pre-tokenizer a list of short, cacheable words.
   */
  #cuts(piece: string): number[] {
    const cuts: number[] = [];
    const joints = this.#joints;
    if (joints !== undefined) {
      let left = NONE;
      let at = 0;
      for (const char of piece) {
        const right = this.vocab.get(char) ?? NONE;
        if (at > 0 && left !== NONE && right !== NONE && !joints.has(joint(left, right))) cuts.push(at);
        left = right;
        at += char.length;
      }
    }
    cuts.push(piece.length);
    return cuts;
  }

  #merge(piece: string): readonly number[] {
    if (piece === '') return [];
    if (this.#ignoreMerges) {
      const id = this.vocab.get(piece);
      if (id !== undefined) return [id];
    }
    return this.#merges.apply(this.#symbols(piece));
  }

  /** The ids of the piece's characters, before any merge; characters without an id become bytes or unknowns. */
  #symbols(piece: string): number[] {
    const symbols: number[] = [];
    let pendingUnk = false; // Rust adds an unknown only when the next known character, or the end, comes
    let first = true;
    let at = 0;
    for (const char of piece) {
      at += char.length;
      let symbol = first ? char : this.#prefix + char;
      if (at === piece.length) symbol += this.#suffix;
      first = false;
      const id = this.vocab.get(symbol);
      if (id !== undefined) {
        if (pendingUnk) symbols.push(this.#unk);
        pendingUnk = false;
        symbols.push(id);
        continue;
      }
      if (this.#byteIds !== undefined && this.#pushBytes(symbol, this.#byteIds, symbols)) continue;
      if (this.#missingUnk !== undefined) throw this.#unknown(symbol, this.#missingUnk);
      if (this.#unk === NONE) continue; // as in Rust, no unknown token means that unknown characters are dropped
      if (pendingUnk && !this.#fuseUnk) symbols.push(this.#unk);
      pendingUnk = true;
    }
    if (pendingUnk) symbols.push(this.#unk);
    return symbols;
  }

  #unknown(symbol: string, { fields, unk }: { readonly fields: Fields; readonly unk: string }): RelufyError {
    const what = `"${fields.path}unk_token" ${show(unk)} is not in the vocabulary, but ${show(symbol)} needs it`;
    return malformed(fields.source, what, 'Leave the character out or use another tokenizer.');
  }

  #pushBytes(symbol: string, ids: Int32Array, symbols: number[]): boolean {
    const bytes = encoder.encode(symbol);
    if (bytes.some((byte) => ids[byte] === NONE)) return false;
    for (const byte of bytes) symbols.push(ids[byte]!);
    return true;
  }
}

function byteIds(vocab: ReadonlyMap<string, number>): Int32Array {
  const ids = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    ids[byte] = vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`) ?? NONE;
  }
  return ids;
}

const joint = (left: number, right: number): number => left * MAX_IDS + right;

function findJoints(
  merges: readonly (readonly [string, string])[],
  vocab: ReadonlyMap<string, number>,
  byteIds: Int32Array | undefined,
): Set<number> | undefined {
  const bytes = new Set(byteIds);
  const joints = new Set<number>();
  for (const [left, right] of merges) {
    // A byte token as a part of a merge can come from any unknown character: then no cut is safe.
    if (bytes.has(vocab.get(left) ?? NONE) || bytes.has(vocab.get(right) ?? NONE)) return undefined;
    const last = vocab.get(lastChar(left));
    const first = vocab.get(String.fromCodePoint(right.codePointAt(0)!));
    // A part whose outer character is unknown never forms, so such a merge never runs.
    if (last !== undefined && first !== undefined) joints.add(joint(last, first));
  }
  return joints;
}

function lastChar(text: string): string {
  const low = text.charCodeAt(text.length - 1);
  return low >= 0xdc00 && low < 0xe000 ? text.slice(-2) : text.slice(-1);
}

/** Both spellings of a merge: `"a b"` and `["a", "b"]`. */
function readMerges(fields: Fields): (readonly [string, string])[] {
  return fields.array('merges').map((merge, i) => {
    let parts: readonly unknown[];
    if (typeof merge === 'string') parts = merge.split(' ');
    else parts = Array.isArray(merge) ? merge : [];
    const [left, right] = parts;
    if (parts.length !== 2 || typeof left !== 'string' || typeof right !== 'string' || left === '' || right === '') {
      throw malformed(fields.source, `"${fields.path}merges[${i}]": expected two tokens, got ${show(merge)}`);
    }
    return [left, right] as const;
  });
}

/** `vocab` of BPE and WordPiece: an object from token to id, each id used once. */
export function readVocab(fields: Fields): Map<string, number> {
  const object = fields.get('vocab');
  if (!isObject(object)) throw fields.fail('vocab', 'an object from token to id');
  const vocab = new Map<string, number>();
  const owner: string[] = [];
  for (const [token, id] of Object.entries(object)) {
    if (!Number.isSafeInteger(id) || (id as number) < 0 || (id as number) >= MAX_IDS) {
      throw malformed(
        fields.source,
        `"${fields.path}vocab" token ${show(token)}: expected an id from 0 on, got ${show(id)}`,
      );
    }
    const other = owner[id as number];
    if (other !== undefined) {
      throw malformed(
        fields.source,
        `"${fields.path}vocab": tokens ${show(other)} and ${show(token)} share the id ${id}`,
      );
    }
    owner[id as number] = token;
    vocab.set(token, id as number);
  }
  if (vocab.size === 0) throw fields.fail('vocab', 'at least one token');
  return vocab;
}
