// Keywords of a JSON Schema, read one by one: their values, and the errors that name them and their place.
// Does not own what a keyword means for an answer (json-schema.ts, schema-scalars.ts).
import { RelufyError, show } from '@relufy/tensor';
import type { TablePlace, Work } from './regular.js';
import { annotations, type SchemaObject, type Type } from './schema-facts.js';

const ofNumbers = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'];

/** What each type goes by. */
export const keywordsOf: Readonly<Record<Type, readonly string[]>> = {
  object: [
    ...['properties', 'patternProperties', 'additionalProperties', 'propertyNames', 'required'],
    ...['minProperties', 'maxProperties'],
  ],
  array: ['items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ofNumbers,
  integer: ofNumbers,
  boolean: [],
  null: [],
};

/** Reads keywords of a schema; `path` is where it stands in the whole. */
export class SchemaKeywords {
  /** What errors begin with. */
  readonly where: string;

  /** What all of its tables and comparisons may cost. */
  readonly work: Work;

  constructor(where: string, work: Work) {
    this.where = where;
    this.work = work;
  }

  /** For tables, and comparisons, that a place of the schema asks for. */
  at(path: string): TablePlace {
    return { where: `${this.where} ${path}`, work: this.work };
  }

  /** Those that say something. */
  given(schema: SchemaObject): string[] {
    return Object.keys(schema).filter((key) => !annotations.includes(key));
  }

  number(schema: SchemaObject, key: string, path: string): number | undefined {
    const value = schema[key];
    if (value !== undefined && (typeof value !== 'number' || !Number.isFinite(value)))
      throw this.refused(`${path}/${key}`, 'a number', show(value));
    return value;
  }

  /** Two bounds of a count, as minItems and maxItems. */
  range(schema: SchemaObject, of: 'Items' | 'Length' | 'Properties', path: string): { min: number; max: number } {
    const [min = 0, max = Number.POSITIVE_INFINITY] = [`min${of}`, `max${of}`].map((key) => {
      const value = this.number(schema, key, path);
      if (value !== undefined && !(Number.isInteger(value) && value >= 0))
        throw this.refused(`${path}/${key}`, 'a whole number from 0 on', show(value));
      return value;
    });
    if (max < min) throw this.refused(`${path}/max${of}`, `at least ${min}`, `${max}`);
    return { min, max };
  }

  flag(schema: SchemaObject, key: string, path: string): boolean {
    const value = schema[key] ?? false;
    if (typeof value !== 'boolean') throw this.refused(`${path}/${key}`, 'true or false', show(value));
    return value;
  }

  schemas(schema: SchemaObject, key: string, path: string): Readonly<Record<string, unknown>> {
    const value = schema[key] === undefined ? {} : schema[key];
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.refused(`${path}/${key}`, 'an object of schemas', show(value));
    return value as Record<string, unknown>;
  }

  list(value: unknown, path: string): readonly unknown[] {
    if (!Array.isArray(value)) throw this.refused(path, 'a list', show(value));
    return value;
  }

  /** A schema that is an object: neither true nor false. */
  object(value: unknown, path: string, expected: string): SchemaObject {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.refused(path, expected, show(value));
    return value as SchemaObject;
  }

  unsupported(path: string, keyword: string, supported?: string): RelufyError {
    const how =
      supported === undefined ? 'not supported: an answer could not be held to it' : `supported only ${supported}`;
    return new RelufyError(
      'option',
      `${this.where} ${path}: keyword "${keyword}" is ${how}. Remove it, and check for it afterwards.`,
    );
  }

  together(path: string, keys: readonly string[]): RelufyError {
    const named = keys.map((key) => JSON.stringify(key)).join(' and ');
    return new RelufyError(
      'option',
      `${this.where} ${path}: ${named} side by side are not supported. Write them as one.`,
    );
  }

  refused(path: string, expected: string, got: string, remedy = 'Change the schema.'): RelufyError {
    return new RelufyError('option', `${this.where} ${path}: expected ${expected}, got ${got}. ${remedy}`);
  }
}
