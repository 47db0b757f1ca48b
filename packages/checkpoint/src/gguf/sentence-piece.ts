// SentencePiece's BPE keeps a score a piece, Hugging Face's a list of merges; this makes the list from the scores.
// A merge of two pieces is as good as the score of the piece they make; equal ones keep the order in which
// the Llama converter of transformers lists them, so that the result equals its tokenizer.json.

/** [left, right] pairs, the best first. `isNormal`: not a control, byte or unused token. */
export function sentencePieceMerges(
  tokens: readonly string[],
  scores: ArrayLike<number>,
  isNormal: (id: number) => boolean,
): [string, string][] {
  const ids = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (isNormal(id)) ids.set(token, id);
  });
  const merges: { left: string; right: string; score: number; id: number; leftId: number; rightId: number }[] = [];
  for (const [token, id] of ids)
    for (let at = 1; at < token.length; at++) {
      const left = token.slice(0, at);
      const right = token.slice(at);
      const leftId = ids.get(left);
      const rightId = ids.get(right);
      if (leftId !== undefined && rightId !== undefined)
        merges.push({ left, right, score: scores[id] as number, id, leftId, rightId });
    }
  merges.sort((a, b) => b.score - a.score || a.id - b.id || a.leftId - b.leftId || a.rightId - b.rightId);
  return merges.map(({ left, right }) => [left, right]);
}
