// Jinja templates of task files, by @huggingface/jinja with what lm-evaluation-harness's templates need of Python: strict
// names, a kept last newline, `list.index(x)`. A template that is one expression gives its value and not its text.
// Does not own which keys of a task are templates (task-values.ts).
import * as library from '@huggingface/jinja';
import { RelufyError, show } from '@relufy/tensor';

/** A value while a template runs. The library's own declarations cannot be followed by NodeNext resolution. */
interface Value {
  readonly type: string;
  readonly value: unknown;
  readonly builtins: Map<string, Value>;
}

interface Node {
  readonly type: string;
  readonly body: readonly Node[];
}

interface Scope {
  set(name: string, value: unknown): Value;
}

interface Library {
  readonly Environment: new (parent?: Scope) => Scope & { resolve(name: string): Scope };
  readonly Interpreter: new (scope: Scope) => { run(program: Node): Value; evaluate(node: Node, scope: Scope): Value };
  readonly parse: (tokens: unknown) => Node;
  readonly tokenize: (source: string, options: object) => unknown;
}

const { Environment, Interpreter, parse, tokenize } = library as unknown as Library;

/** What a template asks for and the document does not have. */
class StrictScope extends Environment {
  readonly missing = new Set<string>();

  override resolve(name: string): Scope {
    // the library asks the outermost scope last
    if (!(this as unknown as { variables: Map<string, Value> }).variables.has(name)) this.missing.add(name);
    return super.resolve(name);
  }
}

const compiled = new Map<string, Node>();

function compile(where: string, source: string): Node {
  const known = compiled.get(source);
  if (known) return known;
  try {
    // the library drops one newline at the end, as Jinja does unless told otherwise
    const program = parse(tokenize(source.endsWith('\n') ? `${source}\n` : source, {}));
    compiled.set(source, program);
    return program;
  } catch (error) {
    throw new RelufyError(
      'option',
      `${where}: expected a Jinja template, got ${show(source)} (${(error as Error).message}). Correct the task file.`,
      { cause: error },
    );
  }
}

/** The value of a template over the fields of a document; a text unless the template is a single expression. */
export function evaluateTemplate(where: string, source: string, fields: Readonly<Record<string, unknown>>): unknown {
  if (!/\{[{%#]/.test(source)) return source;
  const program = compile(where, source);
  const scope = new StrictScope();
  for (const [name, value] of [
    ['True', true],
    ['False', false],
    ['None', null],
    ['true', true],
    ['false', false],
    ['none', null],
  ] as const)
    scope.set(name, value);
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) pythonic(scope.set(name, value));
  let result: unknown;
  try {
    const interpreter = new Interpreter(scope);
    const only = program.body.length === 1 ? program.body[0] : undefined;
    result = plain(only ? interpreter.evaluate(only, scope) : interpreter.run(program));
  } catch (error) {
    throw new RelufyError(
      'input',
      `${where}: ${(error as Error).message} in ${show(source)}. Correct the task file or the data.`,
      { cause: error },
    );
  }
  if (scope.missing.size > 0 && !/is\s+(not\s+)?defined|default\(/.test(source))
    throw new RelufyError(
      'input',
      `${where}: expected a field ${show([...scope.missing][0])}, which ${show(source)} names, got ${Object.keys(fields).join(', ')}. Correct the task file or the data.`,
    );
  return result;
}

/** The text that a template renders to. */
export function renderTemplate(where: string, source: string, fields: Readonly<Record<string, unknown>>): string {
  const value = evaluateTemplate(where, source, fields);
  if (typeof value === 'string') return value;
  return value === null || value === undefined ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value);
}

// the library does not export the classes of its values, but makes one of each when asked to convert
const FunctionValue = new Environment().set('function', () => null).constructor as unknown as new (
  call: (args: Value[]) => Value,
) => Value;

/** Adds the methods of Python's lists, in all depths. */
function pythonic(value: Value): Value {
  if (value.type === 'ArrayValue') {
    const items = value.value as Value[];
    for (const item of items) pythonic(item);
    const index = ([wanted]: Value[]) => {
      const at = items.findIndex((item) => item.value === wanted?.value);
      if (at < 0) throw new Error(`${show(wanted?.value)} is not in the list`);
      return new Environment().set('index', at);
    };
    value.builtins.set('index', new FunctionValue(index));
  } else if (value.type === 'ObjectValue') {
    for (const item of (value.value as Map<string, Value>).values()) pythonic(item);
  }
  return value;
}

function plain(value: Value): unknown {
  switch (value.type) {
    case 'ArrayValue':
    case 'TupleValue':
      return (value.value as Value[]).map(plain);
    case 'ObjectValue':
      return Object.fromEntries([...(value.value as Map<string, Value>)].map(([key, item]) => [key, plain(item)]));
    case 'UndefinedValue':
    case 'NullValue':
      return null;
    default:
      return value.value;
  }
}
