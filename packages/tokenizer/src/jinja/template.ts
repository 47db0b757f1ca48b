// Templates as Python's jinja2 3.1.6 runs them, in the two surroundings that matter here: that of transformers for
// chats, and that of lm-evaluation-harness for tasks. The language itself is the rest of this folder.

import { bind, textArgument } from './arguments.js';
import type { Rules } from './attributes.js';
import { withTemplateBudget } from './budget.js';
import { memberToPython, sizeOf } from './convert.js';
import type { Filters } from './filter-types.js';
import { pythonGlobals } from './globals.js';
import { chatJson, htmlJson } from './json-text.js';
import type { Whitespace } from './lexer.js';
import type { Statement } from './nodes.js';
import { regexFilters } from './regex-filters.js';
import { Renderer } from './render.js';
import { str } from './repr.js';
import { Scope } from './scope.js';
import { sequenceFilters } from './sequence-filters.js';
import { parseTemplate } from './statements.js';
import { strftime } from './strftime.js';
import { textFilters } from './text-filters.js';
import { Callable, type Value } from './values.js';

/** What `raise_exception` in a template throws. */
export class TemplateError extends Error {}

export interface Surroundings {
  readonly whitespace: Whitespace;
  readonly rules: Rules;
  readonly filters: Filters;
  readonly globals: (rules: Rules) => readonly [string, Value][];
}

function raiseException(message: Value | undefined): never {
  throw new TemplateError(message === undefined ? 'without a reason' : str(message));
}

/** As transformers sets jinja2 up: sandboxed, blocks on lines of their own leave nothing behind. */
export const chatSurroundings: Surroundings = {
  whitespace: { trimBlocks: true, lstripBlocks: true, keepTrailingNewline: false },
  rules: { sandboxed: true, strict: false },
  filters: { ...textFilters, ...sequenceFilters, ...chatJson },
  globals: (rules) => [
    ...pythonGlobals(rules),
    [
      'raise_exception',
      new Callable('raise_exception', (args) => raiseException(bind('raise_exception', ['message'], args)[0])),
    ],
    [
      'strftime_now',
      new Callable('strftime_now', (args) => {
        const [format] = bind('strftime_now', ['format'], args);
        return strftime(new Date(), textArgument('strftime_now', format));
      }),
    ],
  ],
};

/** As lm-evaluation-harness sets jinja2 up: names are strict, and a line end at the end stays. */
export const taskSurroundings: Surroundings = {
  whitespace: { trimBlocks: false, lstripBlocks: false, keepTrailingNewline: true },
  rules: { sandboxed: false, strict: true },
  filters: { ...textFilters, ...sequenceFilters, ...htmlJson, ...regexFilters },
  globals: pythonGlobals,
};

const spelled = new WeakMap<object, ReadonlySet<string>>();

/** The words that a template spells out: names of attributes, and texts in expressions. */
export function wordsOf(source: string, surroundings = chatSurroundings): ReadonlySet<string> {
  const program = programOf(source, surroundings);
  const known = spelled.get(program);
  if (known !== undefined) return known;
  const words = new Set<string>();
  // a sum of a hundred thousand is as deep as it is long, and calls of that depth have no stack
  const waiting: unknown[] = [program];
  while (waiting.length > 0) {
    const node = waiting.pop();
    if (typeof node !== 'object' || node === null) continue;
    const { kind, name, value } = node as Record<string, unknown>;
    if (kind === 'attribute' && typeof name === 'string') words.add(name);
    if (kind === 'const' && typeof value === 'string') words.add(value);
    for (const inner of Object.values(node)) waiting.push(inner);
  }
  spelled.set(program, words);
  return words;
}

export type Template = (variables: Readonly<Record<string, unknown>>) => string;

const COMPILED_TEMPLATES = 64;
const compiled = new Map<Surroundings, Map<string, readonly Statement[]>>();

function programOf(source: string, surroundings: Surroundings): readonly Statement[] {
  const known = compiled.get(surroundings) ?? new Map<string, readonly Statement[]>();
  compiled.set(surroundings, known);
  const program = known.get(source) ?? parseTemplate(source, surroundings.whitespace);
  if (known.size >= COMPILED_TEMPLATES) known.clear();
  known.set(source, program);
  return program;
}

/** Throws a SyntaxError for a malformed template. */
export function compileTemplate(source: string, surroundings = chatSurroundings): Template {
  const program = programOf(source, surroundings);
  return (variables) =>
    withTemplateBudget(source.length + sizeOf(variables), () => {
      const scope = new Scope();
      for (const [name, value] of surroundings.globals(surroundings.rules)) scope.set(name, value);
      for (const [name, value] of Object.entries(variables)) {
        if (value !== undefined) scope.set(name, memberToPython(variables, name, value)); // undefined: an option left open
      }
      return new Renderer(surroundings.filters, surroundings.rules).render(program, new Scope(scope));
    });
}
