// From a JSON Schema to a grammar of the texts that it allows. Every text is valid; not every valid text is written: properties
// come in the schema's order, others only where the schema asks for them, and white space is short. A keyword that would
// not be kept is refused by its name, never ignored.
// Does not own numbers (json-numbers.ts) or strings (json-strings.ts).
import { RelufyError, show } from '@relufy/tensor';
import { choice, type Expression, type Grammar, nothing, optional, repeat, rule, sequence, text } from './grammar.js';
import { anyInteger, anyNumber, type Bounds, integerWithin, numberWithin } from './json-numbers.js';
import { anyString, literal, stringBeside, stringMatching, stringOf } from './json-strings.js';
import { areApart, type SchemaObject, type Type, typeOf, types } from './schemas-apart.js';

/** JSON Schema, draft 2020-12, as far as `compileJsonSchema` takes it. */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown };

/** Say nothing about what is valid. */
const annotations = [
  '$schema',
  '$id',
  '$anchor',
  '$comment',
  '$defs',
  'definitions',
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
  'discriminator',
  'strict',
] as const;

/** What each type goes by. */
const keywordsOf: Readonly<Record<Type, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  integer: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  boolean: [],
  null: [],
};
const ofTypes: ReadonlySet<string> = new Set(Object.values(keywordsOf).flat());
const combining = ['$ref', 'const', 'enum', 'anyOf', 'oneOf', 'allOf'] as const;

const formats: Readonly<Record<string, string>> = {
  date: '^[0-9]{4}-(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])$|^[0-9]{4}-(0[469]|11)-(0[1-9]|[12][0-9]|30)$|^[0-9]{4}-02-(0[1-9]|1[0-9]|2[0-8])$',
  time: '^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$',
  uuid: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
  ipv4: '^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])$',
  email: '^[a-z0-9]+([._-][a-z0-9]+)*@[a-z0-9]+(-[a-z0-9]+)*(\\.[a-z0-9]+(-[a-z0-9]+)*)*\\.[a-z]{2,8}$',
};
const dateTime = (formats.date as string)
  .split('|^')
  .map((day) => `${day.replace(/^\^?/, '^').replace(/\$$/, '')}T${(formats.time as string).slice(1)}`)
  .join('|');

/** Short white space: one space, or a line's end with an indent. */
const space = optional(choice(text(' '), sequence(text('\n'), repeat(text(' '), 0, 20))));
const comma = sequence(space, text(','), space);

/** Of the place of a schema within the whole. */
const longestPath = 4000;

/**
 * @throws RelufyError `option` that names the keyword and its place, for a schema to which an answer could not be held.
 */
export function compileJsonSchema(where: string, schema: JsonSchema): Grammar {
  return new SchemaCompiler(where, schema).compile();
}

class SchemaCompiler {
  readonly #where: string;
  readonly #whole: JsonSchema;
  readonly #rules = new Map<string, Expression>();
  readonly #references = new Map<string, string>();

  constructor(where: string, schema: JsonSchema) {
    this.#where = where;
    this.#whole = schema;
  }

