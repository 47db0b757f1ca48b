// Schemas and grammars of a stranger: each ends with a form or one error, within seconds of processor time and little memory.
// Does not own what forms mean (constrained.test.ts).
import { describe, expect, it } from 'vitest';
import { constraints, stop, tokenizer, vocabSize, walk } from '../testing/form-walk.js';
import { type ConstraintOptions, Constraints } from './constraint.js';
import type { JsonSchema } from './json-schema.js';

const many = <Value>(count: number, of: (i: number) => Value): Value[] =>
  Array.from({ length: count }, (_, i) => of(i));
const named = (count: number, of: (i: number) => unknown) => Object.fromEntries(many(count, (i) => [`p${i}`, of(i)]));
const object = (more: object): JsonSchema => ({ type: 'object', ...more });
const big = many(4000, (i) => `value ${i}`);

/** A place under as many names as it has letters that may be written with a percent sign. */
const spellings = (count: number) =>
  many(
    count,
    (n) =>
      `#/$defs/${[...'abcdefghijkl'].map((c, i) => ((n >> i) & 1 ? `%${c.charCodeAt(0).toString(16)}` : c)).join('')}`,
  );

/** [name, schema, message of the error; undefined: it compiles] */
const schemas: readonly (readonly [string, JsonSchema, RegExp | undefined])[] = [
  [
    'a pattern of names that goes back for ever, on a name',
    object({ patternProperties: { '^(a+)+$': { type: 'integer' } }, properties: { [`${'a'.repeat(60)}!`]: {} } }),
    undefined,
  ],
  [
    'three patterns of names that do, on long names',
    object({
      patternProperties: { '^(a|aa)+$': {}, '^(a*)*b$': {}, 'x*x*x*x*x*y$': {} },
      required: ['a'.repeat(300), 'x'.repeat(300)],
      additionalProperties: true,
    }),
    undefined,
  ],
  [
    'multiples of many numbers',
    object({ properties: named(2000, (i) => ({ type: 'integer', multipleOf: 1009 + i })) }),
    /compared in/,
  ],
  [
    'many patterns with lengths',
    object({
      properties: named(3000, (i) => ({ type: 'string', pattern: `^[a-z]+${i}$`, minLength: 2, maxLength: 90 })),
    }),
    /compared in/,
  ],
  ['oneOf of 5000 constants', { oneOf: many(5000, (i) => ({ const: `c${i}` })) }, /compared in/],
  [
    'oneOf of long lists',
    { oneOf: many(40, (n) => ({ enum: big.map((text) => `${n} ${text}`) })) },
    /compared in|at most/,
  ],
  [
    'oneOf by required names',
    { oneOf: many(300, (n) => object({ required: big, properties: { 'value 3999': { const: n } } })) },
    /compared in/,
  ],
  [
    'many names, as many of which are asked for',
    object({ properties: named(3000, () => ({})), minProperties: 2999 }),
    /compared in/,
  ],
  [
    'a long list without order',
    { type: 'array', uniqueItems: true, minItems: 3000, items: { enum: big } },
    /compared in/,
  ],
  [
    'one place under 4000 spellings',
    {
      $defs: { abcdefghijkl: object({ properties: named(300, () => ({ type: 'null' })) }) },
      anyOf: spellings(4000).map(($ref) => ({ $ref })),
    },
    undefined,
  ],
  [
    'a schema of names that many names are compared with',
    object({
      patternProperties: { '^p': { enum: big } },
      properties: named(1500, () => ({ enum: big })),
      additionalProperties: false,
    }),
    /at most \d+ alternatives|compared in|fewer parts/,
  ],
  [
    'addresses of many lengths',
    object({ properties: named(200, (i) => ({ type: 'string', format: 'email', maxLength: 200 + i })) }),
    /compared in/,
  ],
  [
    'addresses of one length',
    object({ properties: named(200, () => ({ type: 'string', format: 'email', maxLength: 254 })) }),
    undefined,
  ],
  [
    'patterns that tell thousands of texts apart',
    object({
      properties: named(50, (i) => ({ type: 'string', pattern: `[ab]*a[ab]{${6 + (i % 6)}}`, maxLength: 40 + i })),
    }),
    /compared in/,
  ],
  ['2000 names, each a rule that leads to the next', object({ properties: named(2000, () => ({})) }), undefined],
  ['a long pattern of escapes', { type: 'string', pattern: '\\x41'.repeat(100_000) }, /at most 10000 characters/],
  ['escapes up to the limit', { type: 'string', pattern: '\\u{41}'.repeat(1600) }, undefined],
  ['a pattern of groups in groups', { type: 'string', pattern: `${'('.repeat(4000)}a${')'.repeat(4000)}` }, /./],
];

