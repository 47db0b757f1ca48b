// The tokenizer of a Hugging Face folder as it is before it becomes GGUF: every added token wherever it stands, roles,
// what goes around a text. Decided as @relufy/tokenizer decides when it loads the folder, so that a written file means
// the same.
// Does not own: what of it GGUF can hold (export-tokenizer.ts) and what it cannot (not-in-gguf.ts).
import { show } from '@relufy/tensor';
import type { ModelFiles } from '../byte-source.js';
import { malformed } from '../malformed.js';
import type { JsonObject } from './architecture.js';
import { parseObject } from './gguf-config.js';
import { isObject } from './own-keys.js';

/** As tokenizer.json writes it, with every flag said. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
  readonly special: boolean;
}

export const roles = ['bos', 'eos', 'unk', 'pad', 'sep', 'cls', 'mask'] as const;
export type Role = (typeof roles)[number];

export interface SourceTokenizer {
  readonly where: string;
  /** tokenizer.json, or what vocab.json and merges.txt amount to. */
  readonly json: JsonObject;
  readonly model: JsonObject;
  /** tokenizer_config.json */
  readonly config: JsonObject;
  readonly chatTemplate: string | undefined;
  readonly vocab: ReadonlyMap<string, number>;
  readonly merges: readonly string[];
  readonly added: readonly AddedToken[];
  /** Of every token. */
  readonly ids: ReadonlyMap<string, number>;
  readonly roles: ReadonlyMap<Role, string>;
  /** Ids that go around a text. */
  readonly frame: { readonly before: readonly number[]; readonly after: readonly number[] };
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

export async function readSourceTokenizer(files: ModelFiles, signal?: AbortSignal): Promise<SourceTokenizer> {
  const read = async (file: string) => {
    const text = await files.readText(file, { signal });
    return text === undefined ? undefined : parseObject(`${files.name}/${file}`, text);
  };
  const config = (await read('tokenizer_config.json')) ?? {};
  const map = (await read('special_tokens_map.json')) ?? {};
  const own = await read('tokenizer.json');
  const where = `${files.name}/${own ? 'tokenizer.json' : 'vocab.json'}`;
  const json = own ?? (await fromVocabAndMerges(files, config, signal));
  const model = json.model;
  if (!isObject(model) || !isObject(model.vocab) || !Array.isArray(model.merges) || (model.type ?? 'BPE') !== 'BPE')
    throw malformed(
      where,
      `"model", expected BPE with "vocab" and "merges", got ${show(isObject(model) ? model.type : model)}`,
      notSupported,
    );
  const vocab = new Map(Object.entries(model.vocab) as [string, number][]);
  const merges = model.merges.map((merge: unknown) => {
    const text = Array.isArray(merge) ? merge.join(' ') : merge;
    if (typeof text !== 'string') throw malformed(where, `"merges", expected two symbols, got ${show(merge)}`);
    return text;
  });
  const named: JsonObject[] = [config, map];
  if (!own && vocab.has(endOfText)) named.push({ bos_token: endOfText, eos_token: endOfText, unk_token: endOfText }); // as transformers' GPT-2 has it
  const roleOf = new Map<Role, string>();
  for (const file of named)
    for (const role of roles) {
      const content = contentOf(file[`${role}_token`]);
      if (content !== undefined && !roleOf.has(role)) roleOf.set(role, content);
    }
  const special = new Set(roleOf.values());
  for (const file of named) for (const content of otherSpecials(file)) special.add(content);
  const table = own ? undefined : await read('added_tokens.json');
  const added = addedTokens(where, { json, config, table, vocab, special });
  const ids = new Map([...vocab, ...added.map(({ content, id }) => [content, id] as const)]);
  return {
    ...{ where, json, model, config, vocab, merges, added, ids, roles: roleOf },
    chatTemplate: await files.readText('chat_template.jinja', { signal }),
    frame: frameOf(json, config, ids, roleOf),
  };
}

export const notSupported = 'This tokenizer cannot be written as GGUF; convert to safetensors instead.';
const endOfText = '<|endoftext|>';

async function fromVocabAndMerges(files: ModelFiles, config: JsonObject, signal?: AbortSignal): Promise<JsonObject> {
  const [vocab, merges] = [
    await files.readText('vocab.json', { signal }),
    await files.readText('merges.txt', { signal }),
  ];
  if (vocab === undefined || merges === undefined)
    throw malformed(
      files.name,
      'tokenizer.json, expected in the folder, got none',
      'Save the tokenizer as tokenizer.json first.',
    );
  const lines = merges.split(/\r?\n/);
  if (lines[0]?.startsWith('#version')) lines.shift();
  return {
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: config.add_prefix_space === true, use_regex: true },
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      vocab: parseObject(`${files.name}/vocab.json`, vocab),
      merges: lines.filter((line) => line.trim() !== ''),
    },
  };
}

