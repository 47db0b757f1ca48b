// Rendering a chat with a Jinja template, in the surroundings that transformers gives its templates.
// Jinja itself is @huggingface/jinja; where it differs from Python's jinja2 is put right in jinja.ts.
// Which template is used is decided in chat-templates.ts.
import { RelufyError, show } from '@relufy/tensor';
import { type ChatRole, checkRoles } from './chat-roles.js';
import { type ChatTemplates, chooseTemplate } from './chat-templates.js';
import { compileTemplate, TemplateError } from './jinja/template.js';
import { isObject, type JsonObject, reason } from './json.js';

/** One turn. Templates may read other keys too, for example `tool_calls`. */
export interface ChatMessage {
  /** Another one that a template names is taken too. */
  readonly role: ChatRole;
  /** Most templates need a string; some take a list of parts. */
  readonly content?: unknown;
  readonly [key: string]: unknown;
}

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
  const { addGenerationPrompt, continueFinalMessage, template, tools, documents, ...variables } = options;
  const where = `tokenizer ${show(name)}`;
  const chat = checkMessages(where, messages);
  if (continueFinalMessage === true && addGenerationPrompt === true) {
    throw new RelufyError(
      'option',
      `${where}: addGenerationPrompt and continueFinalMessage exclude each other. Pass one.`,
    );
  }
  const source = chooseTemplate(name, templates, template, tools !== undefined);
  checkRoles(where, chat, source);
  const final = continueFinalMessage === true ? openFinalMessage(where, chat) : undefined;
  const text = render(where, source, {
    ...roles,
    ...variables,
    messages: chat,
    tools: tools ?? null,
    documents: documents ?? null,
    add_generation_prompt: addGenerationPrompt ?? false,
  });
  return final === undefined ? text : cutAtOpenEnd(where, text, final);
}

function render(where: string, source: string, variables: Record<string, unknown>): string {
  let run: (variables: Record<string, unknown>) => string;
  try {
    run = compileTemplate(source);
  } catch (error) {
    const what = `the chat template is not valid Jinja (${reason(error)})`;
    throw new RelufyError('tokenizer', `${where}: ${what}. Correct it or pass another as "template".`, {
      cause: error,
    });
  }
  try {
    return run(variables);
  } catch (error) {
    if (error instanceof TemplateError) {
      const what = `the chat template refuses the messages (${error.message})`;
      throw new RelufyError('input', `${where}: ${what}. Change the messages.`, { cause: error });
    }
    const what = `the chat template failed on these messages (${reason(error)})`;
    throw new RelufyError(
      'input',
      `${where}: ${what}. Check that every message has what it reads, or pass another as "template".`,
      {
        cause: error,
      },
    );
  }
}

/** Fresh, plain copies, with the arguments of tool calls parsed, as templates expect objects there. */
function checkMessages(where: string, messages: readonly ChatMessage[]): Record<string, unknown>[] {
  const bad = (at: string, expected: string, got: unknown, remedy: string): RelufyError =>
    new RelufyError('input', `${where}: ${at}: expected ${expected}, got ${show(got)}. ${remedy}`);
  if (!Array.isArray(messages)) throw bad('messages', 'a list', messages, 'Pass a list of { role, content }.');
  return messages.map((message: unknown, i) => {
    if (!isObject(message)) throw bad(`messages[${i}]`, 'an object', message, 'Pass { role, content }.');
    if (typeof message.role !== 'string') {
      throw bad(`messages[${i}].role`, 'a string', message.role, 'Name who speaks, for example "user".');
    }
    const { content } = message;
    if (content !== undefined && content !== null && typeof content !== 'string' && !Array.isArray(content)) {
      throw bad(`messages[${i}].content`, 'a string or a list of parts', content, 'Pass the text as a string.');
    }
    const calls = message.tool_calls;
    const copy = aliasReasoning(message);
    return Array.isArray(calls) ? { ...copy, tool_calls: calls.map(parseArguments) } : copy;
  });
}

/** Templates read a message's reasoning under different names; transformers gives it under these two. */
function aliasReasoning(message: JsonObject): Record<string, unknown> {
  const reasoning = message.reasoning_content ?? message.thinking ?? message.reasoning;
  if (reasoning === undefined || reasoning === null) return { ...message };
  return { thinking: reasoning, ...message, reasoning_content: reasoning };
}

function parseArguments(call: unknown): unknown {
  if (!isObject(call) || !isObject(call.function) || typeof call.function.arguments !== 'string') return call;
  try {
    const parsed: unknown = JSON.parse(call.function.arguments);
    return isObject(parsed) ? { ...call, function: { ...call.function, arguments: parsed } } : call;
  } catch {
    return call; // not JSON: the template gets the text as the model wrote it
  }
}

const hasText = (part: unknown): boolean => isObject(part) && typeof part.text === 'string';

/** Marks where the last message's text ends, in its copy, and returns that text. */
function openFinalMessage(where: string, chat: Record<string, unknown>[]): string {
  const last = chat.at(-1);
  const content = last?.content;
  if (last !== undefined && typeof content === 'string') {
    last.content = content + openEnd;
    return content;
  }
  if (last !== undefined && Array.isArray(content)) {
    const at = content.map(hasText).lastIndexOf(true);
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
  if (at < 0 || !text.includes(final.trim())) {
    throw new RelufyError(
      'input',
      `${where}: continueFinalMessage: the chat template leaves the last message out. Continue another message.`,
    );
  }
  const before = text.slice(0, at);
  // A template that trims messages has eaten the blank after the mark, and would have eaten the one before it.
  return text.startsWith(openEnd, at) ? before : before.trimEnd();
}