  compile(): Grammar {
    const value = this.#value(this.#whole, '#');
    this.#rules.set('root', sequence(space, value));
    return { root: 'root', rules: this.#rules };
  }

  /** `path`: where the schema stands, for errors. */
  #value(schema: unknown, path: string): Expression {
    if (path.length > longestPath) throw this.#refused(`${path.slice(0, 40)}...`, 'a schema that is less deep', 'more');
    if (schema === true) return this.#anyValue();
    if (schema === false) throw this.#refused(path, 'a schema that some value fits', 'false');
    if (typeof schema !== 'object' || schema === null || Array.isArray(schema))
      throw this.#refused(path, 'a schema', show(schema));
    const object = schema as SchemaObject;
    const given = Object.keys(object).filter((key) => !annotations.includes(key as 'title'));
    const known = (key: string) =>
      ofTypes.has(key) || combining.includes(key as '$ref') || key === 'type' || key === 'nullable';
    for (const key of given)
      if (!known(key))
        throw new RelufyError(
          'option',
          `${this.#where} ${path}: keyword ${show(key)} is not supported: an answer could not be held to it. Remove it, and check for it afterwards.`,
        );
    const combined = combining.filter((key) => key in object);
    if (combined.length > 1) throw this.#together(path, combined);
    const [how] = combined;
    const others = given.filter((key) => key !== how && key !== 'nullable' && key !== 'type');
    const value =
      how === undefined
        ? choice(...this.#types(object, given, path).map((type) => this.#typed(type, object, path)))
        : this.#combined(how, object, others, path);
    return object.nullable === true ? choice(value, text('null')) : value;
  }

  #combined(
    how: (typeof combining)[number],
    schema: SchemaObject,
    others: readonly string[],
    path: string,
  ): Expression {
    if (others.length > 0) throw this.#together(path, [how, ...others]);
    const isType = this.#typeTest(schema, path);
    const list = schema[how];
    if (how === 'const' || how === 'enum') {
      const values = (how === 'const' ? [list] : this.#list(list, `${path}/enum`)).filter(isType);
      if (values.length === 0) throw this.#refused(`${path}/${how}`, 'a value of the type', show(list));
      return choice(...values.map(literal));
    }
    if (schema.type !== undefined) throw this.#together(path, [how, 'type']);
    if (how === '$ref') return this.#reference(list, path);
    const parts = this.#list(list, `${path}/${how}`);
    if (how === 'allOf' && parts.length !== 1)
      throw this.#refused(`${path}/allOf`, 'one schema (several cannot be held together)', `${parts.length}`);
    if (how === 'oneOf' && !areApart(parts, this.#whole))
      throw this.#refused(
        `${path}/oneOf`,
        'schemas of which no value fits two (types or constants that differ)',
        'others',
        'Use anyOf.',
      );
    return choice(...parts.map((part, i) => this.#value(part, `${path}/${how}/${i}`)));
  }

  /** Where no type is named, those whose keywords are there; any value without them. */
  #types(schema: SchemaObject, given: readonly string[], path: string): readonly Type[] {
    const { type } = schema;
    if (type !== undefined) {
      const named = Array.isArray(type) ? type : [type];
      if (named.length === 0 || named.some((each) => !types.includes(each as Type)))
        throw this.#refused(`${path}/type`, types.join(', '), show(type));
      return named as Type[];
    }
    const meant = types.filter((each) => each !== 'integer' && keywordsOf[each].some((key) => given.includes(key)));
    return meant.length > 0 ? meant : types.filter((each) => each !== 'integer');
  }

  #typed(type: Type, schema: SchemaObject, path: string): Expression {
    switch (type) {
      case 'null':
        return text('null');
      case 'boolean':
        return choice(text('true'), text('false'));
      case 'integer':
      case 'number':
        return this.#number(type, schema, path);
      case 'string':
        return this.#string(schema, path);
      case 'array':
        return this.#array(schema, path);
      case 'object':
        return this.#object(schema, path);
    }
  }

  #number(type: 'integer' | 'number', schema: SchemaObject, path: string): Expression {
    const [min, openMin] = [this.#bound(schema, 'minimum', path), this.#bound(schema, 'exclusiveMinimum', path)];
    const [max, openMax] = [this.#bound(schema, 'maximum', path), this.#bound(schema, 'exclusiveMaximum', path)];
    if ([min, openMin, max, openMax].every((bound) => bound === undefined))
      return type === 'integer' ? anyInteger : anyNumber;
    const minIsOut = openMin !== undefined && openMin >= (min ?? Number.NEGATIVE_INFINITY);
    const maxIsOut = openMax !== undefined && openMax <= (max ?? Number.POSITIVE_INFINITY);
    const bounds: Bounds = {
      min: Math.max(min ?? Number.NEGATIVE_INFINITY, openMin ?? Number.NEGATIVE_INFINITY),
      max: Math.min(max ?? Number.POSITIVE_INFINITY, openMax ?? Number.POSITIVE_INFINITY),
      ...{ minIsOut, maxIsOut },
    };
    const found = type === 'integer' ? integerWithin(bounds) : numberWithin(bounds);
    if (found === undefined)
      throw this.#refused(
        path,
        'bounds with a whole number of up to 15 digits between them',
        `${bounds.min} to ${bounds.max}`,
      );
    return found;
  }

  #string(schema: SchemaObject, path: string): Expression {
    const { pattern, format } = schema;
    const [min, max] = [this.#count(schema, 'minLength', path), this.#count(schema, 'maxLength', path)];
    const used = ['pattern', 'format', 'minLength', 'maxLength'].filter((key) => schema[key] !== undefined);
    if (pattern !== undefined || format !== undefined) {
      if (used.length > 1) throw this.#together(path, used);
      if (pattern !== undefined && typeof pattern !== 'string')
        throw this.#refused(`${path}/pattern`, 'a text', show(pattern));
      const regular = pattern ?? (format === 'date-time' ? dateTime : formats[format as string]);
      if (typeof regular !== 'string')
        throw this.#refused(`${path}/format`, [...Object.keys(formats), 'date-time'].join(', '), show(format));
      return stringMatching(`${this.#where} ${path}`, regular);
    }
    if (min === undefined && max === undefined) return this.#named('string', () => anyString);
    return stringOf(min ?? 0, this.#atLeast(path, 'maxLength', max, min));
  }

  #array(schema: SchemaObject, path: string): Expression {
    const { items = true } = schema;
    const fixed = schema.prefixItems === undefined ? [] : this.#list(schema.prefixItems, `${path}/prefixItems`);
    const min = this.#count(schema, 'minItems', path) ?? 0;
    const max = this.#atLeast(path, 'maxItems', this.#count(schema, 'maxItems', path), min);
    /** Items from number i on; a comma stands before all but the first. */
    const before = (i: number) => (i === 0 ? nothing : comma);
    const others = max > fixed.length && items !== false ? this.#rule(this.#value(items, `${path}/items`)) : undefined;
    if (others === undefined && min > fixed.length)
      throw this.#refused(path, `items up to minItems ${min}`, '"items": false');
    const more = (from: number): Expression => {
      if (others === undefined) return nothing;
      const [least, most] = [Math.max(0, min - from), max - from];
      if (from > 0) return repeat(sequence(comma, others), least, most);
      const list = sequence(others, repeat(sequence(comma, others), Math.max(0, least - 1), most - 1));
      return least > 0 ? list : optional(list);
    };
    let rest = more(Math.min(fixed.length, max));
    for (let i = Math.min(fixed.length, max) - 1; i >= 0; i--) {
      const item = sequence(before(i), this.#value(fixed[i], `${path}/prefixItems/${i}`), rest);
      rest = i >= min ? optional(item) : item;
    }
    return sequence(text('['), space, rest, space, text(']'));
  }

  #object(schema: SchemaObject, path: string): Expression {
    const properties = (schema.properties ?? {}) as Record<string, unknown>;
    if (typeof properties !== 'object' || properties === null || Array.isArray(properties))
      throw this.#refused(`${path}/properties`, 'an object of schemas', show(schema.properties));
    const required = new Set(schema.required === undefined ? [] : this.#list(schema.required, `${path}/required`));
    const names = Object.keys(properties);
    // what may be there besides: where the schema says so, or says nothing of its own
    const additional = schema.additionalProperties ?? names.length === 0;
    const ofUnknown = schema.additionalProperties ?? true;
    const unknown = [...required].filter((name) => !names.includes(name as string)) as string[];
    if (unknown.some((name) => typeof name !== 'string'))
      throw this.#refused(`${path}/required`, 'names of properties', show(unknown));
    if (unknown.length > 0 && ofUnknown === false)
      throw this.#refused(`${path}/required`, 'names that "properties" has', show(unknown));
    const entry = (name: string, value: Expression) =>
      this.#rule(sequence(literal(name), space, text(':'), space, value));
    const entries = [
      ...names
        // a property that fits nothing may not be there
        .filter((name) => properties[name] !== false || required.has(name))
        .map((name) => ({
          isRequired: required.has(name),
          entry: entry(name, this.#value(properties[name], `${path}/properties/${name}`)),
        })),
      ...unknown.map((name) => ({
        isRequired: true,
        entry: entry(name, this.#value(ofUnknown, `${path}/additionalProperties`)),
      })),
    ];
    const beside = [...names, ...unknown];
    const other =
      additional === false
        ? undefined
        : this.#rule(
            sequence(
              beside.length === 0 ? this.#named('string', () => anyString) : stringBeside(beside),
              ...[space, text(':'), space, this.#value(additional, `${path}/additionalProperties`)],
            ),
          );
    // behind what was written, and at the beginning: from the last entry back, so that each stands in one rule
    let behind = other === undefined ? nothing : repeat(sequence(comma, other), 0);
    let first = other === undefined ? nothing : optional(sequence(other, repeat(sequence(comma, other), 0)));
    for (const { isRequired, entry } of entries.reverse()) {
      const rest = this.#rule(behind);
      const without = isRequired ? [] : [first];
      first = choice(sequence(entry, rest), ...without);
      behind = isRequired ? sequence(comma, entry, rest) : choice(sequence(comma, entry, rest), rest);
    }
    return sequence(text('{'), space, first, space, text('}'));
  }

  #reference(reference: unknown, path: string): Expression {
    if (typeof reference !== 'string' || !/^#(\/|$)/.test(reference))
      throw this.#refused(`${path}/$ref`, 'a place in this schema, as #/$defs/name', show(reference));
    const known = this.#references.get(reference);
    if (known !== undefined) return rule(known);
    let target: unknown = this.#whole;
    for (const part of reference.split('/').slice(1)) {
      const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
      const isThere = typeof target === 'object' && target !== null && Object.hasOwn(target, key);
      if (!isThere) throw this.#refused(`${path}/$ref`, 'a place in this schema', show(reference));
      target = (target as Record<string, unknown>)[key];
    }
    const name = `ref ${reference}`;
    this.#references.set(reference, name);
    this.#rules.set(name, this.#value(target, reference));
    return rule(name);
  }

  #anyValue(): Expression {
    return this.#named('value', () => {
      const [value, string] = [rule('value'), this.#named('string', () => anyString)];
      const list = (item: Expression) => optional(sequence(item, repeat(sequence(comma, item), 0)));
      return choice(
        ...[text('null'), text('true'), text('false'), anyNumber, string],
        sequence(text('['), space, list(value), space, text(']')),
        sequence(text('{'), space, list(sequence(string, space, text(':'), space, value)), space, text('}')),
      );
    });
  }

  #named(name: string, make: () => Expression): Expression {
    if (!this.#rules.has(name)) {
      this.#rules.set(name, nothing); // it may name itself
      this.#rules.set(name, make());
    }
    return rule(name);
  }

  #rule(expression: Expression): Expression {
    return this.#named(`rule ${this.#rules.size}`, () => expression);
  }

  #typeTest(schema: SchemaObject, path: string): (value: unknown) => boolean {
    if (schema.type === undefined) return () => true;
    const named = this.#types(schema, [], path);
    return (value) => named.includes(typeOf(value)) || (named.includes('integer') && Number.isInteger(value as number));
  }

