// From what a request says to token ids: messages through the model's chat template, texts, lists of ids. Errors name the
// field. Does not own templates or tokenizers.
import type { ChatMessage, Model } from '@relufy/models';
import { aBoolean, anObject, anything, aText, isList, listOf, RelufyError, show } from '@relufy/tensor';
import type { ChatOptions, Tokenizer } from '@relufy/tokenizer';
import { ApiError, badField } from './api-error.js';
import type { Body } from './body.js';

/** @throws ApiError 400 for a model without one: it takes ids alone. */
export function tokenizerOf(model: Model): Tokenizer {
  if (model.tokenizer) return model.tokenizer;
  throw new ApiError(400, 'model: expected one with a tokenizer, got one without. Send token ids as the prompt.', {
    param: 'model',
    code: 'no_tokenizer',
  });
}

/** @throws ApiError 400 where an answer would have no room. */
export function checkRoom(ids: readonly number[], model: Model, param: string): readonly number[] {
  if (ids.length === 0) throw badField(param, 'at least one token', 'none');
  if (ids.length <= model.contextLength) return ids;
  throw new ApiError(
    400,
    `${param}: expected at most ${model.contextLength} tokens (the context), got ${ids.length}. Shorten it${model.contextLength < model.spec.maxPositionEmbeddings ? ', or start the server with a larger --context-length' : ''}.`,
    { param, code: 'context_length_exceeded' },
  );
}

/** Keys of a message that templates know; others come from clients' own records. */
const messageKeys = [
  ...['role', 'content', 'name', 'tool_calls', 'tool_call_id', 'function_call'],
  ...['reasoning_content', 'reasoning', 'thinking'],
] as const;

/** @throws ApiError 400 that names the message. */
export function messagesOf(value: unknown, param = 'messages'): readonly ChatMessage[] {
  if (!Array.isArray(value) || value.length === 0)
    throw badField(param, 'a list of messages with a role and a content', show(value));
  return value.map((message: unknown, at) => {
    const where = `${param}[${at}]`;
    if (!anObject.fits(message)) throw badField(where, 'an object', show(message));
    const given = message as Readonly<Record<string, unknown>>;
    if (typeof given.role !== 'string') throw badField(`${where}.role`, 'a text', show(given.role));
    const content =
      given.content === undefined || given.content === null || typeof given.content === 'string'
        ? given.content
        : partsOf(given.content, `${where}.content`);
    if (given.tool_calls !== undefined && given.tool_calls !== null)
      checkCalls(given.tool_calls, `${where}.tool_calls`);
    return Object.fromEntries(
      messageKeys.flatMap((key) =>
        Object.hasOwn(given, key) && given[key] !== undefined
          ? [[key, key === 'content' ? content : given[key]] as const]
          : [],
      ),
    ) as unknown as ChatMessage;
  });
}

function partsOf(content: unknown, param: string): readonly unknown[] {
  if (!Array.isArray(content)) throw badField(param, 'a text or a list of parts', show(content));
  return content.map((part: unknown, at) => {
    const { type, text, refusal } = (part ?? {}) as Readonly<Record<string, unknown>>;
    // what an earlier answer refused was its text; templates know no such part
    if (type === 'refusal' && typeof refusal === 'string') return { type: 'text', text: refusal };
    if (
      typeof text !== 'string' ||
      !['text', 'input_text', 'output_text', 'refusal', undefined].includes(type as string)
    )
      throw badField(`${param}[${at}]`, 'a part of type "text": this model takes no other', show(part));
    return part;
  });
}

function checkCalls(calls: unknown, param: string): void {
  if (!Array.isArray(calls)) throw badField(param, 'a list', show(calls));
  calls.forEach((call: unknown, at) => {
    const { function: called } = (call ?? {}) as { readonly function?: { readonly name?: unknown } };
    if (typeof called?.name !== 'string') throw badField(`${param}[${at}].function.name`, 'a text', show(called?.name));
  });
}

export interface ChatFields {
  readonly messages: readonly ChatMessage[];
  readonly options: ChatOptions;
}

/** Of a template: many times what any reads. Objects of a hundred thousand take seconds to copy, and all others wait. */
const mostVariables = 1000;
const reserved = ['messages', 'tools', 'documents', 'template', 'addGenerationPrompt', 'continueFinalMessage'];