describe('a schema with', () => {
  it.each(schemas)('%s', (_, jsonSchema, message) => {
    const began = process.cpuUsage();
    const open = () => new Constraints(tokenizer, vocabSize).open({ jsonSchema }, new Set([stop]));
    if (message === undefined) expect(open()).toBeDefined();
    else
      expect(open).toThrowError(expect.objectContaining({ code: 'option', message: expect.stringMatching(message) }));
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(2.5);
  });

  it('parameters of many tools, each as much as one may ask for, is one error', () => {
    const tools = many(60, (n) => ({
      type: 'function' as const,
      function: {
        name: `t${n}`,
        parameters: object({
          properties: named(5, (i) => ({ type: 'string', format: 'email', maxLength: 100 + 5 * n + i })),
        }),
      },
    }));
    const began = process.cpuUsage();
    expect(() => new Constraints(tokenizer, vocabSize).open({ tools }, new Set([stop]))).toThrowError(/compared in/);
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(2.5);
  });

  it('parameters of as many tools as a large server has compile', () => {
    const tools = many(200, (n) => ({
      type: 'function' as const,
      function: {
        name: `t${n}`,
        parameters: object({ properties: named(10, () => ({ type: 'string' })), required: ['p1'] }),
      },
    }));
    const began = process.cpuUsage();
    const constraint = new Constraints(tokenizer, vocabSize).open({ tools, toolChoice: 'required' }, new Set([stop]));
    constraint?.mask(new Float32Array(vocabSize));
    expect(constraint?.isComplete).toBe(false);
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(2.5);
  });

  it('what JSON cannot say is refused', () => {
    const circle: Record<string, unknown> = { type: 'object' };
    circle.properties = { again: circle };
    let deep: JsonSchema = {};
    for (let i = 0; i < 100_000; i++) deep = { items: deep };
    for (const jsonSchema of [circle, { const: 1n }, deep] as JsonSchema[])
      expect(() => constraints.open({ jsonSchema }, new Set([stop]))).toThrowError(
        expect.objectContaining({ code: 'option' }),
      );
  });

  it('names that patterns could not judge is refused, and others keep the schema of their pattern', () => {
    const withName = (name: string) =>
      object({
        patternProperties: { '^a': { type: 'null' } },
        properties: { [name]: { type: 'null' } },
        required: [name],
      });
    for (const name of ['a\u0001', '\ud800', '\u007f'])
      expect(() => constraints.open({ jsonSchema: withName(name) }, new Set([stop])), name).toThrowError(
        /names without control characters/,
      );
    expect(JSON.parse(walk({ jsonSchema: { ...(withName('a"\n😀') as object), maxProperties: 1 } }, 1) ?? '')).toEqual({
      'a"\n😀': null,
    });
  });
});

describe('a grammar with', () => {
  it.each([
    ['repetitions within repetitions', 'root ::= ("a"{0,90} "c"?){0,90} "b"'],
    ['three levels of them', 'root ::= (("a"{0,60}){0,60}){0,60} "b"'],
    ['rules that may be nothing', 'root ::= (x x x x x x x x)* "b"\nx ::= "a"{0,9}'],
  ])('%s takes little memory, however long the answer', (_, grammar) => {
    const form: ConstraintOptions = { grammar };
    const a = tokenizer.encode('a', { addSpecialTokens: false }).find((id) => tokenizer.decode([id]) === 'a') as number;
    const before = process.memoryUsage().heapUsed;
    const began = process.cpuUsage();
    try {
      const constraint = new Constraints(tokenizer, vocabSize).open(form, new Set([stop]));
      for (let n = 0; n < 1500; n++) constraint?.accept(a);
    } catch (error) {
      expect(error).toMatchObject({ code: 'option' });
    }
    expect((process.memoryUsage().heapUsed - before) / 1e6).toBeLessThan(400);
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(8);
  });
});
