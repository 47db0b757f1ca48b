// POST /v1/responses, stateless: the newer of OpenAI's routes. A request is a chat in other words; an answer is a list of
// items, and a stream tells how each of them grows. What is stored elsewhere cannot be named here.
// Does not own the generation (answer.ts).
import type { ChatMessage } from '@relufy/models';
import { aBoolean, anObject, aText, aWhole, isList, show } from '@relufy/tensor';
import type { Answering, Asked } from './answer.js';
import { answerResponse } from './answer-response.js';
import { ApiError, badField } from './api-error.js';
import type { Body } from './body.js';
import { collect, ignoreKnown, type Written, withoutEnd } from './chat-completions.js';
import { preparedChat } from './chat-request.js';
import { serverSentEvents, sseEvent } from './event-stream.js';
import { figuresOf, newId, nowSeconds, timingsOf } from './figures.js';
import { chatLogprobs } from './logprobs.js';
import { outputFieldsOf } from './output-fields.js';
import { type ChatFields, messagesOf } from './prompts.js';
import { samplingFields } from './sampling-fields.js';
import type { Call } from './service.js';

export async function responses(call: Call, body: Body): Promise<Response> {
  const stream = body.get<boolean>('stream', aBoolean) ?? false;
  if (body.has('previous_response_id'))
    throw badField('previous_response_id', 'none: this server keeps no responses. Send the whole conversation', 'one');
  if (body.get<boolean>('background', aBoolean)) throw badField('background', 'false', 'true');
  if (body.has('conversation')) throw badField('conversation', 'none: this server keeps none', 'one');
  if (body.has('prompt')) throw badField('prompt', 'none: this server keeps no prompts. Send the input itself', 'one');
  const instructions = body.get<string>('instructions', aText);
  const effort = body.object('reasoning')?.get<string>('effort', aText);
  const fields: ChatFields = {
    messages: [
      ...(instructions === undefined ? [] : [{ role: 'system' as const, content: instructions }]),
      ...inputOf(body.raw('input')),
    ],
    options: {
      addGenerationPrompt: true,
      ...(effort !== undefined && { reasoning_effort: effort, enable_thinking: effort !== 'none' }),
    },
  };
  const text = body.object('text');
  const topCount = body.get<number>('top_logprobs', aWhole(0, 20));
  const include = body.raw('include');
  const wantsLogprobs =
    topCount !== undefined || (isList(include) && Array.from(include).includes('message.output_text.logprobs'));
  const output = outputFieldsOf({
    tools: toolsOf(body.raw('tools')),
    toolChoice: choiceOf(body.raw('tool_choice')),
    parallel: body.get<boolean>('parallel_tool_calls', aBoolean),
    responseFormat: formatOf(text?.raw('format')),
  });
  const asked: Asked = {
    modelName: body.get<string>('model', aText),
    prepare: (model) => {
      const sampling = samplingFields(body, model, { maxTokens: ['max_output_tokens'] });
      ignoreKnown(body);
      body.ignore('truncation', 'reasoning', 'stream_options', 'max_tool_calls');
      call.service.unreadFields.tell(call.route, body.unread());
      const shaped = output.forModel(model, fields);
      const logprobs = wantsLogprobs ? (topCount ?? 0) : undefined;
      return preparedChat(call, model, { sampling, shaped, logprobs, count: 1 });
    },
  };
  const head = {
    id: newId('resp'),
    object: 'response',
    created_at: nowSeconds(),
    model: call.service.models.find(asked.modelName).served.id,
    error: null,
    incomplete_details: null,
    instructions: instructions ?? null,
    metadata: body.raw('metadata') ?? {},
    parallel_tool_calls: body.raw('parallel_tool_calls') ?? true,
    previous_response_id: null,
    store: false,
    temperature: body.raw('temperature') ?? null,
    top_p: body.raw('top_p') ?? null,
    max_output_tokens: body.raw('max_output_tokens') ?? null,
    tool_choice: body.raw('tool_choice') ?? 'auto',
    tools: body.raw('tools') ?? [],
    text: { format: text?.raw('format') ?? { type: 'text' } },
    reasoning: { effort: effort ?? null, summary: null },
    background: false,
    truncation: 'disabled',
  };
  return answerResponse(call, asked, {
    stream,
    format: serverSentEvents,
    whole: async (answering) => {
      const [choice] = (await collect(answering)) as [Written];
      return ended(head, answering, itemsOf(choice, answering, wantsLogprobs), choice);
    },
    events: (answering) => events(answering, head, wantsLogprobs),
  });
}

