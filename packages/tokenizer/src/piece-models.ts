// WordPiece and Unigram as Rust's tokenizers have them, for the rare checkpoint that is not BPE (bpe.ts).
// Both look for tokens that begin at a place of the text, by one trie; how far they may look altogether is bounded, since a
// file can have tokens of any length.
import { RelufyError, show } from '@relufy/tensor';
import { type Model, readVocab } from './bpe.js';
import { type Fields, malformed } from './json.js';

/** Steps for one piece of text: a constant, and so many for each character. Real vocabularies need a tenth. */
const STEPS = 100_000;
const STEPS_PER_CHARACTER = 200;
const LONGEST_TOKEN = 10_000;
const ROOT = 0;
const CHARACTERS = 0x110000;
/** Of Rust's Unigram: how much worse an unknown character is than the worst token. */
const UNKNOWN_PENALTY = 10;

/** The tokens of a vocabulary by their characters; ids of nodes are numbers, so that a file of junk stays small. */
class Trie {
  readonly #children = new Map<number, number>();
  readonly #ids = new Map<number, number>();
  #nodes = 1;

  constructor(tokens: Iterable<readonly [string, number]>) {
    for (const [token, id] of tokens) {
      if (token.length > LONGEST_TOKEN) {
        const what = `expected tokens of at most ${LONGEST_TOKEN} characters, got ${show(token)}`;
        throw new RelufyError('tokenizer', `tokenizer.json: ${what}. Download it again.`);
      }
      let node = ROOT;
      for (const char of token) {
        const edge = node * CHARACTERS + char.codePointAt(0)!;
        let child = this.#children.get(edge);
        if (child === undefined) {
          child = this.#nodes++;
          this.#children.set(edge, child);
        }
        node = child;
      }
      this.#ids.set(node, id);
    }
  }

  step(node: number, character: number): number | undefined {
    return this.#children.get(node * CHARACTERS + character);
  }

  idOf(node: number): number | undefined {
    return this.#ids.get(node);
  }
}

class Walk {
  readonly characters: readonly number[];
  #steps: number;

  constructor(piece: string) {
    this.characters = Array.from(piece, (char) => char.codePointAt(0)!);
    this.#steps = STEPS + STEPS_PER_CHARACTER * this.characters.length;
  }

  /** Calls `found` for every token that begins at `from`, the shorter first. */
  tokens(trie: Trie, root: number, from: number, found: (id: number, end: number) => void): void {
    let node: number | undefined = root;
    for (let at = from; at < this.characters.length; at++) {
      node = trie.step(node, this.characters[at]!);
      if (node === undefined) return;
      if (--this.#steps < 0) {
        const what = `expected less than ${STEPS_PER_CHARACTER} steps a character, got more`;
        throw new RelufyError('tokenizer', `tokenizer: the tokens that overlap: ${what}. Correct tokenizer.json.`);
      }
      const id = trie.idOf(node);
      if (id !== undefined) found(id, at + 1);
    }
  }
}

class WordPieceModel implements Model {
  readonly #trie: Trie;
  /** Where tokens that continue a word begin; undefined where none does. */
  readonly #continuing: number | undefined;

  constructor(
    readonly vocab: ReadonlyMap<string, number>,
    readonly unk: number,
    prefix: string,
    readonly longest: number,
  ) {
    this.#trie = new Trie(vocab);
    let node: number | undefined = ROOT;
    for (const char of prefix) node = node === undefined ? undefined : this.#trie.step(node, char.codePointAt(0)!);
    this.#continuing = node;
  }

  encode(piece: string, out: number[]): void {
    if (piece === '') return;
    const walk = new Walk(piece);
    const { length } = walk.characters;
    const ids: number[] = [];
    for (let at = 0; at < length; ) {
      const root = at === 0 ? ROOT : this.#continuing;
      let end = at;
      let longest = this.unk;
      if (root !== undefined && length <= this.longest) {
        walk.tokens(this.#trie, root, at, (id, to) => {
          longest = id;
          end = to;
        });
      }
      if (end === at) {
        out.push(this.unk); // one that has no tokens is unknown as a whole
        return;
      }
      ids.push(longest);
      at = end;
    }
    for (const id of ids) out.push(id);
  }
}

class UnigramModel implements Model {
  readonly #trie: Trie;
  readonly #unkScore: number;

  constructor(
    readonly vocab: ReadonlyMap<string, number>,
    readonly scores: Float64Array,
    readonly unk: number,
  ) {
    this.#trie = new Trie(vocab);
    this.#unkScore =
      scores.reduce((least, score) => Math.min(least, score), Number.POSITIVE_INFINITY) - UNKNOWN_PENALTY;
  }

  /** The tokens whose scores add up to the most. */
  encode(piece: string, out: number[]): void {
    if (piece === '') return;
    const walk = new Walk(piece);
    const { characters } = walk;
    const best = new Float64Array(characters.length + 1);
    const starts = new Int32Array(characters.length + 1).fill(-1);
    const ids = new Int32Array(characters.length + 1);
    const offer = (from: number, to: number, id: number, score: number): void => {
      const total = best[from]! + score;
      if (starts[to]! >= 0 && total <= best[to]!) return;
      best[to] = total;
      starts[to] = from;
      ids[to] = id;
    };
    for (let at = 0; at < characters.length; at++) {
      let single = false;
      walk.tokens(this.#trie, ROOT, at, (id, end) => {
        offer(at, end, id, this.scores[id]!);
        if (end === at + 1) single = true;
      });
      if (!single) offer(at, at + 1, this.unk, this.#unkScore);
    }
    const path: number[] = [];
    for (let at = characters.length; at > 0; at = starts[at]!) {
      // Unknown characters in a row are one unknown token.
      if (ids[at] !== this.unk || path.at(-1) !== this.unk) path.push(ids[at]!);
    }
    for (let i = path.length - 1; i >= 0; i--) out.push(path[i]!);
  }
}

export function readWordPiece(fields: Fields): Model {
  const vocab = readVocab(fields);
  const unk = vocab.get(fields.string('unk_token', '[UNK]'));
  if (unk === undefined) throw fields.fail('unk_token', 'a token of the vocabulary');
  const prefix = fields.string('continuing_subword_prefix', '##');
  return new WordPieceModel(vocab, unk, prefix, fields.count('max_input_chars_per_word', 100));
}

export function readUnigram(fields: Fields): Model {
  const entries = fields.array('vocab');
  const vocab = new Map<string, number>();
  const scores = new Float64Array(entries.length);
  entries.forEach((entry, id) => {
    if (!Array.isArray(entry) || typeof entry[0] !== 'string' || !Number.isFinite(entry[1])) {
      throw malformed(
        fields.source,
        `"${fields.path}vocab[${id}]": expected a token and its score, got ${show(entry)}`,
      );
    }
    scores[id] = entry[1] as number;
    // An empty token would match everywhere without moving on.
    if (entry[0] !== '') vocab.set(entry[0], id);
  });
  if (fields.boolean('byte_fallback', false)) {
    throw fields.fail('byte_fallback', 'false (Unigram with byte fallback is not supported)');
  }
  const unk = fields.count('unk_id');
  if (unk >= entries.length) throw fields.fail('unk_id', 'the id of a token');
  return new UnigramModel(vocab, scores, unk);
}
