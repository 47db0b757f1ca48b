// What a document's scores are worth: acc, acc_norm, acc_bytes, perplexities, exact_match, by lm-evaluation-harness's
// definitions. Does not own means over documents (aggregation.ts).
import { RelufyError, show } from '@relufy/tensor';
import type { MetricValue } from './aggregation.js';
import { processor } from './processors.js';
import type { EvalItem } from './requests.js';
import type { TaskConfig } from './task-file.js';
import { findAll, without } from './task-patterns.js';

/** What a model said to one request. */
export interface Response {
  readonly logprob: number;
  readonly isGreedy: boolean;
  /** Scored tokens. */
  readonly tokens: number;
  /** Of a generation. */
  readonly text?: string;
}

export type ItemMetrics = Readonly<Record<string, MetricValue>>;

const utf8 = new TextEncoder();

/** Python's re.split(r'\s+', text): empty edges count. */
const wordCount = (text: string): number => text.split(/\s+/).length;

export function itemMetrics(task: TaskConfig, item: EvalItem, responses: readonly Response[]): ItemMetrics {
  const first = responses[0] as Response;
  switch (task.output_type) {
    case 'multiple_choice':
      return choiceMetrics(item, responses);
    case 'loglikelihood':
      return { perplexity: first.logprob, acc: Number(first.isGreedy) };
    case 'loglikelihood_rolling': {
      const text = String(item.target);
      const bytes = utf8.encode(text).length;
      const own = task.process_results
        ? (processor(
            `${task.task} "process_results"`,
            task.process_results.name,
            'results',
          )(
            item.doc,
            responses.map(({ logprob }) => logprob),
          ) as ItemMetrics)
        : {
            word_perplexity: [first.logprob, wordCount(text)] as const,
            byte_perplexity: [first.logprob, bytes] as const,
            bits_per_byte: [first.logprob, bytes] as const,
          };
      return { ...own, token_perplexity: [first.logprob, first.tokens] };
    }
    case 'generate_until':
      return { exact_match: exactMatch(task, item, first.text ?? '') };
  }
}

/** The first of the largest, as numpy has it. */
function argmax(values: readonly number[]): number {
  return values.reduce((best, value, at) => (value > values[best]! ? at : best), 0);
}

/** The numbers of the right choices; a label that is none of them has no number, and no answer is right for it. */
function goldsOf({ choices, target }: EvalItem): readonly (number | undefined)[] {
  return (Array.isArray(target) ? target : [target]).map((gold: unknown) => {
    const at = typeof gold === 'string' ? choices.indexOf(gold) : typeof gold === 'boolean' ? Number(gold) : gold;
    return typeof at === 'number' && at in choices ? at : undefined;
  });
}

/** What to say of documents whose label is none of their choices; undefined where there are none. */
export function labelWarning(task: TaskConfig, items: readonly EvalItem[]): string | undefined {
  if (task.output_type !== 'multiple_choice') return undefined;
  const unlabelled = items.filter((item) => {
    const golds = goldsOf(item);
    return golds.length === 0 || golds.includes(undefined);
  });
  const [first] = unlabelled;
  if (first === undefined) return undefined;
  return `${task.task}: the label of ${unlabelled.length} of ${items.length} documents is none of their choices (first in document ${first.docId}: ${show(first.target)}, of ${first.choices.length} choices). No answer to them counts as right, as in lm-evaluation-harness.`;
}

function choiceMetrics(item: EvalItem, responses: readonly Response[]): ItemMetrics {
  const { choices } = item;
  const logprobs = responses.map(({ logprob }) => logprob);
  const golds = goldsOf(item);
  const perLength = (lengthOf: (choice: string) => number) =>
    logprobs.map((logprob, at) => logprob / lengthOf(choices[at] as string));
  const right = (values: readonly number[]) => Number(golds.includes(argmax(values)));
  return {
    acc: right(logprobs),
    // in code points, as Python counts them
    acc_norm: right(perLength((choice) => [...choice].length)),
    acc_bytes: right(perLength((choice) => utf8.encode(choice).length)),
  };
}

/** After the first pipeline of filters; any of several targets counts. */
function exactMatch(task: TaskConfig, { target }: EvalItem, generated: string): number {
  const options: Readonly<Record<string, unknown>> =
    task.metric_list?.find(({ metric }) => metric === 'exact_match') ?? {};
  const normalize = (text: string): string => {
    let value = text;
    for (const pattern of [options.regexes_to_ignore ?? []].flat())
      value = without(`${task.task} "regexes_to_ignore"`, String(pattern), value);
    if (options.ignore_case === true) value = value.toLowerCase();
    if (options.ignore_punctuation === true) value = value.replaceAll(/[!-/:-@[-`{-~]/g, '');
    if (options.ignore_numbers === true) value = value.replaceAll(/[0-9]/g, '');
    return value;
  };
  const golds = (Array.isArray(target) ? target : [target]).map((gold) => normalize(String(gold)));
  return Number(golds.includes(normalize(filtered(task, generated))));
}

export function filtered(task: TaskConfig, generated: string): string {
  let text = generated;
  for (const { function: name, ...options } of task.filter_list?.[0]?.filter ?? []) {
    switch (name) {
      case 'take_first':
        break;
      case 'remove_whitespace':
        text = text.replace(/^\s+/, '');
        break;
      case 'lowercase':
        text = text.toLowerCase();
        break;
      case 'uppercase':
        text = text.toUpperCase();
        break;
      case 'regex': {
        const pattern = String(options.regex_pattern ?? '#### (\\-?[0-9\\.\\,]+)');
        const matches = findAll(`${task.task} "regex_pattern"`, pattern, text);
        const match = matches.at(Number(options.group_select ?? 0));
        text = match
          ? (match.slice(1).find((group) => group) ?? match[0]).trim()
          : String(options.fallback ?? '[invalid]');
        break;
      }
      default:
        throw new RelufyError(
          'option',
          `${task.task} "filter_list": expected take_first, remove_whitespace, lowercase, uppercase or regex, got ${show(name)}. Correct the task file.`,
        );
    }
  }
  return text;
}
