// Names that fit: of models and folders the part that tells them apart, of anything too long its end. Numbers as ticks say
// them. Does not own where a name is drawn (frame.ts).

/** Three digits at most, without a tail of zeros; millions and up with a letter. */
export function tickText(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  const short = (number: number) => String(Number(number.toPrecision(3)));
  if (size >= 1e12 || size < 1e-3) return Number(value.toPrecision(3)).toExponential().replace('e+', 'e');
  if (size >= 1e9) return `${short(value / 1e9)} G`;
  return size >= 1e6 ? `${short(value / 1e6)} M` : short(value);
}

/** The end of a name of more than `most` letters: there paths differ. */
export const clipped = (name: string, most: number): string =>
  name.length > most ? `…${name.slice(name.length - most + 1)}` : name;

/**
 * Paths and names of the hub, each by the fewest last segments that none of the others ends with, less what all still end
 * with: `runs/dense/eval`, `runs/sparse/eval` -> `dense`, `sparse`. Equal ones stay equal.
 */
export function shortNames(names: readonly string[]): string[] {
  const parts = names.map((name) => name.split(/[\\/]/).filter((part) => part !== ''));
  const others = (at: number) => parts.filter((_, other) => names[other] !== names[at]);
  const short = parts.map((segments, at) => {
    let from = segments.length - 1;
    while (from > 0 && others(at).some((other) => endsWith(other, segments.slice(from)))) from--;
    return segments.slice(Math.max(0, from));
  });
  const shared = sharedTail(short);
  return short.map((segments, at) => segments.slice(0, segments.length - shared).join('/') || (names[at] as string));
}

const endsWith = (segments: readonly string[], tail: readonly string[]): boolean =>
  tail.every((part, at) => segments[segments.length - tail.length + at] === part);

/** Segments that all names end with, where each has one more in front of them. */
function sharedTail(names: readonly (readonly string[])[]): number {
  const fewest = Math.min(...names.map(({ length }) => length));
  let shared = 0;
  while (shared < fewest - 1 && new Set(names.map((name) => name.at(-1 - shared))).size === 1) shared++;
  return shared;
}
