// Rendering a chat with a Jinja template, in the surroundings that transformers gives its templates.
// Jinja itself is jinja/; which template is used is chat-templates.ts; what a message may hold is messages.ts.
import { RelufyError, show } from '@relufy/tensor';
import { type ChatTemplates, chooseTemplate } from './chat-templates.js';
import { TemplateBudgetError } from './jinja/budget.js';
import { compileTemplate, type Template, TemplateError, wordsOf } from './jinja/template.js';
import { reason } from './json.js';
import { type ChatMessage, checkMessages, prepareMessages, textOfPart } from './messages.js';
import { placeOf } from './text-search.js';

export interface ChatOptions {
  /** End with what opens the assistant's turn. Default false. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** Leave the last message open, for the model to go on with it. Default false. */
  readonly continueFinalMessage?: boolean | undefined;
  /** A Jinja template, or the name of one of the model's. Default: the model's own. */
  readonly template?: string | undefined;
  /** Tools as JSON Schema objects, for templates that know them. */
  readonly tools?: readonly unknown[] | undefined;
  /** Documents for templates that know them. */
  readonly documents?: readonly unknown[] | undefined;
  /** Anything else that the template reads, under the name that it reads, for example `enable_thinking`. */
  readonly [variable: string]: unknown;
}

const openEnd = 'CONTINUE_FINAL_MESSAGE_TAG ';

export function renderChat(
  name: string,
  templates: ChatTemplates,
  messages: readonly ChatMessage[],
  options: ChatOptions,
  roles: Readonly<Record<string, string>>,
): string {
  const { addGenerationPrompt, continueFinalMessage, template, tools, documents, ...variableOptions } = options;
  const where = `tokenizer ${show(name)}`;
  const source = chooseTemplate(name, templates, template, tools !== undefined);
  const run = compile(where, source);
  const chat = checkMessages(where, messages, wordsOf(source));
  if (continueFinalMessage === true && addGenerationPrompt === true) {
    throw new RelufyError(
      'option',
      `${where}: addGenerationPrompt and continueFinalMessage exclude each other. Pass one.`,
    );
  }
  const final = continueFinalMessage === true ? openFinalMessage(where, chat) : undefined;
  const prepared = prepareMessages(where, chat);
  const variables = {
    ...roles,
    ...variableOptions,
    messages: prepared.messages,
    tools: tools ?? null,
    documents: documents ?? null,
    add_generation_prompt: addGenerationPrompt ?? false,
  };
  let text: string | undefined;
  if (prepared.inParts) {
    // Only a rendering shows whether the template looks at parts; where it does not, it gets texts and no lists.
    try {
      text = run(variables);
    } catch (error) {
      if (error instanceof TemplateBudgetError) throw failed(where, error);
    }
    if (prepared.joinUntaken()) text = undefined;
  }
  try {
    text ??= run(variables);
  } catch (error) {
    throw failed(where, error);
  }
  return final === undefined ? text : cutAtOpenEnd(where, text, final);
}

function compile(where: string, source: string): Template {
  try {
    return compileTemplate(source);
  } catch (error) {
    const what = `the chat template is not valid Jinja (${reason(error)})`;
    throw new RelufyError('tokenizer', `${where}: ${what}. Correct it or pass another as "template".`, {
      cause: error,
    });
  }
}

function failed(where: string, error: unknown): RelufyError {
  if (RelufyError.is(error)) return error;
  if (error instanceof TemplateError) {
    const what = `the chat template refuses the messages (${error.message})`;
    return new RelufyError('input', `${where}: ${what}. Change the messages.`, { cause: error });
  }
  const what = `the chat template failed on these messages (${reason(error)})`;
  const remedy = 'Check that every message has what it reads, or pass another as "template".';
  return new RelufyError('input', `${where}: ${what}. ${remedy}`, { cause: error });
}

/** Marks where the last message's text ends, in its copy, and returns that text. */
function openFinalMessage(where: string, chat: Record<string, unknown>[]): string {
  const last = chat.at(-1);
  const content = last?.content;
  if (last !== undefined && typeof content === 'string') {
    last.content = content + openEnd;
    return content;
  }
  if (last !== undefined && Array.isArray(content)) {
    const at = content.map((part: unknown) => textOfPart(part) !== undefined).lastIndexOf(true);
    if (at >= 0) {
      const part = content[at] as { text: string };
      last.content = content.map((other: unknown, i) => (i === at ? { ...part, text: part.text + openEnd } : other));
      return part.text;
    }
  }
  const got = show(content);
  throw new RelufyError(
    'input',
    `${where}: continueFinalMessage: expected a last message with text, got ${got}. Add one.`,
  );
}

function cutAtOpenEnd(where: string, text: string, final: string): string {
  const at = text.lastIndexOf(openEnd.trim());
  if (at < 0 || placeOf(text, final.trim()) < 0) {
    throw new RelufyError(
      'input',
      `${where}: continueFinalMessage: the chat template leaves the last message out. Continue another message.`,
    );
  }
  const before = text.slice(0, at);
  // A template that trims messages has eaten the blank after the mark, and would have eaten the one before it.
  return text.startsWith(openEnd, at) ? before : before.trimEnd();
}
