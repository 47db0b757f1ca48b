// Numbers within bounds, as grammars over their digits. What is written lies within the bounds; of numbers with a fraction
// not every one can be written: those outside of the whole numbers that the bounds hold are left out.
// Multiples of a decimal are told by the remainder of the digits so far.
// Does not own the schema's keywords (json-schema.ts).
import { chars, choice, type Expression, nothing, optional, repeat, sequence, type Table, text } from './grammar.js';
import { explore, merged, type TablePlace } from './regular.js';

export interface Bounds {
  readonly min: number;
  readonly max: number;
  /** The bound itself is out. */
  readonly minIsOut: boolean;
  readonly maxIsOut: boolean;
}

const digit = chars([0x30, 0x39]);
const digitsOf = (first: number, last: number) => chars([0x30 + first, 0x30 + last]);
/** As many as f64 holds: more could not be told apart. */
const mostDigits = 15;
const largest = 10 ** mostDigits - 1;
const fraction = sequence(text('.'), repeat(digit, 1, mostDigits));

const whole = choice(text('0'), sequence(digitsOf(1, 9), repeat(digit, 0, mostDigits - 1)));

export const anyInteger = sequence(optional(text('-')), whole);
export const anyNumber = sequence(
  anyInteger,
  optional(fraction),
  optional(
    sequence(chars([0x45, 0x45], [0x65, 0x65]), optional(chars([0x2b, 0x2b], [0x2d, 0x2d])), repeat(digit, 1, 2)),
  ),
);

/** Each number in one way: no exponent, no -0, no zeros at the end of a fraction; no more digits than f64 tells apart. */
const nonZero = digitsOf(1, 9);
export const integersOnce = choice(text('0'), sequence(optional(text('-')), nonZero, repeat(digit, 0, mostDigits - 1)));
const times = (n: number) => repeat(digit, n, n);
const wholeOf = (length: number) => (length === 1 ? digit : sequence(nonZero, times(length - 1)));
const upTo = (most: number) => Array.from({ length: most }, (_, i) => i);
export const numbersOnce = choice(
  integersOnce,
  sequence(
    optional(text('-')),
    choice(
      ...upTo(mostDigits - 1).map((more) =>
        sequence(
          wholeOf(more + 1),
          text('.'),
          choice(...upTo(mostDigits - 1 - more).map((zeros) => sequence(times(zeros), nonZero))),
        ),
      ),
    ),
  ),
);

/** Up to 15 digits, `places` of them in the fraction: what f64 tells apart. */
export const withPlaces = (places: number): Expression =>
  sequence(
    optional(text('-')),
    choice(text('0'), sequence(nonZero, repeat(digit, 0, mostDigits - places - 1))),
    places === 0 ? nothing : optional(sequence(text('.'), repeat(digit, 1, places))),
  );

/** `divisor` as a whole number of 10 ** -places; undefined for one that has more than 15 digits. */
export function decimal(divisor: number): { readonly units: number; readonly places: number } | undefined {
  const [, whole, fraction = ''] = /^(\d+)(?:\.(\d+))?$/.exec(String(divisor)) ?? [];
  if (whole === undefined || whole.length + fraction.length > mostDigits) return undefined;
  return { units: Number(whole + fraction), places: fraction.length };
}

/**
 * Multiples of units / 10 ** places, written with any digits before the point and up to `places` after it. A state is the
 * remainder of what was read, and how many digits of the fraction that was.
 * @throws RelufyError `option` where those are too many.
 */
export function multiplesOf(place: TablePlace, units: number, places: number): Table {
  type Read = readonly [remainder: number, digits: number];
  const beforePoint = -1;
  const start: Read = [0, -2];
  const afterSign: Read = [0, -3];
  const afterPoint = (digits: number) => Math.max(0, digits);
  return merged(
    place,
    explore<Read>(place, start, {
      // what is missing of the fraction is zeros
      isComplete: ([remainder, digits]) =>
        (digits === beforePoint || digits > 0) && (remainder * 10 ** (places - afterPoint(digits))) % units === 0,
      ways: ([remainder, digits]) => {
        const ways: { first: number; last: number; to: Read }[] = [];
        if (digits === start[1]) ways.push({ first: 0x2d, last: 0x2d, to: afterSign });
        if (digits === beforePoint && places > 0) ways.push({ first: 0x2e, last: 0x2e, to: [remainder, 0] });
        if (digits < places)
          for (let next = 0; next < 10; next++)
            ways.push({
              first: 0x30 + next,
              last: 0x30 + next,
              to: [(remainder * 10 + next) % units, digits < 0 ? beforePoint : digits + 1],
            });
        return ways;
      },
      key: (read) => read.join(' '),
    }),
  );
}