/** Messages and what goes to the template with them, but for tools. */
export function chatFields(body: Body): ChatFields {
  const messages = messagesOf(body.raw('messages'));
  const variables = body.get<Readonly<Record<string, unknown>>>('chat_template_kwargs', anObject) ?? {};
  const documents = body.get<readonly unknown[]>('documents', listOf(anything, 'a list'));
  const template = body.get<string>('chat_template', aText);
  const goesOn = body.get<boolean>('continue_final_message', aBoolean) ?? false;
  const opens = body.get<boolean>('add_generation_prompt', aBoolean) ?? !goesOn;
  const effort = body.get<string>('reasoning_effort', aText);
  const names = Object.keys(variables);
  if (names.length > mostVariables)
    throw badField('chat_template_kwargs', `at most ${mostVariables} variables`, String(names.length));
  for (const key of names)
    if (reserved.includes(key)) throw badField(`chat_template_kwargs.${key}`, 'a variable of the template', show(key));
  return {
    messages,
    options: {
      ...variables,
      ...(effort !== undefined && {
        reasoning_effort: effort,
        enable_thinking: variables.enable_thinking ?? effort !== 'none',
      }),
      ...(documents && { documents }),
      ...(template !== undefined && { template }),
      addGenerationPrompt: opens,
      continueFinalMessage: goesOn,
    },
  };
}

/** @throws ApiError 400 where the template refuses the messages, or there is none. */
export function renderChat(model: Model, { messages, options }: ChatFields, tools?: readonly unknown[]): string {
  const tokenizer = tokenizerOf(model);
  try {
    return tokenizer.applyChatTemplate(knownRoles(messages, tokenizer, options.template), {
      ...options,
      ...(tools && tools.length > 0 && { tools }),
    });
  } catch (error) {
    if (!RelufyError.is(error)) throw error;
    throw new ApiError(400, error.message, { param: 'messages', code: 'chat_template' }, { cause: error });
  }
}

/** Newer clients of OpenAI call the system "developer", which few templates know. */
function knownRoles(
  messages: readonly ChatMessage[],
  { chatTemplates }: Tokenizer,
  template: string | undefined,
): readonly ChatMessage[] {
  if (!messages.some(({ role }) => role === 'developer')) return messages;
  const known = template === undefined ? [...chatTemplates.values()] : [template, chatTemplates.get(template) ?? ''];
  if (known.some((text) => text.includes('developer'))) return messages;
  return messages.map((message) => (message.role === 'developer' ? { ...message, role: 'system' as const } : message));
}

export function chatIds(
  model: Model,
  { chat, tools }: { readonly chat: ChatFields; readonly tools: readonly unknown[] },
): readonly number[] {
  const text = renderChat(model, chat, tools);
  return checkRoom(tokenizerOf(model).encode(text, { addSpecialTokens: false }), model, 'messages');
}

/** Prompts at most in one request. */
const mostPrompts = 256;

/** `"text"`, `["text", "text"]`, `[1, 2]` or `[[1, 2], [3]]`. `fit`: what becomes of one that the context does not hold. */
export function promptsOf(
  value: unknown,
  model: Model,
  param = 'prompt',
  fit: typeof checkRoom = checkRoom,
): readonly (readonly number[])[] {
  const expected = 'a text, texts, token ids or lists of token ids';
  const ids = (list: unknown, where: string): readonly number[] => {
    const { vocabSize } = model.spec;
    if (!isList(list)) throw badField(where, expected, show(list));
    for (const id of Array.from(list))
      if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= vocabSize)
        throw badField(where, `token ids from 0 to ${vocabSize - 1}`, show(id));
    return fit(list as readonly number[], model, where);
  };
  const text = (given: string, where: string) =>
    fit(tokenizerOf(model).encode(given, { addSpecialTokens: true }), model, where);
  if (typeof value === 'string') return [text(value, param)];
  if (!Array.isArray(value) || value.length === 0) throw badField(param, expected, show(value));
  if (typeof value[0] === 'number') return [ids(value, param)];
  if (value.length > mostPrompts) throw badField(param, `at most ${mostPrompts} prompts`, `${value.length}`);
  return value.map((each: unknown, at) =>
    typeof each === 'string' ? text(each, `${param}[${at}]`) : ids(each, `${param}[${at}]`),
  );
}
