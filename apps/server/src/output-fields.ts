// What a request wants of the form of an answer: tools that may be called, a format that the text must have, reasoning
// kept apart. Gives what the template is to be told, the parser of the answer, and the options of `generate` that hold the
// model to it. Does not own the parsers (answer-parser/) or the constraint (@relufy/models).
import type { ChatMessage, GenerateOptions, JsonSchema, Model, Tool, ToolChoice } from '@relufy/models';
import { aBoolean, anObject, show, showNames } from '@relufy/tensor';
import type { AnswerParser } from './answer-parser/answer-parser.js';
import { FormOrCalls } from './answer-parser/form-or-calls.js';
import { callMark, type Format, type FormatName, formatOf, marksOf } from './answer-parser/known-formats.js';
import { RegionParser } from './answer-parser/region-parser.js';
import { findMark } from './answer-parser/response-template.js';
import { badField } from './api-error.js';
import type { Body } from './body.js';
import { type ChatFields, tokenizerOf } from './prompts.js';

/** What holds a text to a form. */
type Form = Pick<GenerateOptions, 'jsonSchema' | 'grammar'>;

interface ToolsWanted {
  readonly tools: readonly Tool[];
  readonly choice: ToolChoice;
  readonly isParallel: boolean;
  /** What an answer without a call has to be. */
  readonly form: Form | undefined;
}

export interface ShapedOutput {
  /** The messages, with the tools in them where the template knows none. */
  readonly chat: ChatFields;
  /** For the template. */
  readonly tools: readonly Tool[];
  readonly options: Partial<GenerateOptions>;
  readonly parser: ((prompt: readonly number[]) => AnswerParser) | undefined;
}

export interface OutputFields {
  forModel(model: Model, chat: ChatFields): ShapedOutput;
}

/** What the routes call their fields differs; what they mean does not. */
export interface OutputAsked {
  readonly tools?: unknown;
  readonly toolChoice?: unknown;
  readonly parallel?: boolean | undefined;
  /** As OpenAI's chats have it. */
  readonly responseFormat?: unknown;
  /** As Ollama has it: "json" or a schema. */
  readonly format?: unknown;
  /** GBNF. */
  readonly grammar?: unknown;
}

export function outputFields(body: Body): OutputFields {
  return outputFieldsOf({
    tools: body.raw('tools'),
    toolChoice: body.raw('tool_choice'),
    parallel: body.get<boolean>('parallel_tool_calls', aBoolean),
    responseFormat: body.raw('response_format'),
    // llama-server's own
    format: body.raw('json_schema'),
    grammar: body.raw('grammar'),
  });
}

/** @throws ApiError 400 that names the field. */
export function outputFieldsOf(asked: OutputAsked): OutputFields {
  const all = toolsOf(asked.tools);
  const tools = allowedOf(asked.toolChoice, all);
  const choice = choiceOf(asked.toolChoice, tools);
  const form = formOf(asked);
  if (form !== undefined && choice !== 'auto' && choice !== 'none')
    throw badField('response_format', 'none beside a tool_choice that demands a call', 'one');
  return {
    forModel: (model, chat) => {
      const usable = choice === 'none' ? [] : tools;
      if (form !== undefined && usable.length === 0) return constrained(model, chat, form);
      return shaped(model, chat, { tools: usable, choice, isParallel: asked.parallel !== false, form });
    },
  };
}

function toolsOf(value: unknown): readonly Tool[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw badField('tools', 'a list', show(value));
  if (value.length > 256) throw badField('tools', 'at most 256', `${value.length}`);
  const names = new Set<string>();
  return value.map((tool: unknown, at) => {
    const { function: given, type = 'function' } = (tool ?? {}) as {
      readonly function?: unknown;
      readonly type?: unknown;
    };
    if (type !== 'function') throw badField(`tools[${at}].type`, '"function"', show(type));
    if (!anObject.fits(given)) throw badField(`tools[${at}].function`, 'an object', show(given));
    const { name, description, parameters } = given as Readonly<Record<string, unknown>>;
    if (typeof name !== 'string' || !/^[\w.-]{1,128}$/.test(name))
      throw badField(`tools[${at}].function.name`, 'letters, digits, _, - and .', show(name));
    if (names.has(name)) throw badField(`tools[${at}].function.name`, 'a name of its own', `${show(name)} again`);
    names.add(name);
    if (description !== undefined && description !== null && typeof description !== 'string')
      throw badField(`tools[${at}].function.description`, 'a text', show(description));
    if (parameters !== undefined && parameters !== null && !anObject.fits(parameters))
      throw badField(`tools[${at}].function.parameters`, 'a JSON schema', show(parameters));
    return {
      type: 'function',
      function: {
        name,
        ...(typeof description === 'string' && { description }),
        parameters: (parameters as JsonSchema | null) ?? { type: 'object', additionalProperties: false },
      },
    };
  });
}

