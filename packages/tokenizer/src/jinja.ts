// Chat templates: parsed once by @huggingface/jinja, and run in the surroundings that transformers gives its templates.
// The library is put right in jinja-source.ts (whitespace) and jinja-interpreter.ts (Python's meaning).
// Knows nothing of messages or models.
import { withTemplateBudget } from './jinja-budget.js';
import { markOutputs, PythonInterpreter } from './jinja-interpreter.js';
import {
  Environment,
  FunctionValue,
  type Node,
  ObjectValue,
  parseTemplate,
  type Scope,
  type Value,
} from './jinja-library.js';
import { plainTags } from './jinja-source.js';
import { isArray, isMapping, isString, str } from './jinja-values.js';
import { strftime } from './strftime.js';

/** What `raise_exception` in a template throws. */
export class TemplateError extends Error {}

const compiled = new Map<string, Node>();
const COMPILED_TEMPLATES = 64;

/** Throws a SyntaxError for a malformed template. */
export function compileTemplate(source: string): (variables: Record<string, unknown>) => string {
  let program = compiled.get(source);
  if (program === undefined) {
    program = markOutputs(parseTemplate(plainTags(source)));
    if (compiled.size >= COMPILED_TEMPLATES) compiled.clear();
    compiled.set(source, program);
  }
  const ready = program;
  return (variables) => {
    const scope = new Environment(globalScope());
    // A variable may have the name of a global, which the library would refuse to declare again.
    for (const [name, value] of Object.entries(variables)) {
      if (value === undefined) continue; // an option that was left open
      scope.setVariable(name, new Environment().set('value', value));
    }
    return withTemplateBudget(source.length, () => str(new PythonInterpreter(scope).run(ready)));
  };
}

function globalScope(): Scope {
  const scope = new Environment();
  for (const [name, value] of [
    ['true', true],
    ['false', false],
    ['none', null],
  ] as const) {
    scope.set(name, value);
    scope.set(`${name[0]!.toUpperCase()}${name.slice(1)}`, value);
  }
  scope.set('range', range);
  scope.set('strftime_now', (format: unknown) => strftime(new Date(), String(format)));
  scope.setVariable('raise_exception', new FunctionValue(([message]) => raiseException(message)));
  scope.setVariable('dict', new FunctionValue(dict));
  return scope;
}

function raiseException(message: Value | undefined): never {
  throw new TemplateError(message === undefined ? 'without a reason' : str(message));
}

const LONGEST_RANGE = 100_000; // jinja2's sandbox

function range(...bounds: number[]): number[] {
  const [start, stop, step] = bounds.length === 1 ? [0, bounds[0]!, 1] : [bounds[0]!, bounds[1]!, bounds[2] ?? 1];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= LONGEST_RANGE)) throw new Error(`range(${bounds.join(', ')}) is too long`);
  return Array.from({ length }, (_, i) => start + i * step);
}

/** `dict(mapping_or_pairs, key=value)`. */
function dict(args: readonly Value[]): Value {
  const entries = new Map<string, Value>();
  for (const source of args) {
    if (isMapping(source) || source.type === 'KeywordArgumentsValue') {
      for (const [key, value] of source.value as Map<string, Value>) entries.set(key, value);
    } else if (isArray(source)) {
      for (const pair of source.value) {
        if (!isArray(pair) || pair.value.length !== 2 || !isString(pair.value[0]!))
          throw new Error('dict() needs pairs');
        entries.set(pair.value[0].value, pair.value[1]!);
      }
    }
  }
  return new ObjectValue(entries);
}