/** Messages, calls and what came of them, as messages of a chat. @throws ApiError 400 that names the item. */
function inputOf(input: unknown): readonly ChatMessage[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  if (!Array.isArray(input) || input.length === 0) throw badField('input', 'a text or a list of items', show(input));
  const messages: Record<string, unknown>[] = [];
  input.forEach((item: unknown, at) => {
    const where = `input[${at}]`;
    if (!anObject.fits(item)) throw badField(where, 'an object', show(item));
    const given = item as Readonly<Record<string, unknown>>;
    const type = given.type ?? 'message';
    if (type === 'message') messages.push({ role: given.role, content: given.content });
    else if (type === 'function_call') {
      const call = { id: given.call_id, type: 'function', function: { name: given.name, arguments: given.arguments } };
      const last = messages.at(-1);
      if (last?.role === 'assistant' && Array.isArray(last.tool_calls)) last.tool_calls.push(call);
      else messages.push({ role: 'assistant', content: '', tool_calls: [call] });
    } else if (type === 'function_call_output')
      messages.push({ role: 'tool', tool_call_id: given.call_id, content: textOf(given.output) });
    else if (type !== 'reasoning')
      throw badField(`${where}.type`, 'message, function_call, function_call_output or reasoning', show(type));
  });
  return messagesOf(messages, 'input');
}

const textOf = (output: unknown): unknown => (typeof output === 'object' ? JSON.stringify(output) : output);

/** This route has a function's parts on the top level; chats have them under `function`. */
function toolsOf(tools: unknown): unknown {
  if (!Array.isArray(tools)) return tools;
  return tools.map((tool: unknown, at) => {
    const { type, ...given } = (tool ?? {}) as Readonly<Record<string, unknown>>;
    if (type !== 'function')
      throw badField(`tools[${at}].type`, '"function": the server has no tools of its own', show(type));
    return { type, function: given };
  });
}

function choiceOf(choice: unknown): unknown {
  const given = (choice ?? {}) as Readonly<Record<string, unknown>>;
  if (given.type === 'function') return { type: 'function', function: { name: given.name } };
  if (given.type !== 'allowed_tools') return choice;
  const { mode } = given;
  const named = isList(given.tools) ? Array.from(given.tools).map((tool) => choiceOf(tool)) : given.tools;
  return { type: 'allowed_tools', allowed_tools: { mode, tools: named } };
}

function formatOf(format: unknown): unknown {
  const { type, ...schema } = (format ?? {}) as Readonly<Record<string, unknown>>;
  return type === 'json_schema' ? { type, json_schema: schema } : format;
}

interface Item {
  readonly id: string;
  readonly type: string;
  readonly [key: string]: unknown;
}

const messageItem = (id: string, status: string, text: string, logprobs: readonly object[]): Item => ({
  id,
  type: 'message',
  status,
  role: 'assistant',
  content: [{ type: 'output_text', text, annotations: [], logprobs }],
});
const reasoningItem = (id: string, status: string, text: string): Item => ({
  id,
  type: 'reasoning',
  status,
  summary: [],
  content: [{ type: 'reasoning_text', text }],
});
const callItem = (id: string, status: string, call: { id: string; name: string; text: string }): Item => ({
  id,
  type: 'function_call',
  status,
  call_id: call.id,
  name: call.name,
  arguments: call.text,
});

function itemsOf(choice: Written, answering: Answering, wantsLogprobs: boolean): readonly Item[] {
  const status = choice.finishReason === 'length' ? 'incomplete' : 'completed';
  const { model } = answering;
  const logprobs = wantsLogprobs ? chatLogprobs(model, withoutEnd(model, choice.pieces)) : [];
  return [
    ...(choice.reasoning === '' ? [] : [reasoningItem(newId('rs'), 'completed', choice.reasoning)]),
    ...(choice.content === '' && choice.calls.length > 0
      ? []
      : [messageItem(newId('msg'), status, choice.content, logprobs)]),
    ...choice.calls.map(({ id, function: { name, arguments: text } }) =>
      callItem(newId('fc'), status, { id, name, text }),
    ),
  ];
}

function ended(
  head: object,
  answering: Answering,
  output: readonly Item[],
  { finishReason }: { finishReason: string },
): object {
  const { usage, timings, sparsity } = figuresOf(answering.totals);
  const isCut = finishReason === 'length';
  return {
    ...head,
    status: isCut ? 'incomplete' : 'completed',
    incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
    output,
    usage: {
      input_tokens: usage.prompt_tokens,
      input_tokens_details: usage.prompt_tokens_details,
      output_tokens: usage.completion_tokens,
      output_tokens_details: usage.completion_tokens_details,
      total_tokens: usage.total_tokens,
    },
    timings,
    sparsity,
  };
}