/** A token is written as its text or as an object with `content`. */
function contentOf(value: unknown): string | undefined {
  const content = isObject(value) ? value.content : value;
  return typeof content === 'string' && content !== '' ? content : undefined;
}

function otherSpecials(file: JsonObject): readonly string[] {
  const more = file.additional_special_tokens ?? file.extra_special_tokens;
  const values = isObject(more) ? Object.values(more) : listOf(more);
  return values.map(contentOf).filter((content) => content !== undefined);
}

/** tokenizer.json's own, then `added_tokens_decoder`, then added_tokens.json, then named tokens of the vocabulary. */
function addedTokens(
  where: string,
  from: {
    json: JsonObject;
    config: JsonObject;
    table: JsonObject | undefined;
    vocab: ReadonlyMap<string, number>;
    special: ReadonlySet<string>;
  },
): AddedToken[] {
  const { json, config, table, vocab, special } = from;
  const found = new Map<string, AddedToken>();
  const add = (id: unknown, value: unknown, replaces = false): void => {
    const content = contentOf(value);
    if (content === undefined) throw malformed(where, `an added token, expected its "content", got ${show(value)}`);
    if (found.has(content) && !replaces) return;
    const flags = isObject(value) ? value : {};
    const isSpecial = flags.special === true;
    found.set(content, {
      id: vocab.get(content) ?? (id as number), // the vocabulary's counts; whether it is an id is checked where it is put
      content,
      single_word: flags.single_word === true,
      lstrip: flags.lstrip === true,
      rstrip: flags.rstrip === true,
      normalized: (flags.normalized ?? !isSpecial) === true,
      special: isSpecial,
    });
  };
  for (const token of listOf(json.added_tokens)) add(isObject(token) ? token.id : undefined, token, true);
  const decoder = isObject(config.added_tokens_decoder) ? config.added_tokens_decoder : {};
  for (const [key, token] of Object.entries(decoder)) add(/^\d+$/.test(key) ? Number(key) : key, token);
  for (const [content, id] of Object.entries(table ?? {})) add(id, { content, special: special.has(content) });
  for (const content of special) if (vocab.has(content)) add(undefined, { content, special: true });
  return [...found.values()].sort((a, b) => a.id - b.id);
}

function frameOf(
  json: JsonObject,
  config: JsonObject,
  ids: ReadonlyMap<string, number>,
  roleOf: ReadonlyMap<Role, string>,
): SourceTokenizer['frame'] {
  const given = processorFrame(json.post_processor, ids);
  const side = (want: unknown, role: Role, asIs: readonly number[]): readonly number[] => {
    if (typeof want !== 'boolean') return asIs;
    const id = ids.get(roleOf.get(role) ?? '') ?? (role === 'bos' ? asIs[0] : undefined);
    return want && id !== undefined ? [id] : [];
  };
  return {
    before: side(config.add_bos_token, 'bos', given.before),
    after: side(config.add_eos_token, 'eos', given.after),
  };
}

function processorFrame(processor: unknown, ids: ReadonlyMap<string, number>): SourceTokenizer['frame'] {
  const nothing = { before: [], after: [] };
  if (!isObject(processor)) return nothing;
  if (processor.type === 'RobertaProcessing' || processor.type === 'BertProcessing') {
    const id = (key: string) => (processor[key] as readonly [string, number])[1];
    return { before: [id('cls')], after: [id('sep')] };
  }
  if (processor.type !== 'TemplateProcessing')
    return listOf(processor.processors)
      .map((inner) => processorFrame(inner, ids))
      .reduce(
        (inner, outer) => ({
          before: [...outer.before, ...inner.before],
          after: [...inner.after, ...outer.after],
        }),
        nothing,
      );
  const steps = listOf(processor.single).filter(isObject);
  const at = steps.findIndex((step) => 'Sequence' in step);
  const known = isObject(processor.special_tokens) ? processor.special_tokens : {};
  const idsOf = (step: JsonObject): readonly number[] => {
    const name = isObject(step.SpecialToken) ? String(step.SpecialToken.id) : '';
    const token = known[name];
    const id = ids.get(name);
    if (isObject(token) && Array.isArray(token.ids)) return token.ids as number[];
    return id === undefined ? [] : [id];
  };
  return { before: steps.slice(0, at).flatMap(idsOf), after: steps.slice(at + 1).flatMap(idsOf) };
}
