// Special tokens by role (BOS, EOS, ...): where the files name them, and which ids they have.
// Roles come from special_tokens_map.json and, above it, tokenizer_config.json. Finding them in text is added-tokens.ts.
import type { AddedToken } from './added-tokens.js';
import { readAddedToken } from './added-tokens.js';
import { type Fields, isObject, type Source } from './json.js';

const roles = ['bos_token', 'eos_token', 'unk_token', 'pad_token', 'sep_token', 'cls_token', 'mask_token'] as const;
export type Role = (typeof roles)[number];

export interface SpecialTokens {
  readonly roles: ReadonlyMap<Role, string>;
  /** Tokens that the files beside tokenizer.json call special, with or without a role. */
  readonly named: ReadonlySet<string>;
}

/** A token is written as its text or as an object with `content`. */
function contentOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return isObject(value) && typeof value.content === 'string' ? value.content : undefined;
}

/** `files` in order of precedence, the strongest first. */
export function readSpecialTokens(files: readonly Fields[]): SpecialTokens {
  const found = new Map<Role, string>();
  const named = new Set<string>();
  for (const fields of files) {
    for (const role of roles) {
      const value = fields.get(role);
      if (value === undefined || found.has(role)) continue;
      const content = contentOf(value);
      if (content === undefined) throw fields.fail(role, 'a token, as a string or an object with "content"');
      if (content === '') continue;
      found.set(role, content);
      named.add(content);
    }
    const more = fields.get('additional_special_tokens') ?? fields.get('extra_special_tokens');
    const list = Array.isArray(more) ? more : isObject(more) ? Object.values(more) : [];
    for (const value of list) {
      const content = contentOf(value);
      if (content !== undefined && content !== '') named.add(content);
    }
  }
  return { roles: found, named };
}

/** `added_tokens_decoder` of tokenizer_config.json: added tokens by id, which tokenizer.json may lack. */
export function readAddedTokensDecoder(config: Fields): AddedToken[] {
  const table = config.optional('added_tokens_decoder');
  if (table === undefined) return [];
  return Object.keys(table.object).map((key) => {
    const id = Number(key);
    if (!Number.isSafeInteger(id) || id < 0) throw table.fail(key, 'ids from 0 on as keys');
    return readAddedToken(table.fields(key), id);
  });
}

export const tokenizerConfig = (name: string): Source => ({ name, file: 'tokenizer_config.json' });
