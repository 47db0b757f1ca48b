// What we take from @huggingface/jinja 0.5.11, with types: its own declarations import files without extensions, which
// TypeScript's NodeNext resolution cannot follow. Nothing else of the package imports the library.
import * as library from '@huggingface/jinja';

/** A value while a template runs. */
export interface Value {
  readonly type: string;
  readonly value: unknown;
  __bool__(): { readonly value: boolean };
}

/** A node of a parsed template; which of the rest it has depends on its type. */
export interface Node {
  readonly type: string;
  readonly [key: string]: unknown;
}

export interface Scope {
  readonly tests: ReadonlyMap<string, (...values: Value[]) => boolean>;
  /** Converts a JavaScript value and declares it; the name must be new in this scope. */
  set(name: string, value: unknown): Value;
  setVariable(name: string, value: Value): Value;
}

export interface TemplateRunner {
  run(program: Node): Value;
  evaluate(node: Node | undefined, scope: Scope): Value;
}

interface Library {
  readonly Environment: new (parent?: Scope) => Scope;
  readonly Interpreter: new (scope: Scope) => TemplateRunner;
  readonly parse: (tokens: unknown) => Node;
  readonly tokenize: (source: string, options: object) => unknown;
}

export const Environment = (library as unknown as Library).Environment;
export const Interpreter = (library as unknown as Library).Interpreter;
const parse = (library as unknown as Library).parse;
const tokenize = (library as unknown as Library).tokenize;

/** Parses a source whose whitespace is dealt with already. Throws a SyntaxError. */
export const parseTemplate = (source: string): Node => parse(tokenize(source, {}));

// The library does not export the classes of its values, but it makes one of each when asked to convert.
const samples = new Environment();
type ValueClass<T> = new (value: T) => Value;
const classOf = <T>(name: string, sample: unknown): ValueClass<T> =>
  samples.set(name, sample).constructor as unknown as ValueClass<T>;

export const StringValue = classOf<string>('string', '');
export const IntegerValue = classOf<number>('integer', 1);
export const FloatValue = classOf<number>('float', 0.5);
export const BooleanValue = classOf<boolean>('boolean', true);
export const ArrayValue = classOf<Value[]>('array', []);
export const ObjectValue = classOf<Map<string, Value>>('object', {});
export const FunctionValue = classOf<(args: Value[], scope: Scope) => Value>('function', () => null);
export const NullValue = classOf<null>('null', null);
export const UndefinedValue = classOf<undefined>('undefined', undefined);
