// Whether schemas are apart: that no value fits two of them, as far as their types and constants tell. Where they are, `oneOf` is
// `anyOf`. Does not own what a schema becomes (json-schema.ts).

export type SchemaObject = { readonly [keyword: string]: unknown };

export const types = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
export type Type = (typeof types)[number];

/** Their types differ, or a property that all require has constants of its own in each. `whole`: where references lead. */
export function areApart(parts: readonly unknown[], whole: unknown): boolean {
  const schemas = parts.map((part) => resolved(part, whole));
  return schemas.every((a, i) =>
    schemas.slice(i + 1).every((b) => a !== undefined && b !== undefined && areTwoApart(a, b)),
  );
}

function areTwoApart(a: SchemaObject, b: SchemaObject): boolean {
  const kinds = typesOf(b);
  if (!typesOf(a).some((kind) => kinds.includes(kind))) return true;
  if (areConstantsApart(a, b)) return true;
  const alsoRequired = [b.required].flat();
  const required = [a.required].flat().filter((name) => typeof name === 'string' && alsoRequired.includes(name));
  return required.some((name) => areConstantsApart(propertyOf(a, name as string), propertyOf(b, name as string)));
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

function propertyOf(schema: SchemaObject, name: string): SchemaObject | undefined {
  return (schema.properties as Record<string, SchemaObject> | undefined)?.[name];
}

function areConstantsApart(a: SchemaObject | undefined, b: SchemaObject | undefined): boolean {
  const [own, other] = [constantsOf(a), constantsOf(b)];
  if (own === undefined || other === undefined) return false;
  const texts = new Set(own.map((value) => JSON.stringify(value)));
  return !other.some((value) => texts.has(JSON.stringify(value)));
}

/** The only values of a schema, where it lists them. */
function constantsOf(schema: SchemaObject | undefined): readonly unknown[] | undefined {
  if (typeof schema !== 'object' || schema === null) return undefined;
  if ('const' in schema) return [schema.const];
  return Array.isArray(schema.enum) ? schema.enum : undefined;
}

function resolved(schema: unknown, whole: unknown): SchemaObject | undefined {
  if (typeof schema !== 'object' || schema === null) return undefined;
  const { $ref } = schema as SchemaObject;
  if (typeof $ref !== 'string') return schema as SchemaObject;
  let target = whole;
  for (const part of $ref.split('/').slice(1)) target = (target as SchemaObject | undefined)?.[part];
  return typeof target === 'object' && target !== null ? (target as SchemaObject) : undefined;
}
