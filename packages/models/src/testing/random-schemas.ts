// JSON Schemas of all that forms of answers know, drawn at random, for tests. They are valid; what one asks for may not go
// together (fewer names than properties). Does not own walks (form-walk.ts) nor what is expected.
import fc from 'fast-check';
import type { JsonSchema } from '../constrained/json-schema.js';

// without __proto__, which ajv takes for an additional property
const name = fc.constantFrom('a', 'ab', 'name', 'x y', 'é', '"q"', 'constructor');
const scalar = fc.oneof(
  fc.constant({ type: 'string' }),
  fc.constant({ type: 'boolean' }),
  fc.constant({ type: 'null' }),
  fc.record(
    { type: fc.constant('string'), minLength: fc.nat(3), maxLength: fc.integer({ min: 3, max: 9 }) },
    { requiredKeys: ['type'] },
  ),
  fc.record({
    type: fc.constant('string'),
    format: fc.constantFrom(
      ...['date', 'time', 'date-time', 'duration', 'uuid', 'ipv4', 'ipv6', 'hostname', 'uri', 'email'],
    ),
  }),
  fc.record({
    type: fc.constant('string'),
    pattern: fc.constantFrom(
      '^a+b?$',
      '[0-9]{3}',
      '^(foo|bar)-\\d+$',
      '^[^"\\\\a-y]*$',
      'x|^y',
      '\\s',
      '^.{2,4}$',
      '^"\\n"$',
      '^[\\w.-]+@x$',
    ),
  }),
  fc
    .tuple(
      fc.constantFrom('integer', 'number'),
      fc.integer({ min: -1200, max: 1200 }),
      fc.integer({ min: 1, max: 3000 }),
      fc.nat(3),
    )
    .map(([type, min, span, how]) => ({
      type,
      [how & 1 ? 'exclusiveMinimum' : 'minimum']: min,
      [how & 2 ? 'exclusiveMaximum' : 'maximum']: min + span + 1,
    })),
  fc.record({ type: fc.constantFrom('integer', 'number'), exclusiveMinimum: fc.constantFrom(0, -3, 12.5) }),
  fc.record({ enum: fc.array(fc.jsonValue({ maxDepth: 1 }), { minLength: 1, maxLength: 4 }) }),
  fc.record({ const: fc.jsonValue({ maxDepth: 2 }) }),
  fc.constant({ type: ['string', 'null'] }),
  // keywords that hold together, and what `not` leaves
  fc.record({
    type: fc.constant('string'),
    pattern: fc.constantFrom('^[a-f]+$', '[0-9]', '^é*"?', '^(ab|c)*$'),
    minLength: fc.nat(2),
    maxLength: fc.integer({ min: 4, max: 9 }),
    not: fc.constantFrom({ const: 'abc' }, { pattern: 'ff' }, { enum: ['c', 3, 'cc'] }, { minLength: 4 }, false),
  }),
  fc
    .tuple(
      fc.constantFrom('integer', 'number'),
      fc.constantFrom(1, 2, 3, 7, 12, 100, 0.5, 0.25, 1.5),
      fc.integer({ min: -300, max: 300 }),
      fc.nat(2),
    )
    .map(([type, multipleOf, minimum, how]) => ({
      ...{ type, multipleOf },
      ...(how > 0 && { minimum }),
      ...(how > 1 && { maximum: minimum + 250 }),
    })),
  fc
    .tuple(
      fc.constantFrom<unknown>('integer', 'number', 'boolean', ['string', 'null'], ['integer', 'array'], undefined),
      fc.constantFrom(
        ...[{ const: true }, { enum: [0, 1, 2.5, '', 'a', null] }, { multipleOf: 2 }, { multipleOf: 0.5 }],
        ...[{ type: 'string' }, { type: ['array', 'null'] }, { type: 'string', pattern: '^a' }],
      ),
    )
    .filter(
      ([type, not]) => !('multipleOf' in not) || type === 'number' || (type === 'integer' && not.multipleOf === 2),
    )
    .map(([type, not]) => ({ ...(type !== undefined && { type }), not })),
);
const finite = fc.oneof(
  fc.record({ enum: fc.array(fc.jsonValue({ maxDepth: 1 }), { minLength: 3, maxLength: 12 }) }),
  fc.constant({ type: ['boolean', 'null'] }),
  fc.nat(12).map((span) => ({ type: 'integer', minimum: 2, maximum: 5 + span })),
);
const { schema: schemas } = fc.letrec((tie) => ({
  schema: fc.oneof(
    { depthSize: 'small', withCrossShrink: true, maxDepth: 3 },
    scalar,
    fc
      .tuple(
        fc.dictionary(name, tie('schema'), { maxKeys: 4 }),
        fc.array(fc.nat(3), { maxLength: 3 }),
        fc.nat(4),
        tie('schema'),
      )
      .map(([properties, required, how, other]) => ({
        type: 'object',
        properties,
        required: [...new Set(required.map((i) => Object.keys(properties)[i]).filter((key) => key !== undefined))],
        ...(how === 0 && { additionalProperties: other }),
        ...(how === 1 && { additionalProperties: false }),
        ...(how === 2 && { additionalProperties: true }),
      })),
    fc
      .tuple(tie('schema'), fc.nat(2), fc.nat(3), fc.array(tie('schema'), { maxLength: 2 }))
      .map(([items, minItems, more, prefixItems]) => ({
        type: 'array',
        items,
        minItems,
        maxItems: minItems + more,
        ...(prefixItems.length > 0 && { prefixItems }),
      })),
    fc.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
    fc.constantFrom({ $ref: '#/$defs/leaf' }, { $ref: '#/$defs/tree' }),
    // no value fits two of them
    fc
      .shuffledSubarray(
        [
          { type: 'string', maxLength: 3 },
          { type: 'integer', minimum: 0 },
          { type: 'boolean' },
          { type: 'null' },
          { type: 'array', items: { $ref: '#/$defs/leaf' }, maxItems: 2 },
          { type: 'object', properties: { kind: { const: 1 } }, required: ['kind'] },
        ],
        { minLength: 1 },
      )
      .map((oneOf) => ({ oneOf })),
    fc.tuple(finite, fc.nat(3), fc.nat(4)).map(([items, minItems, more]) => ({
      type: 'array',
      items,
      uniqueItems: true,
      minItems,
      maxItems: minItems + more,
    })),
    fc
      .tuple(
        fc.dictionary(name, tie('schema'), { maxKeys: 3 }),
        fc.dictionary(fc.constantFrom('^[x-z]_', '[0-9]$', '^p'), tie('schema'), { minKeys: 1, maxKeys: 2 }),
        fc.nat(3),
        fc.constantFrom(
          undefined,
          { maxLength: 5 },
          { pattern: '^[^_]' },
          { enum: ['x_1', 'a', 'p'] },
          { not: { const: 'a' } },
        ),
        fc.tuple(fc.nat(2), fc.nat(3)),
      )
      .map(([properties, patternProperties, how, propertyNames, [least, more]]) => ({
        ...{ type: 'object', properties, patternProperties },
        ...(how > 0 && { additionalProperties: how > 1 ? false : { type: 'boolean' } }),
        ...(propertyNames && { propertyNames }),
        ...(how === 3 && { maxProperties: least + more }),
        ...(how === 0 && { minProperties: Math.min(least, 1) }),
      })),
  ),
}));

/** Schemas, and what they refer to: a definition, and one that refers to itself. */
export const rootedSchemas: fc.Arbitrary<JsonSchema> = fc.tuple(schemas, scalar).map(([schema, leaf]) => ({
  allOf: [schema],
  $defs: {
    leaf,
    tree: {
      type: 'object',
      properties: { v: { $ref: '#/$defs/leaf' }, next: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/tree' }] } },
      required: ['v'],
      additionalProperties: false,
    },
  },
}));
