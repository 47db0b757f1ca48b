// The formats in which models call tools and set their reasoning apart, for models whose tokenizer config has no response
// template: written as such templates, and chosen by what the chat template spells out. Does not own reading an answer.
import type { Tokenizer } from '@relufy/tokenizer';
import { type ResponseTemplate, readResponseTemplate } from './response-template.js';

/** What opens an assistant's turn, in the chat templates that there are. */
const turns = [
  '<|im_start|>assistant',
  '<|start_header_id|>assistant<|end_header_id|>',
  '<|assistant|>',
  '<start_of_turn>model',
  '[/INST]',
  '<｜Assistant｜>',
];
const thoughts = { open: '<think>', close: '</think>' };
const base = { start_anchor: turns, fields: { content: {}, reasoning_content: thoughts } };
const withCalls = (calls: object, more: object = {}) =>
  readResponseTemplate({ ...base, ...more, fields: { ...base.fields, tool_calls: { repeats: true, ...calls } } });

export type FormatName = 'hermes' | 'llama' | 'mistral';

const formats: Readonly<Record<FormatName, ResponseTemplate>> = {
  // Hermes, Qwen 2.5 and 3, and many after them
  hermes: withCalls({ open: '<tool_call>', close: '</tool_call>', content: 'json-sequence' }),
  // Llama 3.1 and after: the message is the call
  llama: withCalls({
    open_pattern: '<\\|python_tag\\|>|(?=\\{\\s*"(?:name|type|function)"\\s*:)',
    beginnings: ['<|python_tag|>', '{'],
    patience: 40,
    content: 'json-sequence',
  }),
  mistral: withCalls({ open: '[TOOL_CALLS]', content: 'mistral-calls' }, { marks: ['[ARGS]', '[CALL_ID]'] }),
};

export interface Format {
  readonly template: ResponseTemplate;
  /** How calls are written; undefined: by the model's own response template. */
  readonly calls: FormatName | undefined;
  /** The chat template shows the model its tools; else somebody has to. */
  readonly knowsTools: boolean;
  /** The model may think aloud before it answers. */
  readonly thinks: boolean;
}

const known = new WeakMap<Tokenizer, Format>();

export function formatOf(tokenizer: Tokenizer): Format {
  let format = known.get(tokenizer);
  if (format === undefined) {
    format = chosen(tokenizer);
    known.set(tokenizer, format);
  }
  return format;
}

function chosen(tokenizer: Tokenizer): Format {
  const text = [...tokenizer.chatTemplates.values()].join('\n');
  const knowsTools = /\btools\b/.test(text);
  const thinks = text.includes('</think>') || text.includes('<think>');
  if (tokenizer.responseTemplate !== undefined) {
    try {
      const template = readResponseTemplate(tokenizer.responseTemplate);
      return { template, calls: isHermes(template) ? 'hermes' : undefined, knowsTools, thinks: true };
    } catch {
      // one that we cannot run: the format is known by other signs
    }
  }
  const calls: FormatName = text.includes('[TOOL_CALLS]')
    ? 'mistral'
    : !text.includes('<tool_call>') &&
        (text.includes('<|python_tag|>') || /<\|start_header_id\|>/.test(text)) &&
        knowsTools
      ? 'llama'
      : 'hermes';
  return { template: formats[calls], calls, knowsTools, thinks };
}

/** Calls are read as Hermes writes them, so a model may be held to that. */
function isHermes({ regions }: ResponseTemplate): boolean {
  const { open, close, transform } = regions.find(({ name }) => name === 'tool_calls') ?? {};
  const told = JSON.stringify(transform) ?? '';
  return (
    open?.texts.includes('<tool_call>') === true &&
    close?.texts.includes('</tool_call>') === true &&
    ['{content.name}', '{content.arguments}'].every((part) => told.includes(part))
  );
}

/** Ids of the special tokens among a template's marks, which a text is written without. */
export function marksOf(tokenizer: Tokenizer, { regions, marks }: ResponseTemplate): ReadonlyMap<number, string> {
  const texts = regions
    .flatMap(({ open, close }) => [open, close])
    .flatMap((mark) => (mark === undefined ? [] : [...mark.texts, mark.pattern?.source.replaceAll('\\', '') ?? '']));
  return new Map(
    [...tokenizer.specialIds].flatMap((id) => {
      const token = tokenizer.idToToken(id);
      return token !== undefined && token !== '' && [...texts, ...marks].some((text) => text.includes(token))
        ? [[id, token] as const]
        : [];
    }),
  );
}

/** What tells a call from a text from its first character on; empty where nothing does. */
export const callMark = (name: FormatName): string =>
  ({ hermes: '<tool_call>', llama: '', mistral: '[TOOL_CALLS]' })[name];

/** One of the formats by its name. */
export const formatNamed = (name: FormatName): ResponseTemplate => formats[name];
