// What lm-evaluation-harness writes in Python beside its YAML: the functions behind `!function name`, by name. A task file
// may use any of them. Does not own templates (template.ts).
import { RelufyError, show, showNames } from '@relufy/tensor';

export type Doc = Readonly<Record<string, unknown>>;

/** Metric -> what a document adds to it; what aggregation takes. */
export type DocMetrics = Readonly<Record<string, unknown>>;

interface Processor {
  /** Maps the documents of a split, before anything else sees them. */
  readonly docs?: (docs: readonly Doc[]) => Doc[];
  /** doc_to_text, doc_to_target or doc_to_choice. */
  readonly value?: (doc: Doc) => unknown;
  /** The results of a document's requests -> metrics. */
  readonly results?: (doc: Doc, logprobs: readonly number[]) => DocMetrics;
}

/** A text field. */
function text(doc: Doc, key: string): string {
  const value = doc[key];
  if (typeof value === 'string') return value;
  throw new RelufyError(
    'input',
    `document: expected a text in the field "${key}", got ${show(value)} (fields ${showNames(Object.keys(doc))}). Check the data.`,
  );
}

/** Python's str.strip(): JavaScript's trim() differs in U+FEFF and U+001C to U+001F, U+0085. */
const space =
  '[\\t\\n\\v\\f\\r\\u001c-\\u001f \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const leading = new RegExp(`^${space}+`);
const isSpace = new RegExp(space);
const spaces = new RegExp(`${space}+`);

/** Not by a pattern that ends in $: it would begin anew at each space of a text that ends in none. */
export function rstrip(value: string): string {
  let end = value.length;
  while (end > 0 && isSpace.test(value[end - 1] as string)) end--;
  return value.slice(0, end);
}
export const strip = (value: string): string => rstrip(value).replace(leading, '');

/**
 * What stands between two marks, from the left, is replaced with them. Not by a pattern, which would look for the end anew
 * behind every beginning. `until`: what must not stand between them.
 */
function within(
  value: string,
  open: string,
  close: string,
  replaced: (inner: string) => string,
  until?: string,
): string {
  let out = '';
  let at = 0;
  let end = -1;
  let barrier = until === undefined ? value.length : -1;
  for (;;) {
    const start = value.indexOf(open, at);
    if (start >= 0 && end <= start) end = value.indexOf(close, start + 1);
    if (start < 0 || end < 0) return out + value.slice(at);
    if (until !== undefined && barrier < start) barrier = value.indexOf(until, start);
    if (barrier < 0) barrier = value.length;
    if (barrier < end) {
      out += value.slice(at, barrier);
      at = barrier;
      continue;
    }
    out += value.slice(at, start) + replaced(value.slice(start + 1, end));
    at = end + 1;
  }
}

// hellaswag

function hellaswagText(value: string): string {
  const titled = strip(value).replaceAll(' [title]', '. ');
  return within(titled, '[', ']', () => '', '\n').replaceAll('  ', ' ');
}

const capitalize = (value: string): string => value.slice(0, 1).toUpperCase() + value.slice(1).toLowerCase();

function hellaswagDoc(doc: Doc): Doc {
  // a copy whose texts went through this already: query, choices, gold
  if (doc.ctx_a === undefined && Array.isArray(doc.choices)) return { ...doc, label: doc.label ?? doc.gold };
  const context = `${text(doc, 'ctx_a')} ${capitalize(text(doc, 'ctx_b'))}`;
  return {
    ...doc,
    query: hellaswagText(`${text(doc, 'activity_label')}: ${context}`),
    choices: (doc.endings as string[]).map(hellaswagText),
    label: Number(doc.label),
  };
}

// arc, openbookqa

/** OLMo's copy holds the whole question and the index of the answer. */
function olmoQuestion(doc: Doc, question: string): Doc {
  const { query, choices, gold } = doc;
  if (typeof query !== 'string' || !Array.isArray(choices)) return doc;
  const label = choices.map((_, at) => String.fromCharCode(65 + at));
  return {
    ...doc,
    [question]: query.replace(/^Question: /, '').replace(/\nAnswer:$/, ''),
    choices: { text: choices, label },
    answerKey: label[Number(gold)],
  };
}

// winogrande

function pronoun(doc: Doc): { before: string; after: string } {
  const sentence = text(doc, 'sentence');
  const at = sentence.indexOf('_');
  if (at < 0) throw new RelufyError('input', `document: expected "_" in ${show(sentence)}, got none. Check the data.`);
  return { before: sentence.slice(0, at), after: strip(sentence.slice(at + 1)) };
}

// wikitext

