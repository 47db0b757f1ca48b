// tokenizer.json and tokenizer_config.json -> the tokenizer keys of GGUF.
// Owns: recognising the two kinds that llama.cpp has (byte-level BPE with a known splitting pattern, SentencePiece BPE
// with byte fallback); anything else is an error, since a guess would give other ids.
// Does not own: the way back (tokenizer.ts), the patterns (pre-tokenizers.ts).
import { show } from '@relufy/tensor';
import type { ModelFiles } from '../byte-source.js';
import { malformed } from '../malformed.js';
import type { ConfigReader, GgufField, JsonObject } from './architecture.js';
import { parseObject } from './config-reader.js';
import { preTokenizers } from './pre-tokenizers.js';
import { tokenTypes } from './tokenizer.js';

type Field = readonly [key: string, field: GgufField];

interface Vocabulary {
  readonly tokens: string[];
  readonly types: number[];
  readonly ids: ReadonlyMap<string, number>;
}

const notSupported = 'This tokenizer cannot be written as GGUF; convert to safetensors instead.';

/** No tokenizer.json: no fields. */
export async function tokenizerFields(files: ModelFiles, reader: ConfigReader, signal?: AbortSignal): Promise<Field[]> {
  const text = await files.readText('tokenizer.json', { signal });
  if (text === undefined)
    throw malformed(
      files.name,
      'tokenizer.json, expected in the folder, got none',
      'Save the tokenizer as tokenizer.json first.',
    );
  const where = `${files.name}/tokenizer.json`;
  const json = parseObject(where, text);
  const configText = await files.readText('tokenizer_config.json', { signal });
  const config = configText === undefined ? {} : parseObject(`${files.name}/tokenizer_config.json`, configText);
  const template = await files.readText('chat_template.jinja', { signal });
  const model = json.model as JsonObject | undefined;
  if (model?.vocab === undefined || model.merges === undefined || (model.type ?? 'BPE') !== 'BPE')
    throw malformed(where, `"model", expected BPE, got ${show(model?.type)}`, notSupported);
  const vocabulary = readVocabulary(where, json, model, reader.size('vocab_size'));
  const merges = (model.merges as (string | [string, string])[]).map((merge) =>
    typeof merge === 'string' ? merge : merge.join(' '),
  );
  const kind =
    model.byte_fallback === true
      ? sentencePieceFields(where, json, vocabulary, merges)
      : byteLevelFields(where, json, model, merges);
  return [
    ...kind,
    ['tokenizer.ggml.tokens', { type: 'string[]', value: vocabulary.tokens }],
    ['tokenizer.ggml.token_type', { type: 'int32[]', value: vocabulary.types }],
    ...specialFields(json, config, reader.config, vocabulary),
    ...chatTemplate(config, template),
  ];
}

function readVocabulary(where: string, json: JsonObject, model: JsonObject, size: number): Vocabulary {
  const tokens: string[] = Array.from({ length: size }, (_, id) => `[PAD${id}]`); // rows of the embedding without a token
  const types: number[] = Array(size).fill(tokenTypes.unused);
  const put = (token: string, id: number, type: number): void => {
    if (!Number.isSafeInteger(id) || id < 0 || id >= size)
      throw malformed(
        where,
        `token ${show(token)}, expected an id below the model's ${size}, got ${show(id)}`,
        'Correct vocab_size or the tokenizer.',
      );
    tokens[id] = token;
    types[id] = type;
  };
  const isBytes = model.byte_fallback === true;
  for (const [token, id] of Object.entries(model.vocab as Record<string, number>))
    put(token, id, isBytes && /^<0x[0-9A-F]{2}>$/.test(token) ? tokenTypes.byte : tokenTypes.normal);
  for (const { id, content, special } of (json.added_tokens ?? []) as {
    id: number;
    content: string;
    special: boolean;
  }[])
    put(
      content,
      id,
      special ? (content === model.unk_token ? tokenTypes.unknown : tokenTypes.control) : tokenTypes.userDefined,
    );
  return { tokens, types, ids: new Map(tokens.map((token, id) => [token, id])) };
}

function byteLevelFields(where: string, json: JsonObject, model: JsonObject, merges: string[]): Field[] {
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

/** A splitting pattern as text, with what changes nothing (defaults, offsets) left out. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (key, inner: unknown) => {
    if (key === 'trim_offsets' || (key === 'invert' && inner === false) || (key === 'use_regex' && inner === true))
      return undefined;
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    const list = (inner as JsonObject).pretokenizers;
    if (Array.isArray(list) && list.length === 1) return list[0] as unknown;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function sentencePieceFields(where: string, json: JsonObject, { tokens, ids }: Vocabulary, merges: string[]): Field[] {
  const normalizer = JSON.stringify(json.normalizer ?? null);
  if (json.pre_tokenizer || !normalizer.includes('"▁"'))
    throw malformed(
      where,
      `"normalizer", expected spaces as "▁" and no pre_tokenizer, got ${show(json.normalizer)}`,
      notSupported,
    );
  // The score of a piece is how early a merge makes it; single symbols need none.
  const scores: number[] = Array(tokens.length).fill(0);
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

function specialFields(json: JsonObject, config: JsonObject, model: JsonObject, { ids }: Vocabulary): Field[] {
  const idOf = (key: string): number | undefined => {
    const token = config[`${key}_token`] as string | { content?: string } | null | undefined;
    const id = ids.get((typeof token === 'string' ? token : token?.content) ?? '');
    const other = model[`${key}_token_id`];
    return id ?? (typeof other === 'number' ? other : Array.isArray(other) ? (other[0] as number) : undefined);
  };
  const fields: Field[] = [];
  for (const [key, name] of [
    ['bos', 'bos'],
    ['eos', 'eos'],
    ['unk', 'unknown'],
    ['pad', 'padding'],
  ] as const) {
    const id = idOf(key);
    if (id !== undefined) fields.push([`tokenizer.ggml.${name}_token_id`, { type: 'uint32', value: id }]);
  }
  const steps = templateSteps(json.post_processor);
  fields.push([
    'tokenizer.ggml.add_bos_token',
    { type: 'bool', value: steps.length > 1 && steps[0] === 'SpecialToken' },
  ]);
  fields.push([
    'tokenizer.ggml.add_eos_token',
    { type: 'bool', value: steps.length > 1 && steps.at(-1) === 'SpecialToken' },
  ]);
  return fields;
}

/** What a TemplateProcessing puts around one text: 'SpecialToken' and 'Sequence'. */
function templateSteps(processor: unknown): string[] {
  const { type, single, processors } = (processor ?? {}) as {
    type?: string;
    single?: object[];
    processors?: unknown[];
  };
  if (type === 'TemplateProcessing') return (single ?? []).map((step) => Object.keys(step)[0] ?? '');
  return (processors ?? []).map(templateSteps).find((steps) => steps.length > 0) ?? [];
}

function chatTemplate(config: JsonObject, jinja: string | undefined): Field[] {
  const given = jinja ?? config.chat_template;
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
