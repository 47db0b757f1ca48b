// Strings and numbers of a schema, and what `not` leaves of them. Keywords that hold together are an intersection of their
// texts, `not` is a difference (regular.ts). Lists and objects are not regular: `not` leaves all of them or none.
// Does not own the keywords of lists and objects (json-schema.ts).
import { show } from '@relufy/tensor';
import { choice, type Expression, fromTable, type Table, text } from './grammar.js';
import {
  anyInteger,
  anyNumber,
  type Bounds,
  decimal,
  integersOnce,
  integerWithin,
  multiplesOf,
  numbersOnce,
  numberWithin,
  withPlaces,
} from './json-numbers.js';
import { formats, literal, stringMatching, stringOf, stringOnce } from './json-strings.js';
import { both, except, isEmpty, tableOf } from './regular.js';
import { finiteValues, type SchemaObject, type Type, typeOf, typesNamed } from './schema-facts.js';
import { keywordsOf, type SchemaKeywords } from './schema-keywords.js';

/** @throws RelufyError `option` for bounds, or multiples within them, that hold no number. */
function numberOf(read: SchemaKeywords, type: 'integer' | 'number', schema: SchemaObject, path: string): Expression {
  const [min, openMin] = [read.number(schema, 'minimum', path), read.number(schema, 'exclusiveMinimum', path)];
  const [max, openMax] = [read.number(schema, 'maximum', path), read.number(schema, 'exclusiveMaximum', path)];
  const isBounded = [min, openMin, max, openMax].some((bound) => bound !== undefined);
  let within = type === 'integer' ? anyInteger : anyNumber;
  if (isBounded) {
    const bounds: Bounds = {
      min: Math.max(min ?? Number.NEGATIVE_INFINITY, openMin ?? Number.NEGATIVE_INFINITY),
      max: Math.min(max ?? Number.POSITIVE_INFINITY, openMax ?? Number.POSITIVE_INFINITY),
      minIsOut: openMin !== undefined && openMin >= (min ?? Number.NEGATIVE_INFINITY),
      maxIsOut: openMax !== undefined && openMax <= (max ?? Number.POSITIVE_INFINITY),
    };
    const found = type === 'integer' ? integerWithin(bounds) : numberWithin(bounds);
    if (found === undefined)
      throw read.refused(
        path,
        'bounds with a whole number of up to 15 digits between them',
        `${bounds.min} to ${bounds.max}`,
      );
    within = found;
  }
  if (schema.multipleOf === undefined) return within;
  const place = read.at(`${path}/multipleOf`);
  const { places, multiples } = multiplesIn(read, schema, path);
  const digits = tableOf(place, withPlaces(type === 'integer' ? 0 : places));
  const some = isBounded ? both(place, digits, tableOf(place, within)) : digits;
  const left = both(place, some, multiples);
  if (isEmpty(left)) throw read.refused(path, `a multiple of ${show(schema.multipleOf)} within the bounds`, 'none');
  return fromTable(left);
}

function multiplesIn(read: SchemaKeywords, schema: SchemaObject, path: string): { places: number; multiples: Table } {
  const divisor = read.number(schema, 'multipleOf', path) as number;
  const found = decimal(divisor);
  if (found === undefined || found.units === 0)
    throw read.refused(`${path}/multipleOf`, 'a number above 0 of up to 15 digits', show(divisor));
  const { units, places } = found;
  return { places, multiples: multiplesOf(read.at(`${path}/multipleOf`), units, places) };
}

/**
 * undefined where no keyword says anything.
 * @throws RelufyError `option` for keywords that no text fits.
 */
export function stringWith(read: SchemaKeywords, schema: SchemaObject, path: string): Expression | undefined {
  const { min, max } = read.range(schema, 'Length', path);
  const isAnyLength = min === 0 && max === Number.POSITIVE_INFINITY;
  if (schema.pattern !== undefined || schema.format !== undefined) return stringOnceWith(read, schema, path);
  return isAnyLength ? undefined : stringOf(min, max);
}

/** Each text is written in one way. */
function stringOnceWith(read: SchemaKeywords, schema: SchemaObject, path: string): Expression {
  const { pattern, format } = schema;
  const place = read.at(path);
  const parts: Expression[] = [];
  if (pattern !== undefined) {
    if (typeof pattern !== 'string') throw read.refused(`${path}/pattern`, 'a text', show(pattern));
    parts.push(stringMatching(place.where, pattern));
  }
  if (format !== undefined) {
    if (typeof format !== 'string' || !Object.hasOwn(formats, format))
      throw read.refused(`${path}/format`, Object.keys(formats).join(', '), show(format));
    parts.push(stringMatching(place.where, formats[format] as string));
  }
  const { min, max } = read.range(schema, 'Length', path);
  if (parts.length === 0 || min > 0 || max < Number.POSITIVE_INFINITY) parts.push(stringOnce(min, max));
  const [first, ...others] = parts as [Expression, ...Expression[]];
  if (others.length === 0) return first;
  return place.work.once(JSON.stringify(['string', pattern, format, min, max]), () => {
    const left = others.reduce((table, part) => both(place, table, tableOf(place, part)), tableOf(place, first));
    if (isEmpty(left)) throw read.refused(path, 'keywords that some text fits', 'none');
    return fromTable(left);
  });
}