/** The steps and their order are lm-evaluation-harness's; its pattern with literal slashes never matches. */
function detokenizeWikitext(page: string): string {
  let value = page.replaceAll("s '", "s'");
  for (const [from, to] of [
    [' @-@ ', '-'],
    [' @,@ ', ','],
    [' @.@ ', '.'],
    [' : ', ': '],
    [' ; ', '; '],
    [' . ', '. '],
    [' ! ', '! '],
    [' ? ', '? '],
    [' , ', ', '],
  ] as const)
    value = value.replaceAll(from, to);
  for (const [open, close] of ['()', '[]', '{}', '""', "''"] as const)
    value = within(value, open as string, close as string, (inner) => `${open}${strip(inner)}${close}`);
  for (const [from, to] of [
    ['= = = =', '===='],
    ['= = =', '==='],
    ['= =', '=='],
    [' \u00b0 ', '\u00b0'],
    [' \n', '\n'],
    ['\n ', '\n'],
    [' N ', ' 1 '],
    [" 's", "'s"],
  ] as const)
    value = value.replaceAll(from, to);
  return value;
}

/** Words and bytes are those of the page before detokenising. */
function wikitextResults(doc: Doc, [logprob]: readonly number[]): DocMetrics {
  const page = text(doc, 'page');
  const words = page.split(spaces).length;
  const bytes = new TextEncoder().encode(page).length;
  return {
    word_perplexity: [logprob, words],
    byte_perplexity: [logprob, bytes],
    bits_per_byte: [logprob, bytes],
  };
}

/** wiki.test.raw, where a page begins with ` = Title = `, as one document a page. */
function wikitextPages(docs: readonly Doc[]): Doc[] {
  if (docs.some((doc) => doc.page !== undefined)) return [...docs];
  const pages: string[] = [];
  for (const line of docs.flatMap((doc) => text(doc, 'text').split(/(?<=\n)/))) {
    if (/^ = [^=].*[^=] = \n?$/.test(line) || pages.length === 0) pages.push('');
    pages[pages.length - 1] += line;
  }
  return pages.filter((page) => strip(page) !== '').map((page) => ({ page }));
}

// the others

const copaConnectors: Readonly<Record<string, string>> = { cause: 'because', effect: 'therefore' };

const processors: Readonly<Record<string, Processor>> = {
  'hellaswag.process_docs': { docs: (docs) => docs.map(hellaswagDoc) },
  'arc.process_docs': { docs: (docs) => docs.map((doc) => olmoQuestion(doc, 'question')) },
  'openbookqa.process_docs': { docs: (docs) => docs.map((doc) => olmoQuestion(doc, 'question_stem')) },
  'winogrande.doc_to_text': { value: (doc) => ({ 1: 0, 2: 1 })[text(doc, 'answer') as '1' | '2'] },
  'winogrande.doc_to_target': { value: (doc) => pronoun(doc).after },
  'winogrande.doc_to_choice': {
    value: (doc) => [text(doc, 'option1'), text(doc, 'option2')].map((option) => pronoun(doc).before + option),
  },
  'copa.doc_to_text': {
    value: (doc) => `${strip(text(doc, 'premise')).slice(0, -1)} ${copaConnectors[text(doc, 'question')]}`,
  },
  // the original file says true and false where SuperGLUE says 1 and 0
  'boolq.process_docs': { docs: (docs) => docs.map((doc) => ({ ...doc, label: doc.label ?? Number(doc.answer) })) },
  'mmlu.process_docs': {
    docs: (docs) =>
      docs.map((doc) =>
        Array.isArray(doc.choices)
          ? doc
          : {
              question: text(doc, 'column0'),
              choices: [1, 2, 3, 4].map((at) => text(doc, `column${at}`)),
              answer: 'ABCD'.indexOf(text(doc, 'column5')),
            },
      ),
  },
  'wikitext.process_docs': { docs: wikitextPages },
  'wikitext.detokenizer': { value: (doc) => detokenizeWikitext(text(doc, 'page')) },
  'wikitext.process_results': { results: wikitextResults },
};

/** How lm-evaluation-harness's own files name the same functions. */
const aliases: Readonly<Record<string, string>> = {
  'preprocess_winogrande.doc_to_text': 'winogrande.doc_to_text',
  'preprocess_winogrande.doc_to_target': 'winogrande.doc_to_target',
  'preprocess_winogrande.doc_to_choice': 'winogrande.doc_to_choice',
  'preprocess_wikitext.wikitext_detokenizer': 'wikitext.detokenizer',
  'preprocess_wikitext.process_results': 'wikitext.process_results',
};

/** @throws RelufyError `option` when there is no such processor, or it is of another kind. */
export function processor<Kind extends keyof Processor>(
  where: string,
  name: string,
  kind: Kind,
): NonNullable<Processor[Kind]> {
  const found = processors[aliases[name] ?? name]?.[kind];
  if (found) return found as NonNullable<Processor[Kind]>;
  const known = Object.keys(processors).filter((key) => processors[key]?.[kind]);
  throw new RelufyError(
    'option',
    `${where}: expected one of ${known.join(', ')} behind !function, got ${show(name)}. Python beside a task cannot be run; write a Jinja template, or use one of these.`,
  );
}
