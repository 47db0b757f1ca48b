// SentencePiece's BPE keeps a score a piece, Hugging Face's a list of merges; this makes the list from the scores.
// A merge of two pieces is as good as the score of the piece they make; equal ones keep the order in which
// the Llama converter of transformers lists them, so that the result equals its tokenizer.json.
// Owns what a vocabulary may cost: few letters make many merges of a small file.
import { malformed } from '../malformed.js';

/** Merges that any vocabulary may have, and how many a token where it is larger: the 32,000 of Llama 2 have 61,249, two a token. */
const mostMerges = 2 ** 18;
const mostMergesOfToken = 4;
/** Characters of all pieces: each is a place where a piece may be divided. Those of Llama 2 have 162,024 together. */
const mostCharacters = 2 ** 23;

/** [left, right] pairs, the best first. `isNormal`: not a control, byte or unused token. */
export function sentencePieceMerges(
  where: string,
  tokens: readonly string[],
  scores: ArrayLike<number>,
  isNormal: (id: number) => boolean,
): [string, string][] {
  const ids = new Map<string, number>();
  let characters = 0;
  tokens.forEach((token, id) => {
    if (!isNormal(id)) return;
    ids.set(token, id);
    characters += token.length;
    if (Number.isNaN(scores[id]))
      throw malformed(where, `metadata "tokenizer.ggml.scores", expected numbers, got NaN for token ${id}`);
  });
  if (characters > mostCharacters)
    throw malformed(
      where,
      `metadata "tokenizer.ggml.tokens", expected pieces of at most ${mostCharacters} characters together, got ${characters}`,
    );
  const most = Math.max(mostMerges, mostMergesOfToken * ids.size);
  // columns of numbers: an object a merge takes five times the memory
  const [made, lefts, rights]: [number[], number[], number[]] = [[], [], []];
  for (const [token, id] of ids)
    for (let at = 1; at < token.length; at++) {
      const left = ids.get(token.slice(0, at));
      const right = left === undefined ? undefined : ids.get(token.slice(at));
      if (left === undefined || right === undefined) continue;
      made.push(id);
      lefts.push(left);
      rights.push(right);
      if (made.length > most)
        throw malformed(
          where,
          `metadata "tokenizer.ggml.tokens", expected at most ${most} pairs of pieces that make a piece, got more`,
        );
    }
  const score = (merge: number): number => scores[made[merge] as number] as number;
  const byColumn = (column: readonly number[], a: number, b: number): number =>
    (column[a] as number) - (column[b] as number);
  return Array.from(
    // Infinity less itself is NaN, which is as equal as 0
    Uint32Array.from(made.keys()).sort(
      (a, b) => score(b) - score(a) || byColumn(made, a, b) || byColumn(lefts, a, b) || byColumn(rights, a, b),
    ),
    (merge) => [tokens[lefts[merge] as number] as string, tokens[rights[merge] as number] as string],
  );
}
