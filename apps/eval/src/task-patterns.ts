// Patterns of task files: a stranger may have written them, and JavaScript's engine may never come to the end of one. They
// run with a time limit, which the engine keeps to while it goes back and forth. Node only.
// Does not own what is done with what they find (metrics.ts).
import { createContext, Script } from 'node:vm';
import { RelufyError, show } from '@relufy/tensor';

/** Of all matches in one text. */
const limitMs = 1000;

const within = createContext(Object.create(null) as Record<string, unknown>);
const script = new Script('run()');

/** All matches of a pattern. @throws RelufyError `option` for what is no pattern here, `input` when it takes too long. */
export function findAll(where: string, source: string, text: string): RegExpMatchArray[] {
  const pattern = compile(where, source);
  within.run = () => [...text.matchAll(pattern)];
  try {
    return script.runInContext(within, { timeout: limitMs }) as RegExpMatchArray[];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new RelufyError(
      'input',
      `${where}: expected the pattern ${show(source)} to end within ${limitMs} ms, got no end on a text of ${text.length} characters. Correct the task file.`,
    );
  }
}

/** The text without what the pattern finds. */
export function without(where: string, source: string, text: string): string {
  let rest = '';
  let at = 0;
  for (const match of findAll(where, source, text)) {
    rest += text.slice(at, match.index);
    at = (match.index as number) + match[0].length;
  }
  return rest + text.slice(at);
}

function compile(where: string, source: string): RegExp {
  try {
    return new RegExp(source, 'g');
  } catch (cause) {
    throw new RelufyError(
      'option',
      `${where}: expected a pattern that JavaScript can run, got ${show(source)} (${(cause as Error).message}). Correct the task file.`,
      { cause },
    );
  }
}