/** Values of a type, without its `not`; each text is written in one way. */
export function scalar(read: SchemaKeywords, type: Type, schema: SchemaObject, path: string): Expression {
  switch (type) {
    case 'null':
      return text('null');
    case 'boolean':
      return choice(text('true'), text('false'));
    case 'integer':
    case 'number':
      return numberOf(read, type, schema, path);
    case 'string':
      return stringOnceWith(read, schema, path);
    default:
      throw new Error(`internal: an ${type} is no scalar`);
  }
}

const once: Readonly<Partial<Record<Type, Expression>>> = { integer: integersOnce, number: numbersOnce };
const forbiddable = ['type', 'const', 'enum', 'pattern', 'minLength', 'maxLength', 'multipleOf'];

/**
 * What `not` leaves of a type: 'all', 'none', or the rest of a scalar.
 * @throws RelufyError `option` that names the keyword within `not` that cannot be kept.
 */
export function leftByNot(
  read: SchemaKeywords,
  type: Type,
  schema: SchemaObject,
  path: string,
): 'all' | 'none' | Expression {
  const { not } = schema;
  if (not === undefined || not === false) return 'all';
  const at = `${path}/not`;
  const inner = read.object(not, at, 'a schema that leaves a value');
  const given = read.given(inner).filter((key) => key !== 'type');
  const unable = given.find((key) => !forbiddable.includes(key));
  if (unable !== undefined) throw read.unsupported(at, unable);
  const constants = given.filter((key) => key === 'const' || key === 'enum');
  if (constants.length > 0 && given.length > 1) throw read.together(at, given);
  if (inner.type !== undefined) {
    const forbidden = typesNamed(inner.type);
    if (forbidden === undefined) throw read.refused(`${at}/type`, 'names of types', show(inner.type));
    if (type === 'number' && forbidden.includes('integer') && !forbidden.includes('number'))
      throw read.unsupported(at, 'type', 'without "integer", where other numbers are left');
    if (!forbidden.includes(type) && !(type === 'integer' && forbidden.includes('number'))) return 'all';
  }
  if (constants.length > 0) {
    const [key] = constants as [string];
    const values = key === 'const' ? [inner.const] : read.list(inner.enum, `${at}/enum`);
    const own = values.filter((value) => typeOf(value) === (type === 'integer' ? 'number' : type));
    if (own.length === 0) return 'all';
    if (type === 'object' || type === 'array')
      throw read.unsupported(at, key, 'with texts, numbers, true, false and null');
    return without(read, type, schema, path, choice(...own.map(literal)));
  }
  // keywords of other types fit all values of this one
  if (!given.some((key) => keywordsOf[type].includes(key))) return 'none';
  const forbidden =
    type === 'string' ? stringOnceWith(read, inner, at) : fromTable(multiplesIn(read, inner, at).multiples);
  return without(read, type, schema, path, forbidden);
}

function without(
  read: SchemaKeywords,
  type: Type,
  schema: SchemaObject,
  path: string,
  forbidden: Expression,
): 'none' | Expression {
  const place = read.at(path);
  let allowed = tableOf(place, scalar(read, type, schema, path));
  const inOneWay = once[type];
  if (inOneWay !== undefined) allowed = both(place, allowed, tableOf(place, inOneWay));
  const left = except(place, allowed, tableOf(place, forbidden));
  return isEmpty(left) ? 'none' : fromTable(left);
}

/** Names that `propertyNames` allows; undefined for all. `whole`: where references lead. */
export function allowedNames(
  read: SchemaKeywords,
  schema: SchemaObject,
  whole: unknown,
  path: string,
): Table | undefined {
  const { propertyNames } = schema;
  if (propertyNames === undefined || propertyNames === true) return undefined;
  const at = `${path}/propertyNames`;
  const place = read.at(at);
  const names = read.object(propertyNames, at, 'a schema that some name fits');
  if (names.type !== undefined && !typesNamed(names.type)?.includes('string'))
    throw read.refused(`${at}/type`, 'string', show(names.type));
  const values = finiteValues({ ...names, type: 'string' }, whole);
  if (values) return tableOf(place, choice(...values.map(literal)));
  const other = read.given(names).find((key) => ![...keywordsOf.string, 'type', 'not'].includes(key));
  if (other !== undefined) throw read.unsupported(at, other);
  const left = leftByNot(read, 'string', names, at);
  if (left === 'none') throw read.refused(at, 'a schema that some name fits', show(propertyNames));
  return tableOf(place, left === 'all' ? stringOnceWith(read, names, at) : left);
}