/** Those of the tools that may be called: all, or as `tool_choice` names them. */
function allowedOf(choice: unknown, tools: readonly Tool[]): readonly Tool[] {
  if (!anObject.fits(choice) || (choice as { readonly type?: unknown }).type !== 'allowed_tools') return tools;
  const { allowed_tools: allowed } = choice as { readonly allowed_tools?: { readonly tools?: unknown } };
  const where = 'tool_choice.allowed_tools.tools';
  const list = allowed?.tools;
  if (!Array.isArray(list) || list.length === 0) throw badField(where, 'a list of functions', show(list));
  const known = new Set(tools.map(({ function: { name } }) => name));
  const names = list.map((each: unknown, at) => {
    const { function: named } = (each ?? {}) as { readonly function?: { readonly name?: unknown } };
    const name = named?.name;
    if (typeof name !== 'string' || !known.has(name))
      throw badField(
        `${where}[${at}].function.name`,
        `one of the tools (${showNames(known) || 'there are none'})`,
        show(name),
      );
    return name;
  });
  return tools.filter(({ function: { name } }) => names.includes(name));
}

function choiceOf(value: unknown, tools: readonly Tool[]): ToolChoice {
  const names = tools.map(({ function: { name } }) => name);
  if (value === undefined || value === null || value === 'auto') return 'auto';
  if (value === 'none') return 'none';
  if (value === 'required' || value === 'any') {
    if (names.length === 0) throw badField('tool_choice', '"auto" or "none" without tools', show(value));
    return 'required';
  }
  const {
    type,
    function: named,
    allowed_tools: allowed,
  } = (typeof value === 'object' ? value : {}) as {
    readonly type?: unknown;
    readonly function?: { readonly name?: unknown };
    readonly allowed_tools?: unknown;
  };
  if (type === 'allowed_tools') {
    if (!anObject.fits(allowed)) throw badField('tool_choice.allowed_tools', 'an object', show(allowed));
    const { mode = 'auto' } = allowed as { readonly mode?: unknown };
    if (mode !== 'auto' && mode !== 'required')
      throw badField('tool_choice.allowed_tools.mode', '"auto" or "required"', show(mode));
    return mode;
  }
  if (type !== 'function') throw badField('tool_choice', '"auto", "none", "required" or a function', show(value));
  const name = named?.name;
  if (typeof name !== 'string' || !names.includes(name))
    throw badField(
      'tool_choice.function.name',
      `one of the tools (${showNames(names) || 'there are none'})`,
      show(name),
    );
  return { name };
}

function formOf(asked: OutputAsked): Form | undefined {
  const schema = schemaOf(asked);
  const { grammar } = asked;
  if (grammar === undefined || grammar === null || grammar === '')
    return schema === undefined ? undefined : { jsonSchema: schema };
  if (typeof grammar !== 'string') throw badField('grammar', 'a text in GBNF', show(grammar));
  if (schema !== undefined) throw badField('grammar', 'none beside a schema', 'one');
  return { grammar };
}

/** The schema that the text has to fit. */
function schemaOf({ responseFormat, format }: OutputAsked): JsonSchema | undefined {
  if (format !== undefined && format !== null && format !== '') {
    if (format === 'json') return anyObject;
    if (anObject.fits(format)) return format as JsonSchema;
    throw badField('format', '"json" or a JSON schema', show(format));
  }
  if (responseFormat === undefined || responseFormat === null) return undefined;
  if (!anObject.fits(responseFormat)) throw badField('response_format', 'an object', show(responseFormat));
  const { type, json_schema: named, schema } = responseFormat as Readonly<Record<string, unknown>>;
  if (type === 'text') return undefined;
  if (type === 'json_object') {
    if (schema === undefined || schema === null) return anyObject;
    if (anObject.fits(schema)) return schema as JsonSchema;
    throw badField('response_format.schema', 'a JSON schema', show(schema));
  }
  if (type !== 'json_schema') throw badField('response_format.type', 'text, json_object or json_schema', show(type));
  const inner = ((named ?? {}) as { readonly schema?: unknown }).schema ?? schema;
  if (!anObject.fits(inner)) throw badField('response_format.json_schema.schema', 'a JSON schema', show(inner));
  return inner as JsonSchema;
}

const anyObject: JsonSchema = { type: 'object' };

/** The text has a form, all of it: a model that thinks aloud is asked not to. */
function constrained(model: Model, chat: ChatFields, form: Form): ShapedOutput {
  const tokenizer = tokenizerOf(model);
  const format = formatOf(tokenizer);
  return { chat: withoutThinking(knownTurns(chat, format), format), tools: [], options: form, parser: undefined };
}

