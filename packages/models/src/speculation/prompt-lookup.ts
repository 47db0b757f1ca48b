// Drafts from the text itself: what followed the last few tokens where they stood before. No second model, and no time to
// speak of; it pays where an answer repeats what is there (code that is edited, quotes, lists, summaries). Known as prompt
// lookup (Saxena 2023) and n-gram lookup.
// Does not own whether a draft is right (speculation.ts) nor whether drafting pays (pace.ts).

/** Tokens that have to be the same before a place is taken for the same: the longest match counts. */
const longestMatch = 4;
const shortestMatch = 2;

/**
 * Up to `most` tokens that followed the last tokens of `ids` at the latest place where the longest match stood; none where
 * there is no match. Where a draft reaches the end of `ids` it goes on with itself, so that what repeats goes on repeating.
 */
export function lookUp(ids: readonly number[], most: number): readonly number[] {
  let best = 0;
  let follows = 0;
  for (let end = ids.length - 1; end >= shortestMatch && best < longestMatch; end--) {
    let same = 0;
    while (same < longestMatch && same < end && ids[end - 1 - same] === ids[ids.length - 1 - same]) same++;
    if (same <= best || same < shortestMatch) continue;
    best = same;
    follows = end;
  }
  if (best === 0) return [];
  const drafted: number[] = [];
  for (let at = follows; drafted.length < most; at++)
    drafted.push((at < ids.length ? ids[at] : drafted[at - ids.length]) as number);
  return drafted;
}
