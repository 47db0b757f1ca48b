// Forms of answers, without a model: walks over random tokens that a form allows. What comes to an end is valid for an
// independent validator (ajv). RELUFY_FUZZ_RUNS asks for more schemas.
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { constraints, stop, walk } from '../testing/form-walk.js';
import { rootedSchemas } from '../testing/random-schemas.js';
import { Constraints } from './constraint.js';
import type { JsonSchema } from './json-schema.js';

// what a value inherits ("constructor") is none of its properties
const ajv = new Ajv2020({ strict: false, ownProperties: true });
(addFormats as unknown as (of: Ajv2020) => void)(ajv);

/** Several walks; gives the values that came to an end, all of them valid. */
function valuesOf(schema: JsonSchema, walks = 6, seed = 1): unknown[] {
  const isValid = ajv.compile(schema);
  const values: unknown[] = [];
  for (let i = 0; i < walks; i++) {
    const found = walk({ jsonSchema: schema }, seed + i);
    if (found === undefined) continue;
    const value: unknown = JSON.parse(found);
    if (!isValid(value)) throw new Error(`${JSON.stringify(schema)} gave ${found}: ${ajv.errorsText(isValid.errors)}`);
    values.push(value);
  }
  return values;
}

describe('a JSON Schema', () => {
  const numRuns = Number(process.env.RELUFY_FUZZ_RUNS ?? 40);
  it('gives valid values only, whatever tokens are taken: random schemas', { timeout: 60_000 + 500 * numRuns }, () => {
    let ended = 0;
    let walks = 0;
    let refused = 0;
    fc.assert(
      fc.property(rootedSchemas, fc.nat(), (schema, seed) => {
        // what is asked for may not go together: fewer names than properties, say
        try {
          constraints.open({ jsonSchema: schema }, new Set([stop]));
        } catch (error) {
          expect(error).toMatchObject({ code: 'option', message: expect.stringContaining('option "jsonSchema" #/') });
          refused++;
          return;
        }
        walks += 2;
        ended += valuesOf(schema, 2, seed).length;
      }),
      { numRuns, ...(process.env.RELUFY_FUZZ_RUNS === undefined && { seed: 20 }) },
    );
    expect(ended / walks).toBeGreaterThan(0.7);
    expect(refused / numRuns).toBeLessThan(0.1);
  });

  it('reaches every choice', () => {
    const texts = valuesOf({ enum: ['a', 1, null, { b: [true] }] }, 40).map((value) => JSON.stringify(value));
    expect(new Set(texts)).toEqual(new Set(['"a"', '1', 'null', '{"b":[true]}']));
    const optional = { type: 'object', properties: { a: { const: 1 }, b: { const: 2 } }, required: [] };
    expect(new Set(valuesOf(optional, 60).map((value) => JSON.stringify(value)))).toEqual(
      new Set(['{}', '{"a":1}', '{"b":2}', '{"a":1,"b":2}']),
    );
    const numbers = valuesOf({ type: 'integer', minimum: -2, maximum: 11 }, 400) as number[];
    expect(new Set(numbers).size).toBe(14);
  });

  it('reaches every value that keywords leave together', () => {
    const textsOf = (schema: JsonSchema, walks: number) =>
      [...new Set(valuesOf(schema, walks).map((value) => JSON.stringify(value)))].sort();
    expect(textsOf({ type: 'integer', minimum: -9, maximum: 20, multipleOf: 7 }, 60)).toEqual(['-7', '0', '14', '7']);
    expect(textsOf({ type: 'integer', minimum: 0, maximum: 3, not: { enum: [1, 2.0] } }, 30)).toEqual(['0', '3']);
    expect(textsOf({ type: ['boolean', 'null'], not: { const: false } }, 30)).toEqual(['null', 'true']);
    expect(textsOf({ type: 'string', pattern: '^[ab]{1,2}$', not: { pattern: 'b' } }, 60)).toEqual(['"a"', '"aa"']);
    expect(
      textsOf({ type: 'array', items: { enum: ['a', 'b', 'c'] }, uniqueItems: true, minItems: 3 }, 120),
    ).toHaveLength(6);
    const object = {
      patternProperties: { '^[xy]$': { const: 1 } },
      additionalProperties: false,
      propertyNames: { not: { const: 'y' } },
    };
    expect(textsOf({ type: 'object', ...object, minProperties: 1 }, 20)).toEqual(['{"x":1}']);
    const prices = valuesOf({ type: 'number', minimum: 0, maximum: 9, multipleOf: 0.5 }, 60);
    expect(new Set(prices).size).toBeGreaterThan(8);
    // ajv divides in f64, where 0.07 is no multiple of 0.01: told by the digits
    for (let seed = 0; seed < 20; seed++)
      expect(walk({ jsonSchema: { type: 'number', multipleOf: 0.01 } }, seed)).toMatch(/^[\s]*-?\d+(\.\d{1,2})?$/);
  });

  it('takes __proto__ for a name as others', () => {
    const schema = JSON.parse(
      '{"type":"object","properties":{"__proto__":{"const":1}},"required":["__proto__"],"additionalProperties":{"const":2}}',
    ) as JsonSchema;
    for (let seed = 0; seed < 10; seed++) {
      const found = walk({ jsonSchema: schema }, seed);
      if (found !== undefined) expect(Object.entries(JSON.parse(found) as object)[0]).toEqual(['__proto__', 1]);
    }
  });

  it('follows references, into itself too', () => {
    const tree = {
      $ref: '#/$defs/node',
      $defs: {
        node: {
          type: 'object',
          properties: { v: { type: 'integer' }, next: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/node' }] } },
          required: ['v', 'next'],
        },
      },
    };
    expect(valuesOf(tree, 10).length).toBeGreaterThan(4);
    expect(
      valuesOf({ oneOf: [{ type: 'string' }, { type: 'integer' }, { type: 'array', items: { type: 'boolean' } }] }, 10)
        .length,
    ).toBeGreaterThan(4);
    const shapes = ['circle', 'square'].map((kind) => ({
      type: 'object',
      properties: { kind: { const: kind }, size: { type: 'number' } },
      required: ['kind'],
    }));
    expect(valuesOf({ oneOf: shapes }, 10).length).toBeGreaterThan(4);
  });

  it('may leave the type open', () => {
    for (const schema of [
      true,
      {},
      { type: 'object' },
      { properties: { a: { minimum: 3 } } },
      { type: 'array' },
    ] as const)
      for (let seed = 0; seed < 6; seed++) {
        const found = walk({ jsonSchema: schema }, seed);
        if (found !== undefined) JSON.parse(found);
      }
  });

  it.each([
    [{ type: 'object', dependentRequired: {} }, /#: keyword "dependentRequired" is not supported/],
    [
      { type: 'object', properties: { a: { type: 'array', uniqueItems: true } } },
      /#\/properties\/a: keyword "uniqueItems" is supported only where/,
    ],
    [{ type: 'array', items: { enum: [1, 1, 2] }, uniqueItems: true, minItems: 3 }, /#\/minItems: expected at most 2/],
    [{ type: 'array', uniqueItems: 1 }, /#\/uniqueItems: expected true or false/],
    [{ not: {} }, /#\/not: expected a schema that leaves a value/],
    [{ not: true }, /#\/not: expected a schema that leaves a value/],
    [{ type: 'string', not: { type: 'string' } }, /#\/not: expected a schema that leaves a value/],
    [{ not: { minimum: 3 } }, /#\/not: keyword "minimum" is not supported/],
    [{ not: { const: [] } }, /#\/not: keyword "const" is supported only with texts/],
    [{ type: 'number', not: { type: 'integer' } }, /#\/not: keyword "type" is supported only/],
    [{ type: 'integer', multipleOf: 0 }, /#\/multipleOf: expected a number above 0/],
    [{ type: 'integer', multipleOf: -3 }, /#\/multipleOf: expected a number above 0/],
    [
      { type: 'integer', multipleOf: 999_983 },
      /#\/multipleOf: expected texts that a table of 20000 states tells apart/,
    ],
    [{ type: 'integer', minimum: 4, maximum: 5, multipleOf: 3 }, /expected a multiple of 3 within the bounds/],
    [{ type: 'string', pattern: '^a{3}$', maxLength: 2 }, /expected keywords that some text fits/],
    [{ type: 'string', pattern: '(a|b)*a(a|b){18}', maxLength: 40 }, /expected texts that a table of 20000 states/],
    [{ type: 'object', patternProperties: { '[': {} } }, /"pattern": expected a regular expression/],
    [
      { type: 'object', properties: { ab: { type: 'null' } }, patternProperties: { '^a': { type: 'string' } } },
      /patternProperties\/\^a: expected the schema of #\/properties\/ab, which holds for "ab" too/,
    ],
    [
      { type: 'object', required: ['b'], propertyNames: { enum: ['a'] } },
      /names that #\/propertyNames allows, got "b"/,
    ],
    [{ type: 'object', properties: { a: {} }, minProperties: 2 }, /#: expected as many named properties/],
    [{ $ref: '#/%' }, /#\/\$ref: expected a place in this schema/],
    [{ type: 'strnig' }, /#\/type: expected object, array/],
    [{ type: 'string', format: 'iri' }, /#\/format: expected date/],
    [{ type: 'string', pattern: '(?=a)' }, /"pattern": expected groups without/],
    [{ type: 'string', pattern: '(a)\\1' }, /"pattern": expected no "\\\\1"|"pattern": expected/],
    [{ type: 'string', pattern: '[' }, /"pattern": expected a regular expression/],
    [{ type: 'string', minLength: 5, maxLength: 2 }, /#\/maxLength: expected at least 5, got 2/],
    [{ type: 'number', minimum: 0.2, maximum: 0.4 }, /expected bounds with a whole number/],
    [{ oneOf: [{ type: 'number' }, { type: 'integer' }] }, /#\/oneOf: expected schemas of which no value fits two/],
    [{ allOf: [{}, {}] }, /#\/allOf: expected one schema/],
    [{ $ref: 'https://x/y' }, /#\/\$ref: expected a place in this schema/],
    [{ $ref: '#/$defs/no' }, /#\/\$ref: expected a place in this schema/],
    [{ type: 'object', properties: { a: {} }, required: ['b'], additionalProperties: false }, /#\/required/],
    [{ enum: [1], minimum: 0 }, /"enum" and "minimum" side by side/],
    [false, /expected a schema that some value fits/],
    [{ type: 'string', minLength: 1e12 }, /expected at most 200000 alternatives/],
    [{ type: 'array', maxItems: 1e9, items: { type: 'null' } }, /expected at most 200000 alternatives/],
  ] as const)('names what it could not keep: %j', (schema, message) => {
    const open = () => constraints.open({ jsonSchema: schema }, new Set([stop]));
    expect(open).toThrowError(message);
    expect(open).toThrowError(expect.objectContaining({ code: 'option' }));
  });
});

describe('a grammar', () => {
  it('is read as llama.cpp writes it', () => {
    const grammar = String.raw`
      # a list of moves
      root  ::= move ("," " "? move){1,3} "\n"?
      move  ::= [a-h] [1-8] | "O-O" ("-O")? # castling
              | piece [^a-z\n"]{0,2}
      piece ::= "K" | [N\x51-\u0052]+
    `;
    const expected =
      /^(?:[a-h][1-8]|O-O(-O)?|(?:K|[NQR]+)[^a-z\n"]{0,2})(?:, ?(?:[a-h][1-8]|O-O(-O)?|(?:K|[NQR]+)[^a-z\n"]{0,2})){1,3}\n?$/;
    const found = Array.from({ length: 20 }, (_, seed) => walk({ grammar }, seed)).filter((one) => one !== undefined);
    expect(found.length).toBeGreaterThan(10);
    for (const one of found) expect(one).toMatch(expected);
  });

  it.each([
    ['', /line 1: expected a rule "root", got the end/],
    ['root = "a"', /line 1: expected a rule, as name ::= "text", got "root = /],
    ['root ::= "a', /expected '"', got the end/],
    ['root ::= [a', /expected ']', got the end/],
    ['root ::= ("a"', /expected "\)", got the end/],
    ['root ::= other', /expected a rule "other", got none/],
    ['root ::= root "a" | "b"', /a rule that begins with itself/],
    ['root ::= "a"\nroot ::= "b"', /line 2: expected one rule "root"/],
    ['root ::= [b-a]', /expected a range from low to high/],
    ['root ::= ("a"{0,99999} "b"){0,99999} ("c"{0,99999})', /expected at most 200000 alternatives/],
  ])('that is none is refused: %s', (grammar, message) => {
    expect(() => constraints.open({ grammar }, new Set([stop]))).toThrowError(message);
  });

  it('or a schema of any size ends with an answer or an error', () => {
    const properties = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`p${i}`, { type: 'integer' }]));
    const open = () => constraints.open({ jsonSchema: { type: 'object', properties } }, new Set());
    expect(open).toThrowError(/expected a form that is less deep|expected at most/);
    let deep: JsonSchema = {};
    for (let i = 0; i < 3000; i++) deep = { type: 'array', items: deep };
    expect(() => constraints.open({ jsonSchema: deep }, new Set())).toThrowError(/less deep/);
  });

  it('that no text ends is refused, and alternatives of which none does are never taken', () => {
    for (const jsonSchema of [
      { $ref: '#' },
      { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } },
      { type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] },
    ])
      expect(() => constraints.open({ jsonSchema }, new Set([stop]))).toThrowError(
        /expected a form that some text fits/,
      );
    expect(() => constraints.open({ grammar: 'root ::= "a" root' }, new Set([stop]))).toThrowError(/some text fits/);
    const nested = { type: 'array', items: { $ref: '#/$defs/a' }, minItems: 1 };
    const jsonSchema = { anyOf: [{ $ref: '#/$defs/a' }, { const: 7 }], $defs: { a: nested } };
    for (let seed = 0; seed < 5; seed++) expect(JSON.parse(walk({ jsonSchema }, seed) as string)).toBe(7);
  });

  it('and a schema side by side are refused', () => {
    expect(() => constraints.open({ grammar: 'root ::= "a"', jsonSchema: {} }, new Set())).toThrowError(
      /expected one of them, got both/,
    );
    expect(() => new Constraints(undefined, 10).open({ jsonSchema: {} }, new Set())).toThrowError(/no tokenizer/);
    expect(constraints.open({}, new Set())).toBeUndefined();
  });
});
