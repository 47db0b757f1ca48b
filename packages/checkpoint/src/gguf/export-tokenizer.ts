// A tokenizer and what ends a generation -> the tokenizer keys of GGUF. What they do not give back is kept in keys of
// our own, so that a written file means the same as its source.
// Owns: recognising the two kinds that llama.cpp has (byte-level BPE with a known splitting pattern, SentencePiece BPE
// with byte fallback); anything else is an error, since a guess would give other ids.
// Does not own: reading the source (source-tokenizer.ts), the way back (tokenizer.ts), the patterns (pre-tokenizers.ts),
// the difference (not-in-gguf.ts).
import { show } from '@relufy/tensor';
import type { ModelFiles } from '../byte-source.js';
import { malformed } from '../malformed.js';
import type { GgufField, JsonObject } from './architecture.js';
import { generationConfig } from './folder.js';
import { type GgufConfig, parseObject } from './gguf-config.js';
import { GgufFields } from './metadata.js';
import { canonical, generationDifference, tokenizerConfigDifference, tokenizerDifference } from './not-in-gguf.js';
import { generationKey, tokenizerConfigKey, tokenizerKey } from './own-keys.js';
import { preTokenizers } from './pre-tokenizers.js';
import { notSupported, type Role, readSourceTokenizer, type SourceTokenizer } from './source-tokenizer.js';
import { fillerName, ggufTokenizer, tokenTypes } from './tokenizer.js';
import { asRead } from './write.js';

type Field = readonly [key: string, field: GgufField];

/**
 * @throws RelufyError for a tokenizer that GGUF cannot hold, and for ids outside of the vocabulary.
 */
export async function tokenizerFields(files: ModelFiles, reader: GgufConfig, signal?: AbortSignal): Promise<Field[]> {
  const source = await readSourceTokenizer(files, signal);
  const text = await files.readText('generation_config.json', { signal });
  const where = `${files.name}/generation_config.json`;
  const generation = text === undefined ? {} : parseObject(where, text);
  const size = reader.size('vocab_size');
  const ends = endIds(source, [
    [where, generation],
    [`${files.name}/config.json`, reader.config],
  ]);
  const kind = source.model.byte_fallback === true ? sentencePieceFields(source, size) : byteLevelFields(source);
  const fields: Field[] = [
    ...kind,
    ...vocabularyFields(source, size),
    ...specialFields(source, reader, ends),
    ...chatTemplates(source),
  ];
  const metadata = new Map(fields.map(([key, field]) => [key, asRead(field)]));
  const { tokenizerJson, tokenizerConfig } = ggufTokenizer(metadata, files.name);
  const made = generationConfig(new GgufFields(files.name, metadata));
  const said = ends.length === 0 ? generation : { ...generation, eos_token_id: ends.length === 1 ? ends[0] : ends };
  for (const [key, difference] of [
    [tokenizerKey, tokenizerDifference(source, tokenizerJson)],
    [tokenizerConfigKey, tokenizerConfigDifference(source, tokenizerConfig)],
    [generationKey, generationDifference(said, made)],
  ] as const)
    if (Object.keys(difference).length > 0) fields.push([key, { type: 'string', value: JSON.stringify(difference) }]);
  return fields;

  /** As a model is loaded: what generation_config.json says, else config.json, else the tokenizer. */
  function endIds(
    { ids, roles }: SourceTokenizer,
    configs: readonly (readonly [where: string, config: JsonObject])[],
  ): readonly number[] {
    for (const [file, config] of configs) {
      const value = config.eos_token_id ?? [];
      const list: readonly unknown[] = Array.isArray(value) ? value : [value];
      if (!list.every((id) => isId(id, size)))
        throw malformed(file, `"eos_token_id", expected token ids below ${size}, got ${show(value)}`);
      if (list.length > 0) return [...new Set(list as number[])];
    }
    const id = ids.get(roles.get('eos') ?? '');
    return id === undefined ? [] : [id];
  }
}

const isId = (id: unknown, size: number): id is number =>
  Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) < size;

/** Every token at its id; rows of the embedding without one are filled up. */
function vocabularyFields({ where, model, vocab, added, ids }: SourceTokenizer, size: number): Field[] {
  const tokens: string[] = [];
  const types: number[] = Array(size).fill(tokenTypes.unused);
  const put = (token: string, id: number, type: number): void => {
    if (!isId(id, size))
      throw malformed(
        where,
        `token ${show(token)}, expected an id below the model's ${size}, got ${show(id)}`,
        'Correct vocab_size or the tokenizer.',
      );
    if (tokens[id] !== undefined && tokens[id] !== token)
      throw malformed(where, `token ${show(token)}, expected an id of its own, got ${id} of ${show(tokens[id])}`);
    tokens[id] = token;
    types[id] = type;
  };
  for (const [token, id] of vocab)
    put(
      token,
      id,
      model.byte_fallback === true && /^<0x[0-9A-F]{2}>$/.test(token) ? tokenTypes.byte : tokenTypes.normal,
    );
  for (const { id, content, special } of added)
    put(
      content,
      id,
      special ? (content === model.unk_token ? tokenTypes.unknown : tokenTypes.control) : tokenTypes.userDefined,
    );
  for (let id = 0; id < size; id++) tokens[id] ??= fillerName(id, (name) => ids.has(name));
  return [
    ['tokenizer.ggml.tokens', { type: 'string[]', value: tokens }],
    ['tokenizer.ggml.token_type', { type: 'int32[]', value: types }],
  ];
}