/** undefined where there is none. */
export function integerWithin({ min, max, minIsOut, maxIsOut }: Bounds): Expression | undefined {
  const low = Math.max(-largest, minIsOut ? Math.floor(min) + 1 : Math.ceil(min));
  const high = Math.min(largest, maxIsOut ? Math.ceil(max) - 1 : Math.floor(max));
  const ways: Expression[] = [];
  if (low < 0 && low <= high) ways.push(sequence(text('-'), wholeFrom(Math.max(1, -high), -low)));
  if (high >= 0 && low <= high) ways.push(wholeFrom(Math.max(0, low), high));
  return ways.length === 0 ? undefined : choice(...ways);
}

export function numberWithin(bounds: Bounds): Expression | undefined {
  const { min, max, minIsOut, maxIsOut } = bounds;
  const ways: Expression[] = [];
  const integers = integerWithin(bounds);
  if (integers) ways.push(integers);
  // between two whole numbers, on each side of zero: k.f lies between k and k + 1; f is so short that none is rounded to those
  const between = (low: number, high: number, lowIsOut: boolean, sign: string) => {
    const [first, last] = [Math.max(0, Math.ceil(low)), Math.min(largest, Math.floor(high) - 1)];
    if (first > last) return;
    const isOpen = lowIsOut && first === low;
    const fractionsOf = (length: number) => mostDigits - length;
    const room = fractionsOf(String(first).length);
    if (isOpen && room > 0) {
      const zeros = repeat(text('0'), 0, room - 1);
      ways.push(sequence(text(sign), wholeFrom(first, first), text('.'), zeros, digitsOf(1, 9)));
    }
    for (const [from, to] of byLength(isOpen ? first + 1 : first, last)) {
      const most = fractionsOf(String(to).length);
      if (most > 0) ways.push(sequence(text(sign), wholeFrom(from, to), text('.'), repeat(digit, 1, most)));
    }
  };
  between(min, max, minIsOut, '');
  if (min < 0) between(-max, -min, maxIsOut, '-');
  return ways.length === 0 ? undefined : choice(...ways);
}

/** The whole numbers [low, high], 0 <= low. */
function wholeFrom(low: number, high: number): Expression {
  return choice(...byLength(low, high).map(([from, to]) => sameLength(String(from), String(to))));
}

/** The same numbers in runs of as many digits. */
function byLength(low: number, high: number): [from: number, to: number][] {
  const runs: [number, number][] = [];
  if (low > high) return runs;
  for (let length = String(low).length; length <= String(high).length; length++)
    runs.push([Math.max(low, length === 1 ? 0 : 10 ** (length - 1)), Math.min(high, 10 ** length - 1)]);
  return runs;
}

/** Digits from `low` to `high`, which are as long as each other. */
function sameLength(low: string, high: string): Expression {
  if (/^0*$/.test(low) && /^9*$/.test(high)) return repeat(digit, low.length, low.length);
  const [first, last] = [Number(low[0]), Number(high[0])];
  const [lowRest, highRest] = [low.slice(1), high.slice(1)];
  const all = repeat(digit, lowRest.length, lowRest.length);
  if (first === last) return sequence(digitsOf(first, first), sameLength(lowRest, highRest));
  const ways: Expression[] = [
    sequence(digitsOf(first, first), sameLength(lowRest, '9'.repeat(lowRest.length))),
    sequence(digitsOf(last, last), sameLength('0'.repeat(highRest.length), highRest)),
  ];
  if (first + 1 < last) ways.push(sequence(digitsOf(first + 1, last - 1), all));
  return choice(...ways);
}
