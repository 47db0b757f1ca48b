// How text is split before BPE, by the word that GGUF has for it (`tokenizer.ggml.pre`), as tokenizer.json writes it.
// Owns: the table, used in both directions. The patterns are those of the models' own tokenizer.json; the words are
// those of llama.cpp (src/llama-vocab.cpp).
// Does not own: the rest of the tokenizer (tokenizer.ts, export-tokenizer.ts).

export interface PreTokenizer {
  readonly names: readonly string[];
  readonly preTokenizer: unknown;
  readonly normalizer?: unknown;
  /** A word that is in the vocabulary is taken whole, whatever the merges say. */
  readonly ignoreMerges?: boolean;
  /** Whether the text begins with BOS where the file does not say. */
  readonly addBos?: boolean;
}

const byteLevel = (useRegex: boolean): unknown => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});
const split = (pattern: string): unknown => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
});
const sequence = (...pretokenizers: unknown[]): unknown => ({ type: 'Sequence', pretokenizers });
const digits = (individual: boolean): unknown => ({ type: 'Digits', individual_digits: individual });

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const words = `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+`;
const rest = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const cased = (end: string): string =>
  `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+${end}|[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*${end}`;
const bloom = ' ?[^(\\s|[.,!?…。，、।۔،])]+';

export const preTokenizers: readonly PreTokenizer[] = [
  {
    names: ['gpt-2', 'mpt', 'olmo', 'jais', 'phi-2', 'gigachat', 'trillion', 'exaone4'],
    preTokenizer: byteLevel(true),
  },
  {
    names: ['smollm', 'starcoder', 'refact', 'command-r', 'codeshell', 'exaone', 'minerva-7b'],
    preTokenizer: sequence(digits(true), byteLevel(true)),
  },
  {
    names: ['falcon'],
    preTokenizer: sequence(
      { type: 'Punctuation', behavior: 'Contiguous' },
      byteLevel(true),
      digits(false),
      split('[0-9][0-9][0-9]'),
    ),
  },
  {
    names: ['llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'falcon-h1', 'pixtral', 'lfm2'],
    preTokenizer: sequence(split(`${words}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${rest}`), byteLevel(false)),
    ignoreMerges: true,
    addBos: true,
  },
  {
    names: ['dbrx', 'smaug-bpe', 'chatglm-bpe', 'glm4'],
    preTokenizer: sequence(split(`${words}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${rest}`), byteLevel(false)),
  },
  {
    names: ['qwen2', 'deepseek-r1-qwen', 'hunyuan', 'megrez'],
    preTokenizer: sequence(split(`${words}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${rest}`), byteLevel(false)),
    normalizer: { type: 'NFC' },
  },
  {
    names: ['stablelm2'],
    preTokenizer: sequence(split(`${words}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${rest}`), byteLevel(false)),
  },
  {
    names: ['tekken'],
    preTokenizer: sequence(split(`${cased('')}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${rest}`), byteLevel(false)),
    ignoreMerges: true,
    addBos: true,
  },
  {
    names: ['gpt-4o', 'llama4'],
    preTokenizer: sequence(
      split(`${cased(`${contractions}?`)}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${rest}`),
      byteLevel(false),
    ),
  },
  {
    names: ['deepseek-coder'],
    preTokenizer: sequence(
      split('[\\r\\n]'),
      split('\\s?\\p{L}+'),
      split('\\s?\\p{P}+'),
      split('[一-龥ࠀ-一가-퟿]+'),
      digits(true),
      byteLevel(false),
    ),
  },
  { names: ['bloom', 'poro-chat', 'gpt3-finnish'], preTokenizer: sequence(split(bloom), byteLevel(false)) },
  { names: ['viking'], preTokenizer: sequence(split(bloom), digits(true), byteLevel(false)) },
];

export const preTokenizerOf = (name: string): PreTokenizer | undefined =>
  preTokenizers.find(({ names }) => names.includes(name));
