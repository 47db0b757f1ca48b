// "Did you mean ...?": which of a few names somebody meant who typed another.
// Does not own: what is done with it.

/** The name that was probably meant: at most two letters off, or begun. */
export function nearest(typed: string, names: readonly string[]): string | undefined {
  if (typed.length > 100) return undefined; // no name, and the table below would be large
  const small = typed.toLowerCase();
  const scored = names.map((name) => {
    const begun = small.length >= 2 && name.toLowerCase().startsWith(small);
    return { name, distance: begun ? 0 : editDistance(small, name.toLowerCase()) };
  });
  let best: (typeof scored)[number] | undefined;
  for (const one of scored) if (best === undefined || one.distance < best.distance) best = one;
  return best && best.distance <= 2 && best.distance < typed.length ? best.name : undefined;
}

/** Levenshtein: letters to insert, delete or replace. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + Number(a[i - 1] !== b[j - 1]);
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, replaced));
    }
    row = next;
  }
  return row[b.length] as number;
}
