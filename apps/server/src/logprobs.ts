// Log-probabilities as OpenAI's two routes write them: a list of tokens with their alternatives (chat), or lists side by
// side with a map of alternatives at each place (completions). Does not own the numbers (@relufy/models).
import type { Model, Piece, TokenLogprob } from '@relufy/models';
import { tokenizerOf } from './prompts.js';

export interface ChatLogprob {
  readonly token: string;
  readonly logprob: number;
  /** UTF-8: a token may be a part of a character. */
  readonly bytes: readonly number[];
  readonly top_logprobs: readonly Omit<ChatLogprob, 'top_logprobs'>[];
}

/** What a token reads as by itself. */
export const tokenText = (model: Model, id: number): string =>
  id < tokenizerOf(model).vocabSize ? tokenizerOf(model).decode([id]) : '';

function described(model: Model, { tokenId, logprob }: TokenLogprob): Omit<ChatLogprob, 'top_logprobs'> {
  const bytes = tokenizerOf(model).tokenBytes(tokenId);
  return { token: new TextDecoder().decode(bytes), logprob: finite(logprob), bytes: [...bytes] };
}

/** JSON has no infinity; OpenAI writes this for what cannot be. */
const finite = (logprob: number): number => Math.max(logprob, -9999);

export function chatLogprobs(model: Model, pieces: readonly Piece[]): readonly ChatLogprob[] {
  return pieces.map(({ tokenId, logprob = 0, topLogprobs = [] }) => ({
    ...described(model, { tokenId, logprob }),
    top_logprobs: topLogprobs.map((top) => described(model, top)),
  }));
}

export interface CompletionLogprobs {
  readonly tokens: readonly string[];
  /** null for the first token of a prompt, which nothing comes before. */
  readonly token_logprobs: readonly (number | null)[];
  readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[];
  readonly text_offset: readonly number[];
}

export interface ScoredToken {
  readonly tokenId: number;
  readonly logprob: number | undefined;
  readonly top: readonly TokenLogprob[];
}

/** `offset`: where the first token's text begins in what the choice's text is. */
export function completionLogprobs(
  model: Model,
  tokens: readonly ScoredToken[],
  topCount: number,
  offset = 0,
): CompletionLogprobs {
  let at = offset;
  const texts = tokens.map(({ tokenId }) => tokenText(model, tokenId));
  return {
    tokens: texts,
    token_logprobs: tokens.map(({ logprob }) => (logprob === undefined ? null : finite(logprob))),
    top_logprobs: tokens.map(({ tokenId, logprob, top }) => {
      if (logprob === undefined) return null;
      const named = new Map<string, number>();
      // two tokens may read alike, such as parts of characters: the likelier one has the name
      for (const each of [...top.slice(0, topCount), { tokenId, logprob }]) {
        const text = tokenText(model, each.tokenId);
        named.set(text, Math.max(finite(each.logprob), named.get(text) ?? Number.NEGATIVE_INFINITY));
      }
      return Object.fromEntries(named);
    }),
    text_offset: texts.map((text, i) => {
      const begins = at;
      // a BOS before a prompt is no part of the text
      if (begins > 0 || tokens[i]?.tokenId !== model.tokenizer?.bosId) at += text.length;
      return begins;
    }),
  };
}