function byteLevelFields({ where, json, model, merges }: SourceTokenizer): Field[] {
  const wanted = canonical(json.pre_tokenizer);
  const kind = preTokenizers.find(
    ({ preTokenizer, normalizer, ignoreMerges }) =>
      canonical(preTokenizer) === wanted &&
      canonical(normalizer ?? null) === canonical(json.normalizer ?? null) &&
      (ignoreMerges ?? false) === (model.ignore_merges ?? false),
  );
  if (!kind)
    throw malformed(
      where,
      `"pre_tokenizer", expected one that llama.cpp knows, got ${show(json.pre_tokenizer)}`,
      notSupported,
    );
  return [
    ['tokenizer.ggml.model', { type: 'string', value: 'gpt2' }],
    ['tokenizer.ggml.pre', { type: 'string', value: kind.names[0] as string }],
    ['tokenizer.ggml.merges', { type: 'string[]', value: merges }],
  ];
}

function sentencePieceFields({ where, json, merges, ids }: SourceTokenizer, size: number): Field[] {
  const normalizer = JSON.stringify(json.normalizer ?? null);
  if (json.pre_tokenizer || !normalizer.includes('"▁"'))
    throw malformed(
      where,
      `"normalizer", expected spaces as "▁" and no pre_tokenizer, got ${show(json.normalizer)}`,
      notSupported,
    );
  // The score of a piece is how early a merge makes it; single symbols need none.
  const scores: number[] = Array(size).fill(0);
  merges.forEach((merge, rank) => {
    const id = ids.get(merge.replace(' ', ''));
    if (id !== undefined && scores[id] === 0) scores[id] = -rank - 1;
  });
  return [
    ['tokenizer.ggml.model', { type: 'string', value: 'llama' }],
    ['tokenizer.ggml.pre', { type: 'string', value: 'default' }],
    ['tokenizer.ggml.scores', { type: 'float32[]', value: scores }],
    ['tokenizer.ggml.add_space_prefix', { type: 'bool', value: normalizer.includes('"Prepend"') }],
  ];
}

/** Ends of a turn and of a message, as llama.cpp calls them. */
const messageEnd = '<|eom_id|>';

/**
 * Roles by id, and what ends a generation: GGUF has three keys for that, and every reader stops at each of them. More
 * ids, or another order, stand in our own key.
 */
function specialFields(source: SourceTokenizer, reader: GgufConfig, ends: readonly number[]): Field[] {
  const { ids, roles, frame } = source;
  const size = reader.size('vocab_size');
  const idOf = (role: Role, otherwise?: unknown): number | undefined =>
    [ids.get(roles.get(role) ?? ''), otherwise, reader.config[`${role}_token_id`]].find((id) => isId(id, size)) as
      | number
      | undefined;
  const eosRole = idOf('eos', null);
  const eos = eosRole !== undefined && (ends.length === 0 || ends.includes(eosRole)) ? eosRole : ends[0];
  const others = ends.filter((id) => id !== eos);
  const eom = others.find((id) => id === ids.get(messageEnd)) ?? others[1];
  const eot = others.find((id) => id !== eom);
  const bos = idOf('bos', frame.before[0]);
  const fields: Field[] = [];
  for (const [name, id] of [
    ['bos', bos],
    ['eos', eos],
    ['eot', eot],
    ['eom', eom],
    ['unknown', idOf('unk', ids.get(String(source.model.unk_token)))],
    ['padding', idOf('pad')],
  ] as const)
    if (id !== undefined) fields.push([`tokenizer.ggml.${name}_token_id`, { type: 'uint32', value: id }]);
  const adds = (side: readonly number[], id: number | undefined): GgufField => ({
    type: 'bool',
    value: id !== undefined && side.includes(id),
  });
  fields.push(['tokenizer.ggml.add_bos_token', adds(frame.before, bos)]);
  fields.push(['tokenizer.ggml.add_eos_token', adds(frame.after, eosRole)]);
  return fields;
}

function chatTemplates({ config, chatTemplate }: SourceTokenizer): Field[] {
  const given = chatTemplate ?? config.chat_template;
  if (typeof given === 'string') return [['tokenizer.chat_template', { type: 'string', value: given }]];
  const list = Array.isArray(given) ? (given as { name: string; template: string }[]) : [];
  const main = list.find(({ name }) => name === 'default');
  const others = list.filter(({ name }) => name !== 'default');
  return [
    ...(main ? [['tokenizer.chat_template', { type: 'string', value: main.template }] as const] : []),
    ...(others.length > 0
      ? [['tokenizer.chat_templates', { type: 'string[]', value: others.map(({ name }) => name) }] as const]
      : []),
    ...others.map(
      ({ name, template }) => [`tokenizer.chat_template.${name}`, { type: 'string', value: template }] as const,
    ),
  ];
}
