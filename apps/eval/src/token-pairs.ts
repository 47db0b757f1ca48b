// From texts to token ids as lm-evaluation-harness's `hf` model does it: where a context ends and its continuation begins,
// what is cut off on the left, and the windows of a rolling log-likelihood. Knows no model.
import { RelufyError, show } from '@relufy/tensor';
import { rstrip } from './processors.js';

/** What is needed of a tokenizer. */
export interface Encoding {
  /** With special tokens, or without. */
  readonly encode: (text: string, addSpecialTokens: boolean) => Promise<readonly number[]> | readonly number[];
  /** The tokenizer's own default, or what a user asked for. */
  readonly addSpecialTokens: boolean;
  /** Special text that opens a sequence; it is not added twice. */
  readonly bosText?: string;
  /** Stands in for an empty context: BOS, else EOS. */
  readonly prefixId: number | undefined;
}

export interface TokenPair {
  readonly context: readonly number[];
  readonly continuation: readonly number[];
  /** Tokens of the context that were cut off on the left. */
  readonly cut: number;
}

/**
 * Whitespace at the end of a context belongs to the continuation, and both are encoded together: the continuation's
 * tokens are what follows as many tokens as the context alone has.
 */
export async function encodePair(encoding: Encoding, context: string, continuation: string): Promise<TokenPair> {
  if (context === '') return { ...(await afterPrefix(encoding, continuation)), cut: 0 };
  const kept = rstrip(context);
  const moved = context.slice(kept.length) + continuation;
  const [whole, alone] = [await encodeText(encoding, kept + moved), await encodeText(encoding, kept)];
  const rest = whole.slice(alone.length);
  if (rest.length === 0)
    throw new RelufyError(
      'input',
      `request: expected a continuation with tokens of its own, got ${show(continuation)} behind ${show(context.slice(-40))}. Check the data.`,
    );
  return alone.length === 0
    ? { ...(await afterPrefix(encoding, moved)), cut: 0 }
    : { context: alone, continuation: rest, cut: 0 };
}

function encodeText(encoding: Encoding, text: string): Promise<readonly number[]> | readonly number[] {
  const { bosText, addSpecialTokens } = encoding;
  return encoding.encode(text, addSpecialTokens && !(bosText !== undefined && text.startsWith(bosText)));
}

async function afterPrefix(
  encoding: Encoding,
  continuation: string,
): Promise<{ context: readonly number[]; continuation: readonly number[] }> {
  const ids = await encoding.encode(continuation, false);
  const prefix = prefixOf(encoding);
  return ids[0] === prefix
    ? { context: ids.slice(0, 1), continuation: ids.slice(1) }
    : { context: [prefix], continuation: ids };
}

function prefixOf({ prefixId }: Encoding): number {
  if (prefixId !== undefined) return prefixId;
  throw new RelufyError(
    'state',
    'model: expected a BOS or EOS token to begin a text without context, got none. Add one to tokenizer_config.json.',
  );
}

/**
 * Keeps the last `maxLength` + 1 tokens, whose last one is scored but not read.
 * @throws RelufyError `input` when the continuation alone is longer than that.
 */
export function fitPair({ context, continuation }: TokenPair, maxLength: number): TokenPair {
  const room = maxLength + 1 - continuation.length;
  if (room < 1)
    throw new RelufyError(
      'input',
      `request: expected a continuation of at most ${maxLength} tokens (the context length), got ${continuation.length}. Load the model with a larger contextLength.`,
    );
  const cut = Math.max(0, context.length - room);
  return { context: context.slice(cut), continuation, cut };
}

/** The windows that score each token of a text once, with as much context as fits. */
export async function rollingPairs(encoding: Encoding, text: string, maxLength: number): Promise<TokenPair[]> {
  const ids = await encodeText(encoding, text);
  return rollingWindows(ids, prefixOf(encoding), maxLength);
}

/** lm-evaluation-harness's get_rolling_token_windows with a context of 1, and its make_disjoint_window. */
export function rollingWindows(ids: readonly number[], prefix: number, maxLength: number): TokenPair[] {
  const pairs: TokenPair[] = [];
  const first = Math.min(maxLength, ids.length);
  if (first > 0) pairs.push({ context: [prefix], continuation: ids.slice(0, first), cut: 0 });
  for (let scored = first; scored < ids.length; ) {
    const length = Math.min(ids.length - scored, maxLength);
    const end = scored + length;
    const input = ids.slice(end - maxLength - 1, end - 1);
    pairs.push({
      context: input.slice(0, input.length - (length - 1)),
      continuation: ids.slice(scored, end),
      cut: 0,
    });
    scored = end;
  }
  return pairs;
}