/** What has a form from its first token on leaves no room for thoughts. */
function withoutThinking(chat: ChatFields, { thinks }: Format): ChatFields {
  return thinks ? { ...chat, options: { ...chat.options, enable_thinking: false } } : chat;
}

function shaped(model: Model, chat: ChatFields, wanted: ToolsWanted): ShapedOutput {
  const { tools, choice, isParallel, form } = wanted;
  const tokenizer = tokenizerOf(model);
  const format = formatOf(tokenizer);
  // from its first token on, an answer is a call, or a call or a text of a form: neither leaves room for thoughts
  const isForced = tools.length > 0 && (choice !== 'auto' || form !== undefined);
  const turns = knownTurns(chat, format);
  const plain = { chat: isForced ? withoutThinking(turns, format) : turns, tools, options: {} };
  if (tools.length === 0 && !format.thinks) return { ...plain, parser: undefined };
  const marks = marksOf(tokenizer, format.template);
  const byName = new Map(tools.map(({ function: { name, parameters } }) => [name, parameters as unknown]));
  // a model whose format is its own is held to it only where we can write it; else its calls are read as they come
  const isHeld = tools.length > 0 && format.calls !== undefined;
  const mark = format.calls === undefined ? '' : callMark(format.calls);
  if (form !== undefined && mark === '')
    throw badField(
      'response_format',
      'none beside tools: calls of this model have no mark that tells them apart',
      'one',
    );
  if (isForced && !isHeld)
    throw badField('tool_choice', '"auto" or "none": the calls of this model have a form of their own', show(choice));
  return {
    ...plain,
    ...(!format.knowsTools && tools.length > 0 && { chat: withToolsTold(plain.chat, tools), tools: [] }),
    ...(isHeld && {
      options: {
        tools,
        toolChoice: choice,
        parallelToolCalls: isParallel,
        toolCallFormat: format.calls as FormatName,
        ...form,
      },
    }),
    parser: (prompt) => {
      const parser = new RegionParser(format.template, {
        // a call that has to come is no thought, even where the template has opened one
        prefix: isForced ? '' : begunAnswer(model, prompt, format),
        marks,
        tools: tools.length > 0 ? byName : undefined,
        isHeld,
      });
      return form === undefined ? parser : new FormOrCalls(parser, mark, marks);
    },
  };
}

/** Tokens at the end of a prompt in which the assistant's turn begins. */
const mostPrefix = 512;

/** What of the prompt stands after the opening of the assistant's turn. */
function begunAnswer(model: Model, prompt: readonly number[], { template }: Format): string {
  const { anchor } = template;
  if (anchor === undefined) return '';
  const text = model.decode(prompt.slice(-mostPrefix));
  let behind: number | undefined;
  for (let at = 0; ; ) {
    const { found } = findMark(anchor, text, at, true);
    if (found === undefined || found.end === at) break;
    at = found.end;
    behind = at;
  }
  return behind === undefined ? '' : text.slice(behind);
}

/** A template that knows no tools gets calls and their results as plain turns. */
function knownTurns(chat: ChatFields, { knowsTools }: Format): ChatFields {
  if (knowsTools) return chat;
  return { ...chat, messages: chat.messages.map(plainTurn) };
}

function plainTurn(message: ChatMessage): ChatMessage {
  const { content, tool_calls: calls } = message;
  const text = typeof content === 'string' ? content : (content ?? []).map((part) => part.text ?? '').join('');
  if (message.role === 'tool') return { role: 'user', content: `<tool_response>\n${text}\n</tool_response>` };
  if (!calls || calls.length === 0) return message;
  const written = calls.map(({ function: called }) => {
    const args = typeof called?.arguments === 'string' ? called.arguments : JSON.stringify(called?.arguments ?? {});
    return `<tool_call>\n{"name": ${JSON.stringify(called?.name)}, "arguments": ${args}}\n</tool_call>`;
  });
  return { role: message.role, content: [text, ...written].filter((part) => part !== '').join('\n') };
}

/** Tools in the words that most models learned them in. */
function withToolsTold(chat: ChatFields, tools: readonly Tool[]): ChatFields {
  const told = `You may call functions to answer. Their signatures are within <tools></tools>:
<tools>
${tools.map((tool) => JSON.stringify(tool)).join('\n')}
</tools>
For each call, write a JSON object with the function's name and its arguments within <tool_call></tool_call>:
<tool_call>
{"name": "NAME", "arguments": {}}
</tool_call>`;
  const [first, ...rest] = chat.messages;
  if (first?.role === 'system' && typeof first.content === 'string')
    return { ...chat, messages: [{ ...first, content: `${first.content}\n\n${told}` }, ...rest] };
  return { ...chat, messages: [{ role: 'system', content: told }, ...chat.messages] };
}
