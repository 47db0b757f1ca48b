// WordPiece and Unigram through @huggingface/tokenizers, for the rare checkpoint that is not BPE.
// These are taken as the library has them; only their input is checked here. BPE is bpe.ts.
import { show } from '@relufy/tensor';
import { type Model, readVocab } from './bpe.js';
import { type Fields, malformed } from './json.js';
import { Unigram, WordPiece } from './library.js';

interface PieceEncoder {
  encode(pieces: string[]): string[];
}

class LibraryModel implements Model {
  constructor(
    readonly vocab: ReadonlyMap<string, number>,
    readonly encoder: PieceEncoder,
    readonly unk: number,
    readonly fuseUnk: boolean,
  ) {}

  encode(piece: string, out: number[]): void {
    if (piece === '') return;
    let afterUnk = false;
    for (const token of this.encoder.encode([piece])) {
      const id = this.vocab.get(token) ?? this.unk;
      const isUnk = id === this.unk;
      if (!(isUnk && afterUnk && this.fuseUnk)) out.push(id);
      afterUnk = isUnk;
    }
  }
}

export function readWordPiece(fields: Fields): Model {
  const vocab = readVocab(fields);
  const unk = vocab.get(fields.string('unk_token', '[UNK]'));
  if (unk === undefined) throw fields.fail('unk_token', 'a token of the vocabulary');
  const prefix = fields.string('continuing_subword_prefix', '##');
  const longest = fields.count('max_input_chars_per_word', 100);
  const library = new WordPiece({
    type: 'WordPiece',
    vocab: fields.get('vocab'),
    unk_token: fields.string('unk_token', '[UNK]'),
    continuing_subword_prefix: prefix,
    max_input_chars_per_word: longest,
  });
  return new LibraryModel(vocab, library, unk, false);
}

export function readUnigram(fields: Fields): Model {
  const vocab = new Map<string, number>();
  fields.array('vocab').forEach((entry, id) => {
    if (!Array.isArray(entry) || typeof entry[0] !== 'string' || !Number.isFinite(entry[1])) {
      throw malformed(
        fields.source,
        `"${fields.path}vocab[${id}]": expected a token and its score, got ${show(entry)}`,
      );
    }
    // An empty token would match everywhere without moving on.
    if (entry[0] !== '') vocab.set(entry[0], id);
  });
  if (fields.boolean('byte_fallback', false)) {
    throw fields.fail('byte_fallback', 'false (Unigram with byte fallback is not supported)');
  }
  const unk = fields.count('unk_id');
  if (unk >= fields.array('vocab').length) throw fields.fail('unk_id', 'the id of a token');
  const library = new Unigram({ type: 'Unigram', vocab: fields.get('vocab'), unk_id: unk }, '');
  return new LibraryModel(vocab, library, unk, true);
}
