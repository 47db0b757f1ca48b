// What a message of a chat may hold, checked before a template sees it, and the forms that its content and the arguments
// of its tool calls take there. Rendering is chat.ts.
import { RelufyError, show } from '@relufy/tensor';
import { JsonText, Parts } from './jinja/chat-values.js';
import { toPython } from './jinja/convert.js';
import { parsePythonJson } from './jinja/json-floats.js';
import { Dict, type Value } from './jinja/values.js';
import { isObject } from './json.js';

const roles = ['system', 'developer', 'user', 'assistant', 'tool', 'function', 'ipython', 'model'] as const;

/** Who speaks. A template may know others by name; they are taken too, where the type is put aside. */
export type ChatRole = (typeof roles)[number];

/** A part of a content. Templates of models for text take parts of type `text`. */
export interface ContentPart {
  readonly type?: string | undefined;
  readonly text?: string | undefined;
  readonly [key: string]: unknown;
}

export interface ToolCall {
  readonly id?: string | undefined;
  readonly type?: string | undefined;
  /** Arguments as an object, or as the JSON that a model wrote. */
  readonly function?:
    | { readonly name: string; readonly arguments?: unknown; readonly [key: string]: unknown }
    | undefined;
  readonly [key: string]: unknown;
}

/** One turn. Keys that are null are left out, as in transformers. */
export interface ChatMessage {
  readonly role: ChatRole;
  /** A text, or parts whose texts are put together where the template takes a text. */
  readonly content?: string | readonly ContentPart[] | null | undefined;
  /** Who this is among several of one role. */
  readonly name?: string | null | undefined;
  readonly tool_calls?: readonly ToolCall[] | null | undefined;
  readonly tool_call_id?: string | null | undefined;
  readonly function_call?: unknown;
  /** What a model thought before it answered; templates read it under any of these names. */
  readonly reasoning_content?: string | null | undefined;
  readonly reasoning?: string | null | undefined;
  readonly thinking?: string | null | undefined;
  /** Parts of answers of other programs, which templates do without. */
  readonly refusal?: unknown;
  readonly annotations?: unknown;
  readonly audio?: unknown;
  readonly id?: unknown;
}

const keys: Readonly<Record<keyof ChatMessage, true>> = {
  role: true,
  content: true,
  name: true,
  tool_calls: true,
  tool_call_id: true,
  function_call: true,
  reasoning_content: true,
  reasoning: true,
  thinking: true,
  refusal: true,
  annotations: true,
  audio: true,
  id: true,
};

export type Message = Record<string, unknown>;

/** Fresh copies without what is null. `words` are those that the template spells out: it may know more roles and keys. */
export function checkMessages(where: string, messages: readonly ChatMessage[], words: ReadonlySet<string>): Message[] {
  const bad = (at: string, expected: string, got: unknown, remedy: string): RelufyError =>
    new RelufyError('input', `${where}: ${at}: expected ${expected}, got ${show(got)}. ${remedy}`);
  if (!Array.isArray(messages)) throw bad('messages', 'a list', messages, 'Pass a list of { role, content }.');
  return messages.map((message: unknown, i) => {
    const at = `messages[${i}]`;
    if (!isObject(message)) throw bad(at, 'an object', message, 'Pass { role, content }.');
    const { role, content } = message;
    if (typeof role !== 'string') throw bad(`${at}.role`, 'a string', role, 'Name who speaks, for example "user".');
    if (!roles.some((known) => known === role) && !words.has(role))
      throw bad(`${at}.role`, `${roles.join(', ')} or a role that the chat template names`, role, 'Correct it.');
    for (const key of Object.keys(message)) {
      if (Object.hasOwn(keys, key) || words.has(key)) continue;
      const known =
        'role, content, name, tool_calls, tool_call_id, reasoning_content or a key that the chat template reads';
      throw bad(at, known, key, 'Correct the key, or leave it out.');
    }
    if (content !== undefined && content !== null && typeof content !== 'string' && !Array.isArray(content))
      throw bad(`${at}.content`, 'a string or a list of parts', content, 'Pass the text as a string.');
    if (Array.isArray(content)) {
      for (const [part, given] of content.entries())
        if (
          !isObject(given) ||
          (textOfPart(given) === undefined && (typeof given.type !== 'string' || given.type === 'text'))
        )
          throw bad(
            `${at}.content[${part}]`,
            'a part such as { type: "text", text }',
            given,
            'Pass the text in "text".',
          );
    }
    return aliasReasoning(
      Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null && value !== undefined)),
    );
  });
}

/** Templates read a message's reasoning under different names; transformers gives it under these two. */
function aliasReasoning(message: Message): Message {
  const reasoning = message.reasoning_content ?? message.thinking ?? message.reasoning;
  return reasoning === undefined ? message : { thinking: reasoning, ...message, reasoning_content: reasoning };
}

const textTypes = [undefined, null, 'text', 'input_text', 'output_text'];

/** The text of a part of a content, or undefined for an image and the like. */
export function textOfPart(part: unknown): string | undefined {
  return isObject(part) && typeof part.text === 'string' && textTypes.some((type) => type === part.type)
    ? part.text
    : undefined;
}

export interface PreparedMessages {
  readonly messages: readonly Message[];
  /** Whether any content came in parts. */
  readonly inParts: boolean;
  /** After a rendering: turns the contents whose parts no one looked at into texts. Whether there were any. */
  joinUntaken(): boolean;
}

export function prepareMessages(where: string, chat: readonly Message[]): PreparedMessages {
  const messages = chat.map((message) => {
    const prepared = { ...message };
    if (Array.isArray(message.tool_calls)) prepared.tool_calls = message.tool_calls.map(readArguments);
    if (isObject(message.function_call)) prepared.function_call = readArguments(message.function_call);
    if (Array.isArray(message.content)) {
      const text = message.content.map((part: unknown) => textOfPart(part) ?? '').join('');
      prepared.content = new Parts(text, toPython(message.content) as Value[]);
    }
    return prepared;
  });
  const joinUntaken = (): boolean => {
    let joined = false;
    messages.forEach((message, i) => {
      const { content } = message;
      if (!(content instanceof Parts) || content.taken) return;
      const parts = chat[i]!.content as readonly unknown[];
      const other = parts.findIndex((part) => textOfPart(part) === undefined);
      if (other >= 0)
        throw new RelufyError(
          'input',
          `${where}: messages[${i}].content[${other}]: expected text, which is all that the chat template takes, got ${show(parts[other])}. Leave it out.`,
        );
      message.content = content.text;
      joined = true;
    });
    return joined;
  };
  return { messages, inParts: messages.some(({ content }) => content instanceof Parts), joinUntaken };
}

/** Arguments that are JSON of an object become a text that has its members too. */
function readArguments(call: unknown): unknown {
  if (!isObject(call)) return call;
  const inner = isObject(call.function) ? { ...call, function: readArguments(call.function) } : call;
  if (typeof call.arguments !== 'string') return inner;
  try {
    const parsed = toPython(parsePythonJson(call.arguments));
    return parsed instanceof Dict ? { ...inner, arguments: new JsonText(call.arguments, parsed) } : inner;
  } catch {
    return inner; // not JSON: the template gets the text as the model wrote it
  }
}