  #bound(schema: SchemaObject, key: string, path: string): number | undefined {
    const value = schema[key];
    if (value !== undefined && (typeof value !== 'number' || !Number.isFinite(value)))
      throw this.#refused(`${path}/${key}`, 'a number', show(value));
    return value;
  }

  #count(schema: SchemaObject, key: string, path: string): number | undefined {
    const value = this.#bound(schema, key, path);
    if (value !== undefined && !(Number.isInteger(value) && value >= 0))
      throw this.#refused(`${path}/${key}`, 'a whole number from 0 on', show(value));
    return value;
  }

  #atLeast(path: string, key: string, max = Number.POSITIVE_INFINITY, min = 0): number {
    if (max < min) throw this.#refused(`${path}/${key}`, `at least ${min}`, `${max}`);
    return max;
  }

  #list(value: unknown, path: string): readonly unknown[] {
    if (!Array.isArray(value)) throw this.#refused(path, 'a list', show(value));
    return value;
  }

  #together(path: string, keys: readonly string[]): RelufyError {
    const named = keys.map((key) => JSON.stringify(key)).join(' and ');
    return new RelufyError(
      'option',
      `${this.#where} ${path}: ${named} side by side are not supported. Write them as one.`,
    );
  }

  #refused(path: string, expected: string, got: string, remedy = 'Change the schema.'): RelufyError {
    return new RelufyError('option', `${this.#where} ${path}: expected ${expected}, got ${got}. ${remedy}`);
  }
}
