// tokenizer.json and tokenizer_config.json from the metadata of a GGUF: byte-level BPE (`gpt2`) and SentencePiece BPE
// with byte fallback (`llama`).
// Owns: vocabulary, special tokens, begin and end of text. Does not own: the splitting patterns (pre-tokenizers.ts),
// merges from SentencePiece scores (sentence-piece.ts), tokenising.
import { show } from '@relufy/tensor';
import { malformed } from '../malformed.js';
import { GgufFields, type GgufMetadata } from './metadata.js';
import { laidOver, tokenizerConfigKey, tokenizerLaidOver } from './own-keys.js';
import { type PreTokenizer, preTokenizerOf, preTokenizers } from './pre-tokenizers.js';
import { sentencePieceMerges } from './sentence-piece.js';

type JsonObject = Record<string, unknown>;

/** `tokenizer.ggml.token_type` */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

const isAddedType = (type: number | undefined): boolean =>
  type === tokenTypes.control || type === tokenTypes.userDefined || type === tokenTypes.unknown;

/** What writers call a row of the embedding that has no token; longer where a token has that very text. */
export const fillerName = (id: number, isTaken: (name: string) => boolean): string => {
  let name = `[PAD${id}]`;
  while (isTaken(name)) name = `${name.slice(0, -1)}_]`;
  return name;
};
const isFiller = (token: string, id: number): boolean => {
  const beginning = `[PAD${id}`;
  return token.startsWith(beginning) && /^_*\]$/.test(token.slice(beginning.length));
};

/** SentencePiece makes pieces of 16 characters; finding the merges takes time in the square of it. */
const maxPieceLength = 256;

interface Vocabulary {
  readonly fields: GgufFields;
  readonly tokens: readonly string[];
  /** Of tokens that are some: not of rows that only fill the embedding up. */
  readonly ids: ReadonlyMap<string, number>;
  readonly types: ArrayLike<number>;
}

/** The tokenizer of a GGUF as the two files of a Hugging Face folder. */
export function ggufTokenizer(
  metadata: GgufMetadata,
  where = 'GGUF',
): { readonly tokenizerJson: JsonObject; readonly tokenizerConfig: JsonObject } {
  const fields = new GgufFields(where, metadata);
  const model = fields.required('tokenizer.ggml.model', fields.string('tokenizer.ggml.model'));
  if (model !== 'gpt2' && model !== 'llama')
    throw malformed(
      where,
      `metadata "tokenizer.ggml.model", expected gpt2 or llama, got ${show(model)}`,
      'Put the tokenizer.json of the model beside the file.',
    );
  const vocabulary = readVocabulary(fields);
  const made = model === 'gpt2' ? byteLevelBpe(vocabulary) : sentencePiece(vocabulary);
  return {
    tokenizerJson: tokenizerLaidOver(fields, made.tokenizerJson),
    tokenizerConfig: laidOver(fields, tokenizerConfigKey, made.tokenizerConfig),
  };
}

function readVocabulary(fields: GgufFields): Vocabulary {
  const raw = fields.required('tokenizer.ggml.tokens', fields.strings('tokenizer.ggml.tokens'));
  const tokens = raw.map((token, id) => (token === '' ? `[EMPTY_${id}]` : token)); // as llama.cpp calls them
  const ids = new Map(tokens.map((token, id) => [token, id]));
  if (ids.size !== tokens.length) {
    const twice = tokens.find((token, id) => ids.get(token) !== id);
    throw malformed(
      fields.where,
      `metadata "tokenizer.ggml.tokens", expected every token once, got ${show(twice)} twice`,
    );
  }
  const types = fields.numbers('tokenizer.ggml.token_type') ?? new Int32Array(tokens.length).fill(tokenTypes.normal);
  if (types.length !== tokens.length)
    throw malformed(
      fields.where,
      `metadata "tokenizer.ggml.token_type", expected ${tokens.length} values, got ${types.length}`,
    );
  for (const [token, id] of ids) if (types[id] === tokenTypes.unused && isFiller(token, id)) ids.delete(token);
  return { fields, tokens, ids, types };
}

function byteLevelBpe(vocabulary: Vocabulary) {
  const { fields, tokens, types, ids } = vocabulary;
  const merges = fields
    .required('tokenizer.ggml.merges', fields.strings('tokenizer.ggml.merges'))
    .map((merge) => splitMerge(fields.where, merge));
  const kind = readPreTokenizer(fields);
  // Converters before 2024 lost the types of special tokens; a token that neither is one symbol nor comes of a merge
  // cannot be made by BPE, so it was added.
  const typesLost = !tokens.some((_, id) => types[id] !== tokenTypes.normal);
  const merged = new Set(typesLost ? merges.map(([left, right]) => left + right) : []);
  const isAdded = (token: string, id: number): boolean =>
    isAddedType(types[id]) || (typesLost && [...token].length > 1 && !merged.has(token));
  const tokenizerJson = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(vocabulary, isAdded, typesLost),
    normalizer: kind.normalizer ?? null,
    pre_tokenizer: kind.preTokenizer,
    post_processor: template(vocabulary, kind.addBos ?? false),
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: kind.ignoreMerges ?? false,
      vocab: Object.fromEntries(ids),
      merges,
    },
  };
  return { tokenizerJson, tokenizerConfig: tokenizerConfig(vocabulary, kind.addBos ?? false) };
}

function splitMerge(where: string, merge: string): [string, string] {
  const at = merge.indexOf(' ', 1); // a symbol may be a space itself
  if (at < 0 || at === merge.length - 1)
    throw malformed(where, `metadata "tokenizer.ggml.merges", expected two symbols, got ${show(merge)}`);
  return [merge.slice(0, at), merge.slice(at + 1)];
}

