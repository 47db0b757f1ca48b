// Finds what of a tokenizer and of a generation_config.json GGUF's own keys do not give back: what the reader makes of
// them is compared with what was, by meaning, and the difference is kept in keys of our own (own-keys.ts).
// Does not own: `relufy.config` (export.ts).
import type { JsonObject } from './architecture.js';
import { asObject, isObject, type Stretch } from './own-keys.js';
import { type Role, roles, type SourceTokenizer } from './source-tokenizer.js';

/** The parts of tokenizer.json that `made` lacks or has otherwise. */
export function tokenizerDifference(source: SourceTokenizer, made: JsonObject): JsonObject {
  const difference: JsonObject = {};
  if (canonical(made.added_tokens) !== canonical(source.added)) difference.added_tokens = source.added;
  for (const key of ['normalizer', 'decoder'])
    if (meaningOf(made[key]) !== meaningOf(source.json[key])) difference[key] = source.json[key] ?? null;
  const { before, after } = source.frame;
  const { bos, eos } = { bos: effectiveRole(source, 'bos'), eos: effectiveRole(source, 'eos') };
  if (!isRole(source, before, bos) || !isRole(source, after, eos))
    difference.post_processor = templateOf(source, before, after);
  const madeModel = asObject(made.model);
  const model: JsonObject = {};
  for (const key of ['unk_token', 'fuse_unk', 'continuing_subword_prefix', 'end_of_word_suffix', 'ignore_merges'])
    if ((source.model[key] || null) !== (madeModel[key] || null)) model[key] = source.model[key] ?? null;
  if (Object.keys(model).length > 0) difference.model = model;
  const merges = stretchOf(madeModel.merges as readonly (readonly [string, string])[], source.merges);
  if (merges) difference.merges = merges;
  return difference;
}

/** Where the two lists differ. Scores cannot say every order of merges that make the same piece. */
function stretchOf(
  made: readonly (readonly [string, string])[],
  merges: readonly string[],
): Stretch<readonly [string, string]> | undefined {
  const agree = (i: number, j: number): boolean => made[i] !== undefined && made[i]?.join(' ') === merges[j];
  let at = 0;
  while (at < merges.length && agree(at, at)) at++;
  let end = 0;
  while (end < Math.min(made.length, merges.length) - at && agree(made.length - 1 - end, merges.length - 1 - end))
    end++;
  const remove = made.length - end - at;
  const rest = merges.slice(at, merges.length - end);
  if (remove === 0 && rest.length === 0) return undefined;
  return { at, remove, insert: rest.map(twoSymbols) };
}

/** A symbol may be a space itself. */
function twoSymbols(merge: string): readonly [string, string] {
  const space = merge.indexOf(' ', 1);
  return [merge.slice(0, space), merge.slice(space + 1)];
}

/** A byte-level decoder has flags that change nothing. */
function meaningOf(part: unknown): string {
  return isObject(part) && part.type === 'ByteLevel' ? 'ByteLevel' : canonical(part ?? null);
}

/** The parts of tokenizer_config.json that `made` lacks or has otherwise: roles, and what goes around a text. */
export function tokenizerConfigDifference(source: SourceTokenizer, made: JsonObject): JsonObject {
  const difference: JsonObject = {};
  for (const role of roles) {
    const content = effectiveRole(source, role) ?? null;
    if ((made[`${role}_token`] ?? null) !== content) difference[`${role}_token`] = content;
  }
  for (const [side, role] of [
    ['before', 'bos'],
    ['after', 'eos'],
  ] as const) {
    const key = `add_${role}_token`;
    const ids = source.frame[side];
    const asked = isRole(source, ids, effectiveRole(source, role)) ? ids.length > 0 : null; // null: the template says
    if (made[key] !== asked) difference[key] = asked;
  }
  return difference;
}

/** The parts of generation_config.json that `made` lacks or has otherwise. */
export function generationDifference(source: JsonObject, made: JsonObject): JsonObject {
  const kept = Object.entries(source).filter(
    ([key, value]) =>
      !/^_|^transformers_version$/.test(key) && value !== null && JSON.stringify(value) !== JSON.stringify(made[key]),
  );
  return Object.fromEntries(kept);
}

/** A BOS that only the frame names is one all the same, as in the tokenizer. */
function effectiveRole(source: SourceTokenizer, role: Role): string | undefined {
  const first = source.frame.before[0];
  const named = source.roles.get(role);
  if (named !== undefined || role !== 'bos' || first === undefined) return named;
  return [...source.ids].find(([, id]) => id === first)?.[0];
}

const isRole = (source: SourceTokenizer, ids: readonly number[], content: string | undefined): boolean =>
  ids.length === 0 || (ids.length === 1 && content !== undefined && source.ids.get(content) === ids[0]);

function templateOf({ ids }: SourceTokenizer, before: readonly number[], after: readonly number[]): JsonObject {
  const contents = new Map([...ids].map(([content, id]) => [id, content]));
  const name = (id: number): string => contents.get(id) ?? `[${id}]`;
  const sequence = (id: 'A' | 'B', type_id: 0 | 1): JsonObject[] => [
    ...before.map((token) => ({ SpecialToken: { id: name(token), type_id } })),
    { Sequence: { id, type_id } },
    ...after.map((token) => ({ SpecialToken: { id: name(token), type_id } })),
  ];
  const special = (id: number) => [name(id), { id: name(id), ids: [id], tokens: [name(id)] }] as const;
  return {
    type: 'TemplateProcessing',
    single: sequence('A', 0),
    pair: [...sequence('A', 0), ...sequence('B', 1)],
    special_tokens: Object.fromEntries([...before, ...after].map(special)),
  };
}

/** A part of tokenizer.json as text, with what changes nothing (defaults, offsets) left out. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (key, inner: unknown) => {
    if (key === 'trim_offsets' || (key === 'invert' && inner === false) || (key === 'use_regex' && inner === true))
      return undefined;
    if (!isObject(inner)) return inner;
    const list = inner.pretokenizers;
    if (Array.isArray(list) && list.length === 1) return list[0] as unknown;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
