// What a task says of one document: its text, choices and target, by lm-evaluation-harness's rules for field names,
// templates and processors. Does not own requests (requests.ts).
import { RelufyError, show } from '@relufy/tensor';
import { type Doc, processor } from './processors.js';
import { FunctionName, type TaskConfig } from './task-file.js';
import { literalValue, pythonText, renderTemplate } from './template.js';

/** A text; or a number where the text is a choice of the document (winogrande). */
export function docText(task: TaskConfig, doc: Doc, given = task.doc_to_text): string | number {
  const where = `${task.task} "doc_to_text"`;
  if (given instanceof FunctionName) return textOrNumber(where, processor(where, given.name, 'value')(doc));
  if (typeof given === 'number') return given;
  if (given in doc) return textOrNumber(where, doc[given]);
  const text = renderTemplate(where, given, doc);
  return task.doc_to_choice != null && /^\d+$/.test(text) ? Number(text) : text;
}

export function docChoices(task: TaskConfig, doc: Doc): string[] {
  const where = `${task.task} "doc_to_choice"`;
  const given = task.doc_to_choice;
  let choices: unknown = given;
  if (given instanceof FunctionName) choices = processor(where, given.name, 'value')(doc);
  else if (typeof given === 'string')
    choices = given in doc ? doc[given] : literalValue(renderTemplate(where, given, doc));
  if (typeof choices === 'object' && choices !== null && !Array.isArray(choices)) choices = Object.values(choices);
  if (Array.isArray(choices) && choices.length > 0 && choices.every(isPlain)) return choices.map(pythonText);
  throw new RelufyError(
    'input',
    `${where}: expected a list of texts for ${show(doc)}, got ${show(choices)}. Correct the task file or the data.`,
  );
}

/** What a choice can be: it is asked for as Python prints it. */
const isPlain = (value: unknown): boolean => ['string', 'number', 'boolean'].includes(typeof value);

/** The question of a document: a text, or the choice that it names by number. */
export function docQuestion(task: TaskConfig, doc: Doc): string {
  const text = docText(task, doc);
  if (typeof text === 'string') return text;
  if (task.doc_to_choice == null) return pythonText(text);
  const choices = docChoices(task, doc);
  const chosen = choices[text];
  if (chosen !== undefined) return chosen;
  throw new RelufyError(
    'input',
    `${task.task} "doc_to_text": expected a text, or the number of one of ${choices.length} choices, got ${text}. Digits alone name a choice: put a word beside them, or correct the data.`,
  );
}

/** The answer of a solved document: its target's text. Choices are counted as Python counts them, -1 being the last. */
export function docAnswer(task: TaskConfig, doc: Doc): string {
  const target = docTarget(task, doc);
  if (typeof target !== 'number' || task.doc_to_choice == null)
    return pythonText(Array.isArray(target) ? target[0] : target);
  const choices = docChoices(task, doc);
  const chosen = choices.at(target);
  if (Number.isInteger(target) && Math.abs(target) <= choices.length && chosen !== undefined) return chosen;
  throw new RelufyError(
    'input',
    `${task.task} "doc_to_target": expected the number of one of ${choices.length} choices, got ${target} for ${show(doc)}. Correct the task file or the data.`,
  );
}

/** A text, the number of a choice, or several of these. */
export function docTarget(
  task: TaskConfig,
  doc: Doc,
  given = task.doc_to_target,
): string | number | readonly unknown[] {
  const where = `${task.task} "doc_to_target"`;
  const asTarget = (value: unknown) => (Array.isArray(value) ? value : textOrNumber(where, value));
  if (given instanceof FunctionName) return asTarget(processor(where, given.name, 'value')(doc));
  if (typeof given !== 'string') return given;
  if (given in doc) return asTarget(doc[given]);
  const text = renderTemplate(where, given, doc);
  if (task.doc_to_choice != null && /^\d+$/.test(text)) return Number(text);
  const value = /^\[.*\]$/s.test(text) ? literalValue(text) : undefined;
  return Array.isArray(value) ? value : text;
}

function textOrNumber(where: string, value: unknown): string | number {
  if (typeof value === 'string' || typeof value === 'number') return value;
  if (typeof value === 'boolean') return Number(value);
  throw new RelufyError(
    'input',
    `${where}: expected a text or a number, got ${show(value)}. Correct the task file or the data.`,
  );
}
