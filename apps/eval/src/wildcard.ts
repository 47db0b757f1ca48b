// Names with `*` in them, for any number of characters each: of tasks, on the command line and in the files of others.
// Does not own which names there are.

/** Whether a name fits. Piece by piece from the left: a pattern with many `.*` would try every way to share out the name. */
export function fitsWildcard(wildcard: string, name: string): boolean {
  const [first = '', ...pieces] = wildcard.split('*');
  const last = pieces.pop();
  if (last === undefined) return name === wildcard;
  if (!name.startsWith(first) || name.length < first.length + last.length || !name.endsWith(last)) return false;
  const end = name.length - last.length;
  let at = first.length;
  for (const piece of pieces) {
    const found = name.indexOf(piece, at);
    if (found < 0 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}