function readPreTokenizer(fields: GgufFields): PreTokenizer {
  // Every Falcon of this architecture has the same tokenizer, and its older files do not name it.
  const unnamed = fields.string('general.architecture') === 'falcon' ? 'falcon' : undefined;
  const given = fields.string('tokenizer.ggml.pre');
  const name = given === undefined || given === 'default' ? (unnamed ?? given) : given;
  const kind = name === undefined ? undefined : preTokenizerOf(name);
  if (kind) return kind;
  throw malformed(
    fields.where,
    `metadata "tokenizer.ggml.pre", expected one of ${preTokenizers.flatMap(({ names }) => names).join(', ')}, got ${show(given ?? null)}`,
    'Take a newer conversion of the model, or put its own tokenizer.json beside the file.',
  );
}

function sentencePiece(vocabulary: Vocabulary) {
  const { fields, tokens, types, ids } = vocabulary;
  const scores = fields.required('tokenizer.ggml.scores', fields.numbers('tokenizer.ggml.scores'));
  if (scores.length !== tokens.length)
    throw malformed(
      fields.where,
      `metadata "tokenizer.ggml.scores", expected ${tokens.length} values, got ${scores.length}`,
    );
  const long = tokens.find((token, id) => token.length > maxPieceLength && types[id] === tokenTypes.normal);
  if (long !== undefined)
    throw malformed(
      fields.where,
      `metadata "tokenizer.ggml.tokens", expected pieces of at most ${maxPieceLength} characters, got ${show(long)}`,
    );
  const unknown = tokens[fields.size('tokenizer.ggml.unknown_token_id') ?? 0] ?? null;
  const prefix = fields.boolean('tokenizer.ggml.add_space_prefix') ?? true;
  const isAdded = (_: string, id: number): boolean => isAddedType(types[id]);
  const space = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const tokenizerJson = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(vocabulary, isAdded, false),
    normalizer: prefix ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, space] } : space,
    pre_tokenizer: null,
    post_processor: template(vocabulary, true),
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: unknown,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(ids),
      merges: sentencePieceMerges(fields.where, tokens, scores, (id) => types[id] === tokenTypes.normal),
    },
  };
  return { tokenizerJson, tokenizerConfig: tokenizerConfig(vocabulary, true) };
}

function addedTokens(
  { tokens, types }: Vocabulary,
  isAdded: (token: string, id: number) => boolean,
  allSpecial: boolean,
): JsonObject[] {
  const added: JsonObject[] = [];
  tokens.forEach((content, id) => {
    if (!isAdded(content, id)) return;
    const special = allSpecial || types[id] !== tokenTypes.userDefined;
    added.push({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special });
  });
  return added;
}

/** The text of an id that has one. */
function tokenOf({ tokens, ids }: Vocabulary, id: number | undefined): string | undefined {
  const token = id === undefined ? undefined : tokens[id];
  return token !== undefined && ids.get(token) === id ? token : undefined;
}

/** Puts BOS before and EOS after the text, where the file asks for them. */
function template(vocabulary: Vocabulary, addBosByDefault: boolean): JsonObject {
  const { fields } = vocabulary;
  const special = (name: string, add: boolean) => {
    const id = fields.size(`tokenizer.ggml.${name}_token_id`);
    const token = tokenOf(vocabulary, id);
    return add && id !== undefined && token !== undefined ? [{ id, token }] : [];
  };
  const bos = special('bos', fields.boolean('tokenizer.ggml.add_bos_token') ?? addBosByDefault);
  const eos = special('eos', fields.boolean('tokenizer.ggml.add_eos_token') ?? false);
  const sequence = (id: 'A' | 'B', type_id: 0 | 1): JsonObject[] => [
    ...bos.map(({ token }) => ({ SpecialToken: { id: token, type_id } })),
    { Sequence: { id, type_id } },
    ...eos.map(({ token }) => ({ SpecialToken: { id: token, type_id } })),
  ];
  return {
    type: 'TemplateProcessing',
    single: sequence('A', 0),
    pair: [...sequence('A', 0), ...sequence('B', 1)],
    special_tokens: Object.fromEntries(
      [...bos, ...eos].map(({ id, token }) => [token, { id: token, ids: [id], tokens: [token] }]),
    ),
  };
}

function tokenizerConfig(vocabulary: Vocabulary, addBosByDefault: boolean): JsonObject {
  const { fields } = vocabulary;
  const token = (name: string, key: string): JsonObject => {
    const content = tokenOf(vocabulary, fields.size(`tokenizer.ggml.${name}_token_id`));
    return content === undefined ? {} : { [key]: content };
  };
  const architecture = fields.string('general.architecture');
  const contextLength = architecture === undefined ? undefined : fields.size(`${architecture}.context_length`);
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    ...token('bos', 'bos_token'),
    ...token('eos', 'eos_token'),
    ...token('unknown', 'unk_token'),
    ...token('padding', 'pad_token'),
    add_bos_token: fields.boolean('tokenizer.ggml.add_bos_token') ?? addBosByDefault,
    add_eos_token: fields.boolean('tokenizer.ggml.add_eos_token') ?? false,
    clean_up_tokenization_spaces: false,
    ...(contextLength === undefined ? {} : { model_max_length: contextLength }),
    ...chatTemplate(fields),
  };
}

function chatTemplate(fields: GgufFields): JsonObject {
  const main = fields.string('tokenizer.chat_template');
  const names = fields.strings('tokenizer.chat_templates') ?? [];
  const others = names.map((name) => ({ name, template: fields.string(`tokenizer.chat_template.${name}`) }));
  if (others.length === 0) return main === undefined ? {} : { chat_template: main };
  return { chat_template: [...(main === undefined ? [] : [{ name: 'default', template: main }]), ...others] };
}