/** One item of the output while it grows. */
interface Growing {
  readonly id: string;
  readonly index: number;
  readonly kind: 'message' | 'reasoning' | 'call';
  readonly call: number | undefined;
  readonly callId: string;
  readonly name: string;
  text: string;
  logprobs: object[];
}

async function* events(answering: Answering, head: object, wantsLogprobs: boolean): AsyncGenerator<string, void> {
  let sequence = 0;
  const event = (type: string, fields: object) => sseEvent(type, { type, sequence_number: sequence++, ...fields });
  const items: Item[] = [];
  let current: Growing | undefined;
  const running = { ...head, status: 'in_progress', output: [], usage: null };
  let begun = false;
  try {
    for await (const heard of answering) {
      if (!begun) {
        begun = true;
        yield event('response.created', { response: running });
        yield event('response.in_progress', { response: running });
      }
      const { model } = answering;
      const logprobs = wantsLogprobs ? chatLogprobs(model, withoutEnd(model, heard.pieces)) : [];
      if (heard.kind === 'part') {
        const { part } = heard;
        const kind = part.kind === 'text' ? 'message' : part.kind === 'reasoning' ? 'reasoning' : 'call';
        const call = part.kind === 'call' || part.kind === 'arguments' ? part.call : undefined;
        if (current === undefined || current.kind !== kind || current.call !== call) {
          if (current) yield* closed(current, 'completed', items, event);
          current = opened(kind, items.length, part);
          yield* begins(current, event);
        }
        const text = part.kind === 'call' ? '' : part.text;
        current.text += text;
        current.logprobs.push(...logprobs);
        const at = { item_id: current.id, output_index: current.index };
        if (kind === 'call') {
          if (text !== '') yield event('response.function_call_arguments.delta', { ...at, delta: text });
        } else {
          const type = kind === 'message' ? 'response.output_text.delta' : 'response.reasoning_text.delta';
          yield event(type, { ...at, content_index: 0, delta: text, ...(kind === 'message' && { logprobs }) });
        }
        continue;
      }
      const isCut = heard.finishReason === 'length';
      if (current === undefined && items.length === 0) {
        current = opened('message', 0, undefined);
        yield* begins(current, event);
      }
      if (current) yield* closed(current, isCut ? 'incomplete' : 'completed', items, event);
      const response = ended(head, answering, items, heard);
      yield event(isCut ? 'response.incomplete' : 'response.completed', { response });
    }
  } catch (error) {
    if (!begun) throw error;
    const { body } = error instanceof ApiError ? error : new ApiError(500, 'An internal error.');
    const failure = { code: body.error.code ?? 'server_error', message: body.error.message };
    const timings = timingsOf(answering.totals);
    yield event('response.failed', {
      response: { ...running, status: 'failed', output: items, error: failure, timings },
    });
  }
}

type Emit = (type: string, fields: object) => string;

function opened(kind: Growing['kind'], index: number, part: unknown): Growing {
  const { call, id = '', name = '' } = (part ?? {}) as { call?: number; id?: string; name?: string };
  const prefix = { message: 'msg', reasoning: 'rs', call: 'fc' }[kind];
  return { id: newId(prefix), index, kind, call, callId: id, name, text: '', logprobs: [] };
}

const itemOf = ({ id, kind, callId, name, text, logprobs }: Growing, status: string): Item =>
  kind === 'message'
    ? messageItem(id, status, text, logprobs)
    : kind === 'reasoning'
      ? reasoningItem(id, status, text)
      : callItem(id, status, { id: callId, name, text });

function* begins(item: Growing, event: Emit): Generator<string> {
  const at = { item_id: item.id, output_index: item.index };
  const fresh = itemOf(item, 'in_progress');
  const empty = item.kind === 'call' ? fresh : { ...fresh, content: [] };
  yield event('response.output_item.added', { output_index: item.index, item: empty });
  if (item.kind !== 'call')
    yield event('response.content_part.added', { ...at, content_index: 0, part: (fresh.content as object[])[0] });
}

function* closed(item: Growing, status: string, items: Item[], event: Emit): Generator<string> {
  const at = { item_id: item.id, output_index: item.index };
  const done = itemOf(item, status);
  if (item.kind === 'call')
    yield event('response.function_call_arguments.done', { ...at, name: item.name, arguments: item.text });
  else {
    const type = item.kind === 'message' ? 'response.output_text.done' : 'response.reasoning_text.done';
    const logprobs = item.kind === 'message' ? { logprobs: item.logprobs } : {};
    yield event(type, { ...at, content_index: 0, text: item.text, ...logprobs });
    yield event('response.content_part.done', { ...at, content_index: 0, part: (done.content as object[])[0] });
  }
  yield event('response.output_item.done', { output_index: item.index, item: done });
  items.push(done);
}
