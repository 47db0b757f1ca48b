// The examples before a question: which ones (lm-evaluation-harness's samplers, drawn as Python draws them) and how they
// are put together. Does not own the question itself (requests.ts).
import { RelufyError, show } from '@relufy/tensor';
import type { Doc } from './processors.js';
import { PythonRandom } from './python-random.js';
import { evaluatedSplit, fewshotSplit } from './task-data.js';
import type { TaskConfig } from './task-file.js';
import { docAnswer, docQuestion, docTarget } from './task-values.js';
import { renderTemplate } from './template.js';

/** The seed of lm-evaluation-harness. */
export const defaultFewshotSeed = 1234;

/** Gives the text before each document's question; call it once a document, in order: a sampler draws on. */
export type FewshotContext = (doc: Doc) => string;

export function fewshotContext(task: TaskConfig, docs: readonly Doc[], count: number, seed: number): FewshotContext {
  const describe = (doc: Doc) => renderTemplate(`${task.task} "description"`, task.description, doc);
  if (count === 0) return describe;
  // the document itself may be among those drawn
  const drawn = fewshotSplit(task) === evaluatedSplit(task) ? count + 1 : count;
  if (docs.length < drawn)
    throw new RelufyError(
      'input',
      `${task.task}: expected at least ${drawn} documents for ${count} few-shot examples, got ${docs.length}. Use fewer.`,
    );
  const random = new PythonRandom(seed);
  const draw = (): readonly Doc[] => {
    switch (task.fewshot_config?.sampler ?? 'default') {
      case 'default':
        return random.sample(docs, drawn);
      case 'first_n':
        return docs.slice(0, drawn);
      default:
        throw new RelufyError(
          'option',
          `${task.task} "fewshot_config.sampler": expected default or first_n, got ${show(task.fewshot_config?.sampler)}. Correct the task file.`,
        );
    }
  };
  const examples = new Map<Doc, string>();
  return (doc) => {
    const own = JSON.stringify(doc);
    const chosen = draw().filter((example) => example !== doc && JSON.stringify(example) !== own);
    const texts = chosen.slice(0, count).map((example) => {
      const text = examples.get(example) ?? exampleText(task, example);
      examples.set(example, text);
      return text;
    });
    return describe(doc) + texts.join('');
  };
}

/** A solved example with the delimiter after it. */
function exampleText(task: TaskConfig, doc: Doc): string {
  const question = docQuestion(task, doc);
  if (docTarget(task, doc) === '') return question;
  return question + task.target_delimiter + docAnswer(task, doc) + task.fewshot_delimiter;
}
