// From documents to what a model is asked, in lm-evaluation-harness's words: one request a choice, a continuation, a page
// or a generation. Does not own tokens (token-pairs.ts) or scores (metrics.ts).
import { RelufyError, show } from '@relufy/tensor';
import type { FewshotContext } from './few-shot.js';
import type { Doc } from './processors.js';
import type { TaskConfig } from './task-file.js';
import { docAnswer, docChoices, docQuestion, docTarget, docText } from './task-values.js';
import { pythonText } from './template.js';

export interface GenerationSettings {
  readonly until: readonly string[];
  readonly maxNewTokens: number;
  readonly temperature: number;
}

export type EvalRequest =
  | { readonly kind: 'loglikelihood'; readonly context: string; readonly continuation: string }
  | { readonly kind: 'rolling'; readonly text: string }
  | { readonly kind: 'generate'; readonly context: string; readonly settings: GenerationSettings };

/** A document, what is asked about it, and what is right. */
export interface EvalItem {
  readonly docId: number;
  readonly doc: Doc;
  readonly requests: readonly EvalRequest[];
  readonly choices: readonly string[];
  readonly target: string | number | readonly unknown[];
}

export function makeItem(task: TaskConfig, docId: number, doc: Doc, fewshot: FewshotContext): EvalItem {
  const before = fewshot(doc);
  const target = docTarget(task, doc);
  switch (task.output_type) {
    case 'multiple_choice':
      return multipleChoice(task, docId, doc, before, target);
    case 'loglikelihood': {
      const request = {
        kind: 'loglikelihood',
        context: before + docQuestion(task, doc),
        continuation: pythonText(target),
      } as const;
      return { docId, doc, requests: [request], choices: [], target };
    }
    case 'loglikelihood_rolling':
      return { docId, doc, requests: [{ kind: 'rolling', text: pythonText(target) }], choices: [], target };
    case 'generate_until': {
      const request = {
        kind: 'generate',
        context: before + docQuestion(task, doc),
        settings: settingsOf(task),
      } as const;
      const answer = typeof target === 'number' ? docAnswer(task, doc) : target;
      return { docId, doc, requests: [request], choices: [], target: answer };
    }
  }
}

function multipleChoice(
  task: TaskConfig,
  docId: number,
  doc: Doc,
  before: string,
  target: EvalItem['target'],
): EvalItem {
  const choices = docChoices(task, doc);
  const loglikelihood = (context: string, continuation: string): EvalRequest => ({
    kind: 'loglikelihood',
    context,
    continuation: task.target_delimiter + continuation,
  });
  if (task.multiple_inputs)
    // the choices are contexts, and the target is the continuation of each; doc_to_text names the right one
    return {
      docId,
      doc,
      requests: choices.map((choice) => loglikelihood(before + choice, pythonText(target))),
      choices,
      target: docText(task, doc),
    };
  const question = before + docQuestion(task, doc);
  return { docId, doc, requests: choices.map((choice) => loglikelihood(question, choice)), choices, target };
}

function settingsOf(task: TaskConfig): GenerationSettings {
  const { until, max_gen_toks: most = 256, do_sample: sampled, temperature = 0 } = task.generation_kwargs ?? {};
  const stops = until === undefined || until === null ? [task.fewshot_delimiter] : [until].flat();
  if (!stops.every((stop) => typeof stop === 'string'))
    throw new RelufyError(
      'option',
      `${task.task} "generation_kwargs.until": expected texts, got ${show(until)}. Correct the task file.`,
    );
  if (sampled === true || (typeof temperature === 'number' && temperature > 0))
    throw new RelufyError(
      'option',
      `${task.task} "generation_kwargs": expected do_sample false and temperature 0, got ${show(task.generation_kwargs)}. Sampled answers are not repeatable.`,
    );
  // an empty stop stands in tasks for models whose end of text is empty; it stops nothing
  return { until: (stops as string[]).filter((stop) => stop !== ''), maxNewTokens: Number(most), temperature: 0 };
}
