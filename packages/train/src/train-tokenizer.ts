// Trains a byte-level BPE: counts words, merges the most frequent pair again and again, and writes what
// `tokenizer.json` holds. Ties go to the pair of lower ids, and ids are special tokens, bytes, merges, in this order,
// as the `tokenizers` library numbers them. Does not own encoding (@relufy/tokenizer).
import { RelufyError } from '@relufy/tensor';

export interface TokenizerTraining {
  readonly vocabSize: number;
  /** Tokens that stand for no text, first in the vocabulary. */
  readonly specialTokens: readonly string[];
  /** Put before every text that is encoded on its own. */
  readonly bosToken?: string;
}

/** GPT-2's words, within what stands between digits; every digit is a word. */
const wordPattern = /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;
const digitPattern = /(\p{N})/u;

/** The printable characters by which byte-level vocabularies spell bytes. */
function byteCharacters(): string[] {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : 256 + others++));
}

interface Word {
  symbols: number[];
  readonly count: number;
}

/**
 * The object of a tokenizer.json.
 * @throws RelufyError `option` when the vocabulary has no room for bytes and special tokens.
 */
export async function trainTokenizer(
  texts: Iterable<string> | AsyncIterable<string>,
  options: TokenizerTraining,
): Promise<Record<string, unknown>> {
  const { vocabSize, specialTokens } = options;
  const characters = byteCharacters();
  const vocabulary = [...specialTokens, ...[...characters].sort()];
  if (vocabSize < vocabulary.length)
    throw new RelufyError(
      'option',
      `trainTokenizer "vocabSize": expected at least ${vocabulary.length} (bytes and special tokens), got ${vocabSize}.`,
    );
  const idOf = new Map(vocabulary.map((token, id) => [token, id]));
  const words = await countWords(texts, (byte) => idOf.get(characters[byte] as string) as number);
  const merges: [string, string][] = [];
  const pairs = new PairCounts(words);
  while (vocabulary.length < vocabSize) {
    const best = pairs.take();
    if (best === undefined) break;
    const [a, b] = best;
    const merged = `${vocabulary[a]}${vocabulary[b]}`;
    merges.push([vocabulary[a] as string, vocabulary[b] as string]);
    let id = idOf.get(merged);
    if (id === undefined) {
      id = vocabulary.push(merged) - 1;
      idOf.set(merged, id);
    }
    pairs.merge(a, b, id);
  }
  return definition(idOf, merges, options);
}

async function countWords(
  texts: Iterable<string> | AsyncIterable<string>,
  symbolOf: (byte: number) => number,
): Promise<Word[]> {
  const counts = new Map<string, number>();
  for await (const text of texts)
    for (const between of text.split(digitPattern))
      for (const [word] of between.matchAll(wordPattern)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const encoder = new TextEncoder();
  return [...counts].map(([word, count]) => ({ symbols: Array.from(encoder.encode(word), symbolOf), count }));
}

/** Ids stay below 2^21, so a pair is one exact number, in the order of its ids. */
const shift = 2 ** 21;

/** How often each pair of neighbours stands in the words, and where. */
class PairCounts {
  readonly #words: readonly Word[];
  readonly #counts = new Map<number, number>();
  readonly #places = new Map<number, Set<number>>();
  /** A heap of [count, pair] that may be out of date: what is taken is checked. */
  readonly #heap: [count: number, pair: number][] = [];

  constructor(words: readonly Word[]) {
    this.#words = words;
    words.forEach((word, index) => {
      this.#add(word, index, 1);
    });
    for (const [pair, count] of this.#counts) this.#push([count, pair]);
  }

  take(): [number, number] | undefined {
    for (let top = this.#pop(); top !== undefined; top = this.#pop()) {
      const [count, pair] = top;
      if (this.#counts.get(pair) === count && count > 0) return [Math.floor(pair / shift), pair % shift];
    }
    return undefined;
  }

  merge(a: number, b: number, id: number): void {
    const places = this.#places.get(a * shift + b) ?? new Set();
    const changed = new Set<number>();
    for (const index of places) {
      const word = this.#words[index] as Word;
      this.#add(word, index, -1, changed);
      const symbols: number[] = [];
      for (let i = 0; i < word.symbols.length; i++)
        if (word.symbols[i] === a && word.symbols[i + 1] === b) {
          symbols.push(id);
          i++;
        } else symbols.push(word.symbols[i] as number);
      word.symbols = symbols;
      this.#add(word, index, 1, changed);
    }
    this.#counts.delete(a * shift + b);
    this.#places.delete(a * shift + b);
    for (const pair of changed) {
      const count = this.#counts.get(pair) ?? 0;
      if (count > 0) this.#push([count, pair]);
    }
  }

  #add({ symbols, count }: Word, index: number, sign: 1 | -1, changed?: Set<number>): void {
    for (let i = 0; i + 1 < symbols.length; i++) {
      const pair = (symbols[i] as number) * shift + (symbols[i + 1] as number);
      this.#counts.set(pair, (this.#counts.get(pair) ?? 0) + sign * count);
      changed?.add(pair);
      if (sign < 0) continue;
      const places = this.#places.get(pair);
      if (places) places.add(index);
      else this.#places.set(pair, new Set([index]));
    }
  }

  #push(entry: [number, number]): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(entry, heap[parent] as [number, number])) break;
      heap[at] = heap[parent] as [number, number];
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): [number, number] | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as [number, number], heap[child] as [number, number]))
        child++;
      if (!before(heap[child] as [number, number], last)) break;
      heap[at] = heap[child] as [number, number];
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

const before = (a: readonly [number, number], b: readonly [number, number]): boolean =>
  a[0] !== b[0] ? a[0] > b[0] : a[1] < b[1];

function definition(
  vocabulary: ReadonlyMap<string, number>,
  merges: readonly (readonly [string, string])[],
  { specialTokens, bosToken }: TokenizerTraining,
): Record<string, unknown> {
  const bos = bosToken !== undefined && { SpecialToken: { id: bosToken, type_id: 0 } };
  const sequence = (id: string) => ({ Sequence: { id, type_id: 0 } });
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Digits', individual_digits: true },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: !bos
      ? null
      : {
          type: 'TemplateProcessing',
          single: [bos, sequence('A')],
          pair: [bos, sequence('A'), bos, { Sequence: { id: 'B', type_id: 1 } }],
          special_tokens: {
            [bosToken as string]: { id: bosToken, ids: [vocabulary.get(bosToken as string)], tokens: [bosToken] },
          },
        },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary),
      merges,
    },
  };
}
