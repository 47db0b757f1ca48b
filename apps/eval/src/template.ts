// Jinja templates of task files, rendered as lm-evaluation-harness renders them: by jinja2 with strict names and a kept
// last newline, in which values print as Python's. The language is @relufy/tokenizer/jinja.
// Does not own which keys of a task are templates (task-values.ts).
import { RelufyError, show, showNames } from '@relufy/tensor';
import { compileTemplate, parseLiteral, pythonText, type Template, taskSurroundings } from '@relufy/tokenizer/jinja';

export { pythonText };

function compile(where: string, source: string): Template {
  try {
    return compileTemplate(source, taskSurroundings);
  } catch (error) {
    throw new RelufyError(
      'option',
      `${where}: expected a Jinja template, got ${show(source)} (${(error as Error).message}). Correct the task file.`,
      { cause: error },
    );
  }
}

/** The text that a template renders to over the fields of a document. */
export function renderTemplate(where: string, source: string, fields: Readonly<Record<string, unknown>>): string {
  if (!/\{[{%#]/.test(source)) return source;
  const template = compile(where, source);
  try {
    return template(fields);
  } catch (error) {
    throw new RelufyError(
      'input',
      `${where}: ${(error as Error).message} in ${show(source)}, over the fields ${showNames(Object.keys(fields))}. Correct the task file or the data.`,
      { cause: error },
    );
  }
}

/** The value that a text spells out in Python, or undefined: `['a', 'b']`, `{'x': 1}`. */
export function literalValue(text: string): unknown {
  try {
    return parseLiteral(text);
  } catch {
    return undefined;
  }
}
