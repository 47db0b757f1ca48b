// From a JSON Schema to a grammar of the texts that it allows. Every text is valid; not every valid text is written: properties
// come in the schema's order, others only where the schema asks for them, and white space is short. A keyword that would
// not be kept is refused by its name, never ignored.
// Does not own strings and numbers (schema-scalars.ts) or how entries follow each other (json-entries.ts).
import { show } from '@relufy/tensor';
import {
  choice,
  type Expression,
  fromTable,
  type Grammar,
  nothing,
  optional,
  repeat,
  rule,
  sequence,
  type Table,
  text,
} from './grammar.js';
import { distinctItems, entriesInOrder } from './json-entries.js';
import { anyNumber } from './json-numbers.js';
import { anyString, literal, stringMatching, stringOnce } from './json-strings.js';
import { accepts, both, except, isEmpty, tableOf, Work } from './regular.js';
import {
  areApart,
  finiteValues,
  type SchemaObject,
  sameText,
  type Type,
  typeOf,
  types,
  typesNamed,
} from './schema-facts.js';
import { keywordsOf, SchemaKeywords } from './schema-keywords.js';
import { allowedNames, leftByNot, scalar, stringWith } from './schema-scalars.js';

/** JSON Schema, draft 2020-12, as far as `compileJsonSchema` takes it. */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown };

const ofTypes: ReadonlySet<string> = new Set(Object.values(keywordsOf).flat());
const combining = ['$ref', 'const', 'enum', 'anyOf', 'oneOf', 'allOf'] as const;

/** Short white space: one space, or a line's end with an indent. */
const space = optional(choice(text(' '), sequence(text('\n'), repeat(text(' '), 0, 20))));
const comma = sequence(space, text(','), space);

/** In names: what JSON.stringify writes otherwise than the tables of names do. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is they that are looked for.
const unwritable = /[\u0000-\u0007\u000b\u000e-\u001f\u007f]|\p{Surrogate}/u;

/** Of the place of a schema within the whole. */
const longestPath = 4000;

/**
 * `work`: what this schema may cost, together with others of the same form.
 * @throws RelufyError `option` that names the keyword and its place, for a schema to which an answer could not be held.
 */
export function compileJsonSchema(where: string, schema: JsonSchema, work = new Work()): Grammar {
  return new SchemaCompiler(where, schema, work).compile();
}

class SchemaCompiler {
  readonly #read: SchemaKeywords;
  readonly #whole: JsonSchema;
  readonly #rules = new Map<string, Expression>();
  /** By what they lead to: one place has many spellings. */
  readonly #references = new Map<unknown, string>();
  /** What `sameText` says of a schema, which many names may ask for. */
  readonly #texts = new Map<unknown, string>();

  constructor(where: string, schema: JsonSchema, work: Work) {
    this.#read = new SchemaKeywords(where, work);
    this.#whole = schema;
  }

  compile(): Grammar {
    const value = this.#value(this.#whole, '#');
    this.#rules.set('root', sequence(space, value));
    return { root: 'root', rules: this.#rules };
  }

  /** `path`: where the schema stands, for errors. */
  #value(schema: unknown, path: string): Expression {
    if (path.length > longestPath)
      throw this.#read.refused(`${path.slice(0, 40)}...`, 'a schema that is less deep', 'more');
    if (schema === true) return this.#anyValue();
    if (schema === false) throw this.#read.refused(path, 'a schema that some value fits', 'false');
    const object = this.#read.object(schema, path, 'a schema');
    const given = this.#read.given(object);
    const known = (key: string) =>
      ofTypes.has(key) || combining.includes(key as '$ref') || ['type', 'nullable', 'not'].includes(key);
    for (const key of given) if (!known(key)) throw this.#read.unsupported(path, key);
    const combined = combining.filter((key) => key in object);
    if (combined.length > 1) throw this.#read.together(path, combined);
    const [how] = combined;
    const others = given.filter((key) => key !== how && key !== 'nullable' && key !== 'type');
    const value = how === undefined ? this.#oneOfTypes(object, given, path) : this.#combined(how, object, others, path);
    return how !== undefined && object.nullable === true ? choice(value, text('null')) : value;
  }

