// Forms of answers, without a model: walks over random tokens that a form allows. What comes to an end is valid for an
// independent validator (ajv). RELUFY_FUZZ_RUNS asks for more schemas.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createTokenizer } from '@relufy/tokenizer';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ConstraintOptions, Constraints } from './constraint.js';
import type { JsonSchema } from './json-schema.js';

const model = (file: string) =>
  readFileSync(fileURLToPath(new URL(`../../../llama-tales/model/${file}`, import.meta.url)), 'utf8');
const tokenizer = createTokenizer({
  name: 'llama-tales',
  tokenizerJson: model('tokenizer.json'),
  tokenizerConfig: model('tokenizer_config.json'),
});
const { vocabSize } = tokenizer;
const stop = tokenizer.eosId as number;
const constraints = new Constraints(tokenizer, vocabSize);

/** mulberry32 */
function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Tokens that end something: a walk that never takes them comes to no end. */
const closing = new Set(
  Array.from({ length: vocabSize }, (_, id) => id).filter((id) => /["}\],]/.test(tokenizer.decode([id]))),
);

/** A text that the form allows, by chance; undefined where it did not end in time. */
function walk(options: ConstraintOptions, seed: number, most = 300): string | undefined {
  const constraint = constraints.open(options, new Set([stop]));
  if (constraint === undefined) throw new Error('no form');
  const random = randomFrom(seed);
  const bytes: number[] = [];
  for (let n = 0; n < most; n++) {
    const logits = new Float32Array(vocabSize);
    constraint.mask(logits);
    let allowed: number[] = [];
    for (let id = 0; id < vocabSize; id++) if (logits[id] === 0) allowed.push(id);
    expect(allowed.length).toBeGreaterThan(0);
    expect(allowed.includes(stop)).toBe(constraint.isComplete);
    const ends = allowed.filter((id) => closing.has(id));
    if (ends.length > 0 && random() < (n < most / 2 ? 0.4 : 0.9)) allowed = ends;
    const id = allowed[Math.floor(random() * allowed.length)] as number;
    const isOver = constraint.isEnd || (constraint.isComplete && random() < 0.5);
    if (isOver || id === stop) return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes));
    bytes.push(...tokenizer.tokenBytes(id));
    constraint.accept(id);
    if (constraint.isEnd) return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes));
  }
  return undefined;
}

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

const name = fc.constantFrom('a', 'ab', 'name', 'x y', 'é', '"q"', '__proto__', 'constructor');
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
    format: fc.constantFrom('date', 'time', 'date-time', 'uuid', 'ipv4', 'email'),
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
  ),
}));

describe('a JSON Schema', () => {
  it('gives valid values only, whatever tokens are taken: random schemas', () => {
    let ended = 0;
    let walks = 0;
    const numRuns = Number(process.env.RELUFY_FUZZ_RUNS ?? 40);
    fc.assert(
      fc.property(schemas, fc.nat(), (schema, seed) => {
        walks += 2;
        ended += valuesOf(schema as JsonSchema, 2, seed).length;
      }),
      { numRuns, ...(process.env.RELUFY_FUZZ_RUNS === undefined && { seed: 20 }) },
    );
    expect(ended / walks).toBeGreaterThan(0.7);
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
    [{ type: 'object', minProperties: 2 }, /#: keyword "minProperties" is not supported/],
    [
      { type: 'object', properties: { a: { type: 'array', uniqueItems: true } } },
      /#\/properties\/a: keyword "uniqueItems"/,
    ],
    [{ not: {} }, /keyword "not"/],
    [{ type: 'integer', multipleOf: 3 }, /keyword "multipleOf"/],
    [{ type: 'strnig' }, /#\/type: expected object, array/],
    [{ type: 'string', format: 'hostname' }, /#\/format: expected date/],
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
    const open = () => constraints.open({ jsonSchema: schema as JsonSchema }, new Set([stop]));
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

  it('and a schema side by side are refused', () => {
    expect(() => constraints.open({ grammar: 'root ::= "a"', jsonSchema: {} }, new Set())).toThrowError(
      /expected one of them, got both/,
    );
    expect(() => new Constraints(undefined, 10).open({ jsonSchema: {} }, new Set())).toThrowError(/no tokenizer/);
    expect(constraints.open({}, new Set())).toBeUndefined();
  });
});

describe('calls of tools', () => {
  const tools = [
    {
      type: 'function' as const,
      function: {
        name: 'weather',
        parameters: { type: 'object', properties: { city: { enum: ['Rome', 'Oslo'] } }, required: ['city'] },
      },
    },
    { type: 'function' as const, function: { name: 'now' } },
  ];
  const call = String.raw`<tool_call>\n\{"name": "(?:weather|now)", "arguments": [^<]*\}\n</tool_call>`;

  it('are made where they must be', () => {
    const found = Array.from({ length: 10 }, (_, seed) => walk({ tools, toolChoice: 'required' }, seed)).filter(
      (one) => one !== undefined,
    );
    expect(found.length).toBeGreaterThan(5);
    for (const one of found) {
      expect(one).toMatch(new RegExp(`^${call}(?:\n${call})*$`));
      for (const [, json] of one.matchAll(/<tool_call>\n(.*?)\n<\/tool_call>/gs)) {
        const { name: called, arguments: given } = JSON.parse(json as string) as { name: string; arguments: unknown };
        if (called === 'now') expect(given).toEqual({});
        else expect(['Rome', 'Oslo']).toContain((given as { city: string }).city);
      }
    }
    const single = walk({ tools, toolChoice: { name: 'now' }, parallelToolCalls: false, toolCallFormat: 'llama' }, 1);
    expect(JSON.parse(single as string)).toEqual({ name: 'now', parameters: {} });
  });

  it('may follow a text, which is free up to their mark', () => {
    const constraint = constraints.open({ tools }, new Set([stop]))!;
    const take = (text: string) => {
      for (const id of tokenizer.encode(text, { addSpecialTokens: false })) {
        const logits = new Float32Array(vocabSize);
        constraint.mask(logits);
        if (logits[id] !== 0) return false;
        constraint.accept(id);
      }
      return true;
    };
    expect(take('One <tool_ca and then <<tool_call>')).toBe(true);
    expect(constraint.isComplete).toBe(false);
    expect(take('\n{"name": "now", "arguments": {}}\n</tool_call>')).toBe(true);
    expect(constraint.isComplete).toBe(true);
    expect(take('x')).toBe(false);
  });

  it('are refused without a tool to call', () => {
    const open = (toolChoice: 'auto' | { name: string } | 'maybe') => () =>
      constraints.open({ tools, toolChoice: toolChoice as 'auto' }, new Set());
    expect(open({ name: 'other' })).toThrowError(/expected a tool "other", got/);
    expect(open('maybe')).toThrowError(/toolChoice/);
  });
});
