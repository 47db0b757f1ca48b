// What schemas say without a look at values: whether two are apart (no value fits both, as far as their types and constants
// tell; where all are, `oneOf` is `anyOf`), and which values one has, where it lists them. Does not own what a schema becomes (json-schema.ts).

export type SchemaObject = { readonly [keyword: string]: unknown };

export const types = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
export type Type = (typeof types)[number];

/** Say nothing about what is valid. */
export const annotations: readonly string[] = [
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
];

/** What the comparison of two schemas asks of each, found out once: a long list is compared with many. */
interface Facts {
  readonly types: ReadonlySet<unknown>;
  /** The texts of its only values, where it lists them. */
  readonly constants: ReadonlySet<string> | undefined;
  /** Of the properties that it requires. */
  readonly required: ReadonlyMap<string, ReadonlySet<string> | undefined>;
}

/**
 * Their types differ, or a property that all require has constants of its own in each. `whole`: where references lead.
 * `spend` hears how much is compared, before it is.
 */
export function areApart(parts: readonly unknown[], whole: unknown, spend: (by: number) => void): boolean {
  const facts = parts.map((part) => {
    const schema = resolved(part, whole);
    return schema && factsOf(schema);
  });
  return facts.every((a, i) => {
    if (a === undefined) return false;
    for (let j = i + 1; j < facts.length; j++) {
      const b = facts[j];
      if (b === undefined || !areTwoApart(a, b, spend)) return false;
    }
    return true;
  });
}

function factsOf(schema: SchemaObject): Facts {
  const required = [schema.required].flat().filter((name) => typeof name === 'string');
  return {
    types: new Set(typesOf(schema)),
    constants: textsOf(schema),
    required: new Map(required.map((name) => [name, textsOf(propertyOf(schema, name))])),
  };
}

function textsOf(schema: SchemaObject | undefined): ReadonlySet<string> | undefined {
  const constants = constantsOf(schema);
  return constants && new Set(constants.map(sameText));
}

function areTwoApart(a: Facts, b: Facts, spend: (by: number) => void): boolean {
  spend(1);
  if (isDisjoint(a.types, b.types)) return true;
  const areConstantsApart = (own: ReadonlySet<string> | undefined, other: ReadonlySet<string> | undefined): boolean => {
    if (own === undefined || other === undefined) return false;
    spend(Math.min(own.size, other.size));
    return isDisjoint(own, other);
  };
  if (areConstantsApart(a.constants, b.constants)) return true;
  spend(a.required.size);
  return [...a.required].some(([name, own]) => areConstantsApart(own, b.required.get(name)));
}

function isDisjoint<Value>(a: ReadonlySet<Value>, b: ReadonlySet<Value>): boolean {
  const [small, large] = a.size < b.size ? [a, b] : [b, a];
  for (const value of small) if (large.has(value)) return false;
  return true;
}

function typesOf({ type, const: value, enum: values }: SchemaObject): readonly unknown[] {
  if (type !== undefined) return [type].flat().map((each) => (each === 'integer' ? 'number' : each));
  if (value !== undefined) return [typeOf(value)];
  return Array.isArray(values) ? values.map(typeOf) : types;
}

export function typeOf(value: unknown): Type {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value as Type;
}

/** `type` as a list; undefined where it names no types. */
export function typesNamed(type: unknown): readonly Type[] | undefined {
  const named = [type].flat();
  return named.length > 0 && named.every((each) => types.includes(each as Type)) ? (named as Type[]) : undefined;
}

function propertyOf(schema: SchemaObject, name: string): SchemaObject | undefined {
  return (schema.properties as Record<string, SchemaObject> | undefined)?.[name];
}

/** The only values of a schema, where it lists them. */
function constantsOf(schema: SchemaObject | undefined): readonly unknown[] | undefined {
  if (typeof schema !== 'object' || schema === null) return undefined;
  if ('const' in schema) return [schema.const];
  return Array.isArray(schema.enum) ? schema.enum : undefined;
}

/** A text that equal values have in common, whatever the order of their properties. */
export function sameText(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** Integers of a range that is listed. */
const mostListed = 256;

/**
 * The values of a schema, no two of them equal; undefined where it has more, or keywords besides those that list them.
 * `whole`: where references lead.
 */
export function finiteValues(schema: unknown, whole: unknown): readonly unknown[] | undefined {
  const found = resolved(schema, whole);
  if (found === undefined) return undefined;
  if (found !== schema && givenOf(schema as SchemaObject).length > 1) return undefined;
  const { type, minimum, maximum } = found;
  const named = type === undefined ? types : typesNamed(type);
  if (named === undefined) return undefined;
  const keywords = givenOf(found)
    .filter((key) => key !== 'type')
    .join(' ');
  const isOfType = (value: unknown) =>
    named.includes(typeOf(value)) || (named.includes('integer') && Number.isInteger(value));
  if (keywords === 'const' || keywords === 'enum') {
    const values = (constantsOf(found) ?? []).filter(isOfType);
    return [...new Map(values.map((value) => [sameText(value), value])).values()];
  }
  if (keywords === '' && named.every((each) => each === 'null' || each === 'boolean'))
    return [...new Set(named)].flatMap((each) => (each === 'null' ? [null] : [true, false]));
  if (type !== 'integer' || !['minimum maximum', 'maximum minimum'].includes(keywords)) return undefined;
  const [first, last] = [Math.ceil(minimum as number), Math.floor(maximum as number)];
  if (!(last >= first && last - first < mostListed)) return undefined;
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

const givenOf = (schema: SchemaObject) => Object.keys(schema).filter((key) => !annotations.includes(key));

function resolved(schema: unknown, whole: unknown): SchemaObject | undefined {
  if (typeof schema !== 'object' || schema === null) return undefined;
  const { $ref } = schema as SchemaObject;
  if (typeof $ref !== 'string') return schema as SchemaObject;
  let target = whole;
  for (const part of $ref.split('/').slice(1)) target = (target as SchemaObject | undefined)?.[part];
  return typeof target === 'object' && target !== null ? (target as SchemaObject) : undefined;
}