  #combined(
    how: (typeof combining)[number],
    schema: SchemaObject,
    others: readonly string[],
    path: string,
  ): Expression {
    if (others.length > 0) throw this.#read.together(path, [how, ...others]);
    const named = schema.type === undefined ? types : this.#types(schema, [], path);
    const isOfType = (value: unknown) =>
      named.includes(typeOf(value)) || (named.includes('integer') && Number.isInteger(value));
    const list = schema[how];
    if (how === 'const' || how === 'enum') {
      const values = (how === 'const' ? [list] : this.#read.list(list, `${path}/enum`)).filter(isOfType);
      if (values.length === 0) throw this.#read.refused(`${path}/${how}`, 'a value of the type', show(list));
      this.#read.work.spend(this.#read.at(path).where, values.length);
      return choice(...values.map(literal));
    }
    if (schema.type !== undefined) throw this.#read.together(path, [how, 'type']);
    if (how === '$ref') return this.#reference(list, path);
    const parts = this.#read.list(list, `${path}/${how}`);
    if (how === 'allOf' && parts.length !== 1)
      throw this.#read.refused(`${path}/allOf`, 'one schema (several cannot be held together)', `${parts.length}`);
    if (
      how === 'oneOf' &&
      !areApart(parts, this.#whole, (by) => this.#read.work.spend(`${this.#read.where} ${path}/oneOf`, by))
    )
      throw this.#read.refused(
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
      const named = typesNamed(type);
      if (named === undefined) throw this.#read.refused(`${path}/type`, types.join(', '), show(type));
      return named;
    }
    const meant = types.filter((each) => each !== 'integer' && keywordsOf[each].some((key) => given.includes(key)));
    return meant.length > 0 ? meant : types.filter((each) => each !== 'integer');
  }

  #oneOfTypes(schema: SchemaObject, given: readonly string[], path: string): Expression {
    const named = new Set(this.#types(schema, given, path));
    if (schema.nullable === true) named.add('null');
    const ways = [...named].flatMap((type) => {
      const left = leftByNot(this.#read, type, schema, path);
      if (left === 'none') return [];
      return left === 'all' ? [this.#typed(type, schema, path)] : [left];
    });
    if (ways.length === 0) throw this.#read.refused(`${path}/not`, 'a schema that leaves a value', show(schema.not));
    return choice(...ways);
  }

  #typed(type: Type, schema: SchemaObject, path: string): Expression {
    switch (type) {
      case 'null':
      case 'boolean':
      case 'integer':
      case 'number':
        return scalar(this.#read, type, schema, path);
      case 'string':
        return stringWith(this.#read, schema, path) ?? this.#named('string', () => anyString);
      case 'array':
        return this.#array(schema, path);
      case 'object':
        return this.#object(schema, path);
    }
  }

  #array(schema: SchemaObject, path: string): Expression {
    const { items = true } = schema;
    const fixed = schema.prefixItems === undefined ? [] : this.#read.list(schema.prefixItems, `${path}/prefixItems`);
    const { min, max } = this.#read.range(schema, 'Items', path);
    if (this.#read.flag(schema, 'uniqueItems', path) && max > 1) return this.#distinct(schema, { min, max }, path);
    /** Items from number i on; a comma stands before all but the first. */
    const before = (i: number) => (i === 0 ? nothing : comma);
    const others = max > fixed.length && items !== false ? this.#rule(this.#value(items, `${path}/items`)) : undefined;
    if (others === undefined && min > fixed.length)
      throw this.#read.refused(path, `items up to minItems ${min}`, '"items": false');
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

  #distinct(schema: SchemaObject, bounds: { readonly min: number; readonly max: number }, path: string): Expression {
    const values = schema.prefixItems === undefined ? finiteValues(schema.items, this.#whole) : undefined;
    if (values === undefined)
      throw this.#read.unsupported(
        path,
        'uniqueItems',
        'where "items" has few values (enum, const, boolean, null, a short range of integers) and "prefixItems" is not there',
      );
    const items = distinctItems(values.map(literal), {
      ...bounds,
      comma,
      rule: (of) => this.#rule(of),
      spend: (by) => this.#read.work.spend(this.#read.at(path).where, by),
    });
    if (items === undefined)
      throw this.#read.refused(`${path}/minItems`, `at most ${values.length}, as items differ`, `${bounds.min}`);
    return sequence(text('['), space, items, space, text(']'));
  }

  #object(schema: SchemaObject, path: string): Expression {
    const properties = this.#read.schemas(schema, 'properties', path);
    const { where } = this.#read.at(path);
    const patterns = Object.entries(this.#read.schemas(schema, 'patternProperties', path)).map(([pattern, value]) => ({
      value,
      path: `${path}/patternProperties/${pattern}`,
      table: tableOf(this.#read.at(path), stringMatching(`${where}/patternProperties`, pattern)),
    }));
    // by the table, which takes a step a byte: the engine may go back and forth for ever
    const fitsName = (table: Table, name: string): boolean => {
      this.#read.work.spend(where, name.length);
      return accepts(table, JSON.stringify(name));
    };
    const nameTable = allowedNames(this.#read, schema, this.#whole, path);
    const required = new Set(schema.required === undefined ? [] : this.#read.list(schema.required, `${path}/required`));
    const named = Object.keys(properties);
    const odd = patterns.length > 0 ? [...named, ...required].find((name) => unwritable.test(String(name))) : undefined;
    if (odd !== undefined)
      throw this.#read.refused(
        `${path}/patternProperties`,
        'names without control characters and halves of surrogates beside it',
        show(odd),
      );
    const unknown = [...required].filter((name) => !named.includes(name as string)) as string[];
    if (unknown.some((name) => typeof name !== 'string'))
      throw this.#read.refused(`${path}/required`, 'names of properties', show(unknown));
    // what may be there besides: where the schema says so, or says nothing of its own
    const additional = schema.additionalProperties ?? (named.length === 0 && patterns.length === 0);
    /** The one schema that holds for a name, and where it stands. */
    const schemaOf = (name: string): readonly [schema: unknown, path: string] => {
      const ways: (readonly [unknown, string])[] = patterns
        .filter(({ table }) => fitsName(table, name))
        .map((pattern) => [pattern.value, pattern.path]);
      if (Object.hasOwn(properties, name)) ways.unshift([properties[name], `${path}/properties/${name}`]);
      if (ways.length === 0) ways.push([schema.additionalProperties ?? true, `${path}/additionalProperties`]);
      if (nameTable !== undefined && !fitsName(nameTable, name)) return [false, `${path}/propertyNames`];
      const forbidden = ways.find(([value]) => value === false);
      if (forbidden) return forbidden;
      const [first, ...others] = ways.filter(([value]) => value !== true && this.#text(value) !== '{}');
      if (first === undefined) return ways[0] as readonly [unknown, string];
      const other = others.find(([value]) => this.#text(value) !== this.#text(first[0]));
      if (other)
        throw this.#read.refused(
          other[1],
          `the schema of ${first[1]}, which holds for ${show(name)} too`,
          'another',
          'Write them as one.',
        );
      return first;
    };
    const entries = [...named, ...unknown].flatMap((name) => {
      const [value, at] = schemaOf(name);
      const isRequired = required.has(name);
      // a property that fits nothing may not be there
      if (value === false && !isRequired) return [];
      if (value === false) throw this.#read.refused(`${path}/required`, `names that ${at} allows`, show(name));
      const written = this.#rule(sequence(literal(name), space, text(':'), space, this.#value(value, at)));
      return [{ isRequired, written }];
    });
    const others = this.#otherEntries([...named, ...unknown], { patterns, additional, nameTable }, path);
    const inside = entriesInOrder(entries, {
      ...this.#read.range(schema, 'Properties', path),
      comma,
      other: others.length === 0 ? undefined : this.#rule(choice(...others)),
      rule: (of) => this.#rule(of),
      spend: (by) => this.#read.work.spend(where, by),
    });
    if (inside === undefined)
      throw this.#read.refused(
        path,
        'as many named properties as minProperties asks for',
        `${entries.length}`,
        'Name more in "properties".',
      );
    return sequence(text('{'), space, inside, space, text('}'));
  }

  /** Entries whose names are none of `named`: a kind for each pattern (names that two of them fit are left out), and one for the rest. */
  #otherEntries(
    named: readonly string[],
    of: {
      readonly patterns: readonly { readonly value: unknown; readonly path: string; readonly table: Table }[];
      readonly additional: unknown;
      readonly nameTable: Table | undefined;
    },
    path: string,
  ): Expression[] {
    const { patterns, additional, nameTable } = of;
    const place = this.#read.at(path);
    const kinds = [
      ...patterns.map(({ value, path: at, table }) => ({ value, at, table })),
      { value: additional, at: `${path}/additionalProperties`, table: undefined },
    ].filter(({ value }) => value !== false);
    return kinds.flatMap(({ value, at, table }) => {
      const after = (name: Expression) => sequence(name, space, text(':'), space, this.#value(value, at));
      const isAny = table === undefined && nameTable === undefined && patterns.length === 0 && named.length === 0;
      if (isAny) return [after(this.#named('string', () => anyString))];
      let names = table ?? tableOf(place, stringOnce());
      if (nameTable) names = both(place, names, nameTable);
      for (const other of patterns) if (other.table !== table) names = except(place, names, other.table);
      if (named.length > 0) names = except(place, names, tableOf(place, choice(...named.map(literal))));
      return isEmpty(names) ? [] : [after(fromTable(names))];
    });
  }

  #reference(reference: unknown, path: string): Expression {
    if (typeof reference !== 'string' || !/^#(\/|$)/.test(reference))
      throw this.#read.refused(`${path}/$ref`, 'a place in this schema, as #/$defs/name', show(reference));
    let target: unknown = this.#whole;
    for (const part of reference.split('/').slice(1)) {
      const key = decoded(part).replaceAll('~1', '/').replaceAll('~0', '~');
      const isThere = typeof target === 'object' && target !== null && Object.hasOwn(target, key);
      if (!isThere) throw this.#read.refused(`${path}/$ref`, 'a place in this schema', show(reference));
      target = (target as Record<string, unknown>)[key];
    }
    const known = this.#references.get(target);
    if (known !== undefined) return rule(known);
    const name = `ref ${reference}`;
    this.#references.set(target, name);
    this.#rules.set(name, this.#value(target, reference));
    return rule(name);
  }

  #text(schema: unknown): string {
    let known = this.#texts.get(schema);
    if (known === undefined) {
      known = sameText(schema);
      this.#texts.set(schema, known);
    }
    return known;
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
}

/** Percent signs that begin no escape stay as they are. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
