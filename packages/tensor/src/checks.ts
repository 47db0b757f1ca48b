// The one way in which public calls check what they are given: a table of rules, one for each option, and one sentence
// for whatever does not fit. Does not own which options there are (each call has its table).
import { type ErrorCode, RelufyError, show } from './errors.js';

/** What a value has to be. */
export interface Rule {
  /** Completes "expected ...". */
  readonly expected: string;
  fits(value: unknown): boolean;
}

/** A rule for each option that a call knows; one that is left out or undefined always fits. */
export type OptionRules<Options> = { readonly [Key in keyof Required<Options>]: Rule };

const rule = (expected: string, fits: (value: unknown) => boolean): Rule => ({ expected, fits });

export const anything = rule('anything', () => true);
export const aBoolean = rule('true or false', (value) => typeof value === 'boolean');
export const aText = rule('a text', (value) => typeof value === 'string');
export const aFunction = rule('a function', (value) => typeof value === 'function');
export const anObject = rule('an object', isPlain);
/** What a `for ... of` takes, other than a text. */
export const aSequence = rule(
  'a list',
  (value) => isRecord(value) && typeof (value as Partial<Iterable<unknown>>)[Symbol.iterator] === 'function',
);
export const aSignal = rule(
  'an AbortSignal',
  (value) => isRecord(value) && typeof value.aborted === 'boolean' && typeof value.addEventListener === 'function',
);

export function oneOf(...words: readonly unknown[]): Rule {
  return rule(listed(words.map(String)), (value) => words.includes(value));
}

/** A finite number within bounds, both included. */
export function aNumber(from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY): Rule {
  return rule(
    `a number${range(from, to)}`,
    (value) => typeof value === 'number' && Number.isFinite(value) && value >= from && value <= to,
  );
}

/** A whole number within bounds, both included. */
export function aWhole(from = Number.MIN_SAFE_INTEGER, to = Number.MAX_SAFE_INTEGER): Rule {
  return rule(
    `a whole number${range(from, to)}`,
    (value) => Number.isSafeInteger(value) && (value as number) >= from && (value as number) <= to,
  );
}

/** An array (or, of numbers, a typed array) of what fits the rule. */
export function listOf(item: Rule, expected: string): Rule {
  return rule(expected, (value) => isList(value) && !findUnfit(value, item).found);
}

/** An object with methods of these names. */
export function anObjectThat(expected: string, ...methods: readonly string[]): Rule {
  return rule(expected, (value) => isRecord(value) && methods.every((method) => typeof value[method] === 'function'));
}

/** A plain object whose values all fit the rule. */
export function objectOf(item: Rule, expected: string): Rule {
  return rule(expected, (value) => isPlain(value) && Object.values(value).every(item.fits));
}

export function either(expected: string, ...rules: readonly Rule[]): Rule {
  return rule(expected, (value) => rules.some((each) => each.fits(value)));
}

/**
 * Checks the options of a call.
 * @throws RelufyError `option` for anything but an object, an unknown name, or a value that does not fit.
 */
export function checkOptions<Options extends object>(
  call: string,
  options: Options,
  rules: OptionRules<Options>,
): void {
  if (!isPlain(options)) throw new RelufyError('option', `${call} options: expected an object, got ${show(options)}.`);
  const names = Object.keys(rules);
  for (const key of Object.keys(options))
    if (!Object.hasOwn(rules, key))
      throw new RelufyError(
        'option',
        `${call} option ${show(key)}: unknown. Expected ${names.length === 0 ? 'none' : names.length === 1 ? names[0] : `one of ${names.join(', ')}`}.`,
      );
  for (const key of names as (keyof Options & string)[]) {
    const value = options[key];
    if (value !== undefined) checkValue(`${call} option "${key}"`, value, rules[key]);
  }
}

/** @throws RelufyError worded `where: expected ..., got ...`; of a list, the first item that does not fit is told. */
export function checkValue(where: string, value: unknown, { expected, fits }: Rule, code: ErrorCode = 'option'): void {
  if (fits(value)) return;
  throw new RelufyError(code, `${where}: expected ${expected}, got ${show(value)}.`);
}

/** @throws RelufyError `input` for the first item of a list that does not fit. */
export function checkItems(where: string, values: ArrayLike<unknown>, item: Rule, expected: string): void {
  const unfit = findUnfit(values, item);
  if (unfit.found) throw new RelufyError('input', `${where}: expected ${expected}, got ${show(unfit.value)}.`);
}

/** Holes of an array are items too. */
function findUnfit(values: ArrayLike<unknown>, { fits }: Rule): { found: boolean; value?: unknown } {
  for (let i = 0; i < values.length; i++) if (!fits(values[i])) return { found: true, value: values[i] };
  return { found: false };
}

/** An array, or a typed array: what can be asked for its length and its items. */
export function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** An object that may hold options: no array, no map, date, pattern or promise, whose own keys would say nothing. */
function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return isRecord(value) && !isList(value) && Object.prototype.toString.call(value) === '[object Object]';
}

function range(from: number, to: number): string {
  const open = from <= Number.MIN_SAFE_INTEGER;
  if (to === Number.POSITIVE_INFINITY || to === Number.MAX_SAFE_INTEGER) return open ? '' : ` >= ${from}`;
  return open ? ` up to ${to}` : ` from ${from} to ${to}`;
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? 'nothing') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
