// POST /v1/chat/completions: a chat's next message, whole or as chunks while it comes, as OpenAI's clients read it.
// Does not own the generation (answer.ts), the fields of sampling, or how a text is taken apart (answer-parser/).
import type { Model, Piece } from '@relufy/models';
import { aBoolean, aText, aWhole, either } from '@relufy/tensor';
import type { AnswerEvent, Answering, Asked } from './answer.js';
import { answerResponse } from './answer-response.js';
import { badField } from './api-error.js';
import type { Body } from './body.js';
import { preparedChat } from './chat-request.js';
import { serverSentEvents, sseData } from './event-stream.js';
import { figuresOf, newId, nowSeconds, usageOf } from './figures.js';
import { chatLogprobs } from './logprobs.js';
import { outputFields } from './output-fields.js';
import { chatFields } from './prompts.js';
import { countOf, keepAliveMs, samplingFields, streamFields } from './sampling-fields.js';
import type { Call } from './service.js';

export const maxTokenNames = ['max_completion_tokens', 'max_tokens', 'max_new_tokens', 'n_predict'] as const;

export async function chatCompletions(call: Call, body: Body): Promise<Response> {
  const { stream, includeUsage } = streamFields(body);
  const wantsLogprobs = body.get<boolean>('logprobs', aBoolean) ?? false;
  const topCount = body.get<number>('top_logprobs', aWhole(0, 20)) ?? 0;
  if (topCount > 0 && !wantsLogprobs) throw badField('top_logprobs', '"logprobs": true beside it', 'none');
  const chat = chatFields(body);
  const output = outputFields(body);
  const count = countOf(body);
  const keepAlive = keepAliveMs(body);
  const asked: Asked = {
    modelName: body.get<string>('model', aText),
    keepAliveMs: keepAlive,
    prepare: (model) => {
      const sampling = samplingFields(body, model, { maxTokens: maxTokenNames });
      ignoreKnown(body);
      call.service.unreadFields.tell(call.route, body.unread());
      const shaped = output.forModel(model, chat);
      return preparedChat(call, model, { sampling, shaped, logprobs: wantsLogprobs ? topCount : undefined, count });
    },
  };
  const head = {
    id: newId('chatcmpl'),
    created: nowSeconds(),
    model: call.service.models.find(asked.modelName).served.id,
    system_fingerprint: fingerprint(call),
  };
  return answerResponse(call, asked, {
    stream,
    format: serverSentEvents,
    whole: (answering) => whole(answering, head, wantsLogprobs),
    events: (answering) => chunks(answering, head, wantsLogprobs, includeUsage),
  });
}

/** Fields that clients send as a habit, and that mean nothing here. */
export function ignoreKnown(body: Body): void {
  body.ignore('user', 'metadata', 'store', 'service_tier', 'prompt_cache_key', 'safety_identifier', 'cache_prompt');
  body.ignore('modalities', 'prompt_cache_retention', 'verbosity');
}

export const fingerprint = ({ service }: Call): string => `relufy-${service.version}`;

interface Head {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint: string;
}

interface WrittenCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; arguments: string };
}

/** A message while it is collected. */
export interface Written {
  content: string;
  reasoning: string;
  readonly calls: WrittenCall[];
  readonly pieces: Piece[];
  finishReason: string;
}

/** Every choice of an answer, when all of it is there. */
export async function collect(answering: Answering): Promise<readonly Written[]> {
  const choices: Written[] = [];
  for await (const event of answering) {
    choices[event.choice] ??= { content: '', reasoning: '', calls: [], pieces: [], finishReason: 'stop' };
    const choice = choices[event.choice] as Written;
    choice.pieces.push(...event.pieces);
    if (event.kind === 'end') choice.finishReason = event.finishReason;
    else if (event.part.kind === 'text') choice.content += event.part.text;
    else if (event.part.kind === 'reasoning') choice.reasoning += event.part.text;
    else if (event.part.kind === 'call') {
      const { id, name } = event.part;
      choice.calls[event.part.call] = { id, type: 'function', function: { name, arguments: '' } };
    } else {
      const called = choice.calls[event.part.call];
      if (called) called.function.arguments += event.part.text;
    }
  }
  return choices;
}

async function whole(answering: Answering, head: Head, wantsLogprobs: boolean): Promise<object> {
  const choices = await collect(answering);
  return {
    object: 'chat.completion',
    ...head,
    choices: choices.map(({ content, reasoning, calls, pieces, finishReason }, index) => ({
      index,
      message: {
        role: 'assistant',
        content: content === '' && calls.length > 0 ? null : content,
        refusal: null,
        ...(reasoning !== '' && { reasoning_content: reasoning }),
        ...(calls.length > 0 && { tool_calls: calls }),
      },
      finish_reason: finishReason,
      logprobs: wantsLogprobs ? logprobsOf(answering.model, pieces) : null,
    })),
    ...figuresOf(answering.totals),
  };
}

const logprobsOf = (model: Model, pieces: readonly Piece[]) => ({
  content: chatLogprobs(model, withoutEnd(model, pieces)),
  refusal: null,
});

/** What ends a turn is no part of the message. */
export const withoutEnd = (model: Model, pieces: readonly Piece[]): readonly Piece[] =>
  pieces.filter(({ tokenId, text }) => text !== '' || !model.eosTokenIds.includes(tokenId));

async function* chunks(
  answering: Answering,
  head: Head,
  wantsLogprobs: boolean,
  includeUsage: boolean,
): AsyncGenerator<string, void> {
  const chunk = (choices: readonly object[], more: object = {}) =>
    sseData({ object: 'chat.completion.chunk', ...head, choices, ...(includeUsage && { usage: null }), ...more });
  const begun = new Set<number>();
  const total = answering.prepared.prompts.length * answering.prepared.count;
  let ended = 0;
  for await (const event of answering) {
    const { choice: index } = event;
    if (!begun.has(index)) {
      begun.add(index);
      yield chunk([{ index, delta: { role: 'assistant', content: '' }, finish_reason: null, logprobs: null }]);
    }
    const logprobs = wantsLogprobs && event.pieces.length > 0 ? logprobsOf(answering.model, event.pieces) : null;
    if (event.kind === 'part') yield chunk([{ index, delta: deltaOf(event), finish_reason: null, logprobs }]);
    else {
      ended++;
      // where usage has a chunk of its own, so have the numbers beside it
      const figures = ended === total && !includeUsage ? withoutUsage(answering) : {};
      yield chunk([{ index, delta: {}, finish_reason: event.finishReason, logprobs }], figures);
    }
  }
  if (includeUsage) yield chunk([], { usage: usageOf(answering.totals), ...withoutUsage(answering) });
  yield 'data: [DONE]\n\n';
}

function withoutUsage({ totals }: Answering): object {
  const { timings, sparsity } = figuresOf(totals);
  return { timings, sparsity };
}

function deltaOf({ part }: Extract<AnswerEvent, { kind: 'part' }>): object {
  if (part.kind === 'text') return { content: part.text };
  if (part.kind === 'reasoning') return { reasoning_content: part.text };
  if (part.kind === 'arguments') return { tool_calls: [{ index: part.call, function: { arguments: part.text } }] };
  const { call: index, id, name } = part;
  return { tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] };
}

/** true or a number, for routes that take either. */
export const aLogprobs = either('true, false or a whole number', aBoolean, aWhole(0, 20));
