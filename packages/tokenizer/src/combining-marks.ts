// Long runs of combining marks in the order that Unicode's normal forms give them, before the engine's `normalize`, which sorts a
// run by insertion: 100,000 marks of two classes take it more than a minute. Texts of people have runs of a few marks and are
// left alone; the normal forms of a text are the same whether its marks were sorted before. Does not own the forms (library.ts).

/** The engine sorts as many in no time. */
const longRun = /\p{M}{256,}/gu;

export const withSortedMarks = (text: string): string => text.replace(longRun, sortedRun);

/** Marks of class 0 stay where they are, and so do others in relation to them. */
function sortedRun(run: string): string {
  const classes = new Map<string, number | undefined>();
  // a mark such as U+0344 is several others
  const marks = [...run].flatMap((mark) => [...mark.normalize('NFD')]);
  const distinct = [...new Set(marks)].filter((mark) => {
    const moves = isSorted(mark);
    if (!moves) classes.set(mark, undefined);
    return moves;
  });
  distinct.sort((a, b) => (swaps(a, b) ? 1 : swaps(b, a) ? -1 : 0));
  let order = 0;
  for (const [at, mark] of distinct.entries()) {
    const before = distinct[at - 1];
    if (before !== undefined && swaps(mark, before)) order++;
    classes.set(mark, order);
  }
  const buckets: string[][] = Array.from({ length: order + 1 }, () => []);
  const pieces: string[] = [];
  const flush = (): void => {
    for (const bucket of buckets) {
      pieces.push(bucket.join(''));
      bucket.length = 0;
    }
  };
  for (const mark of marks) {
    const own = classes.get(mark);
    if (own !== undefined) buckets[own]?.push(mark);
    else {
      flush();
      pieces.push(mark);
    }
  }
  flush();
  return pieces.join('');
}

/** The class of `a` is above that of `b`. */
const swaps = (a: string, b: string): boolean => (a + b).normalize('NFD') !== a + b;

/** Of the highest and of a middle class: one of them changes places with every mark that is not of class 0. */
const highest = '\u0345';
const middle = '\u0301';
const isSorted = (mark: string): boolean => swaps(highest, mark) || swaps(mark, middle);
