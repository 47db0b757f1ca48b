// Ollama's routes, for tools that speak nothing else: chat, generate and embed. Lines of JSON instead of events, durations
// in nanoseconds. Does not own the generation (answer.ts) nor what is told of models (ollama-models.ts).

import type { Model } from '@relufy/models';
import { aBoolean, anObject, aText, aWhole, either, isList, show as shown } from '@relufy/tensor';
import type { Context } from 'hono';
import type { Answering, Asked, Totals } from './answer.js';
import { answerResponse } from './answer-response.js';
import { badField } from './api-error.js';
import { Body } from './body.js';
import { collect, withoutEnd } from './chat-completions.js';
import { preparedChat } from './chat-request.js';
import { checkDimensions, embed } from './embeddings.js';
import { jsonLine, jsonLines } from './event-stream.js';
import { inSlot } from './in-slot.js';
import { chatLogprobs } from './logprobs.js';
import { pull, readOnly, running, show, tags, version } from './ollama-models.js';
import { outputFieldsOf } from './output-fields.js';
import { type ChatFields, checkRoom, messagesOf, promptsOf, tokenizerOf } from './prompts.js';
import { keepAliveMs, samplingFields } from './sampling-fields.js';
import type { Call } from './service.js';

type Route = (call: Call, body: Body) => Promise<Response> | Response;
type Post = (paths: readonly string[], route: Route) => void;
type Get = (paths: readonly string[], route: (call: Call, context: Context) => Response | Promise<Response>) => void;

export function ollamaRoutes(post: Post, get: Get): void {
  get(['/api/version'], version);
  get(['/api/tags'], tags);
  get(['/api/ps'], running);
  post(['/api/show'], show);
  post(['/api/chat'], chat);
  post(['/api/generate'], generate);
  post(['/api/embed'], embedAll);
  post(['/api/embeddings'], embedOne);
  post(['/api/pull'], pull);
  post(['/api/push', '/api/copy', '/api/create', '/api/delete'], readOnly);
}

interface Wanted {
  readonly stream: boolean;
  readonly logprobs: number | undefined;
  /** The ids of prompt and answer are told, for the next request to go on from. */
  readonly context?: boolean;
}

function wantedOf(body: Body): Wanted {
  const stream = body.get<boolean>('stream', aBoolean) ?? true;
  const wants = body.get<boolean>('logprobs', aBoolean) ?? false;
  const top = body.get<number>('top_logprobs', aWhole(0, 20)) ?? 0;
  return { stream, logprobs: wants ? top : undefined };
}

/** `options` are the fields of sampling, under Ollama's names, which are mostly the usual ones. */
function optionsOf(body: Body): Body {
  const options = body.object('options') ?? new Body({}, 'options.');
  // the context is what the server was started with
  options.ignore('num_ctx', 'num_keep', 'num_thread', 'num_gpu', 'num_batch', 'repeat_last_n', 'use_mmap', 'numa');
  options.ignore(
    'mirostat',
    'mirostat_eta',
    'mirostat_tau',
    'tfs_z',
    'main_gpu',
    'low_vram',
    'vocab_only',
    'use_mlock',
  );
  return options;
}

const thinkRule = either('true, false or a level', aBoolean, aText);
const maxTokens = ['num_predict', 'max_tokens'] as const;

async function chat(call: Call, body: Body): Promise<Response> {
  const wanted = wantedOf(body);
  const messages = body.raw('messages');
  const keepAlive = keepAliveMs(body);
  const modelName = body.get<string>('model', aText);
  if (messages === undefined || (isList(messages) && messages.length === 0))
    return loadOrUnload(call, modelName, keepAlive, { message: { role: 'assistant', content: '' } });
  const thinks = body.get<boolean | string>('think', thinkRule);
  const fields: ChatFields = {
    messages: messagesOf(Array.isArray(messages) ? messages.map(withoutThinking) : messages),
    options: { addGenerationPrompt: true, ...(thinks !== undefined && { enable_thinking: thinks !== false }) },
  };
  const output = outputFieldsOf({ tools: body.raw('tools'), format: body.raw('format') });
  const asked: Asked = {
    modelName,
    keepAliveMs: keepAlive,
    prepare: (model) => {
      const options = optionsOf(body);
      const sampling = samplingFields(options, model, { maxTokens });
      call.service.unreadFields.tell(call.route, [...body.unread(), ...options.unread()]);
      const shaped = output.forModel(model, fields);
      return preparedChat(call, model, { sampling, shaped, logprobs: wanted.logprobs, count: 1 });
    },
  };
  return written(call, asked, wanted, 'message');
}

/** Ollama's messages carry what their own answers had. */
function withoutThinking(message: unknown): unknown {
  if (!anObject.fits(message)) return message;
  const { images, tool_name, ...rest } = message as Readonly<Record<string, unknown>>;
  if (isList(images) && images.length > 0)
    throw badField('messages[].images', 'none: this model takes text', `${images.length}`);
  return tool_name === undefined ? rest : { ...rest, name: rest.name ?? tool_name };
}

async function generate(call: Call, body: Body): Promise<Response> {
  const wanted = wantedOf(body);
  const prompt = body.get<string>('prompt', aText) ?? '';
  const system = body.get<string>('system', aText);
  const isRaw = body.get<boolean>('raw', aBoolean) ?? false;
  const keepAlive = keepAliveMs(body);
  const modelName = body.get<string>('model', aText);
  const thinks = body.get<boolean | string>('think', thinkRule);
  const context = body.raw('context');
  if (body.get<string>('suffix', aText)) throw badField('suffix', 'none: the model only writes on', 'one');
  if (isList(body.raw('images')) && (body.raw('images') as ArrayLike<unknown>).length > 0)
    throw badField('images', 'none: this model takes text', 'some');
  const template = body.get<string>('template', aText);
  for (const [name, value] of Object.entries({ system, template, context }))
    if (isRaw && value !== undefined && value !== '' && !(isList(value) && value.length === 0))
      throw badField(name, 'none beside "raw": the prompt is taken as it stands', 'one');
  if (prompt === '') return loadOrUnload(call, modelName, keepAlive, { response: '' });
  const output = outputFieldsOf({ format: body.raw('format') });
  const asked: Asked = {
    modelName,
    keepAliveMs: keepAlive,
    prepare: (model) => {
      const options = optionsOf(body);
      const sampling = samplingFields(options, model, { maxTokens });
      call.service.unreadFields.tell(call.route, [...body.unread(), ...options.unread()]);
      // a model for chats gets the prompt as a message, others as it stands
      const isChat = !isRaw && tokenizerOf(model).hasChatTemplate;
      const fields: ChatFields = {
        messages: [
          ...(system === undefined ? [] : [{ role: 'system' as const, content: system }]),
          { role: 'user', content: prompt },
        ],
        options: {
          addGenerationPrompt: true,
          ...(template ? { template } : {}),
          ...(thinks !== undefined && { enable_thinking: thinks !== false }),
        },
      };
      const shaped = output.forModel(model, fields);
      const { logprobs } = wanted;
      const before = earlier(context, model);
      if (isChat) {
        const prepared = preparedChat(call, model, { sampling, shaped, logprobs, count: 1 });
        return { ...prepared, prompts: [behind(before, prepared.prompts[0] as readonly number[], model)] };
      }
      return {
        prompts: [behind(before, promptsOf(prompt, model)[0] as readonly number[], model)],
        options: { ...sampling, ...shaped.options, ...(logprobs !== undefined && { logprobs }) },
        count: 1,
        parser: isRaw ? undefined : shaped.parser,
      };
    },
  };
  return written(call, asked, { ...wanted, context: !isRaw }, 'response');
}

/** The ids that an earlier answer's `context` was: the conversation so far. */
function earlier(context: unknown, model: Model): readonly number[] {
  if (context === undefined) return [];
  if (!isList(context)) throw badField('context', 'token ids, as an answer tells them', shown(context));
  return context.length === 0 ? [] : (promptsOf(Array.from(context), model, 'context')[0] as readonly number[]);
}

/** A text begins once. */
function behind(before: readonly number[], ids: readonly number[], model: Model): readonly number[] {
  if (before.length === 0) return ids;
  return checkRoom([...before, ...(ids[0] === model.tokenizer?.bosId ? ids.slice(1) : ids)], model, 'prompt');
}

/** An empty prompt loads the model, and with a keep-alive of 0 unloads it. */
async function loadOrUnload(
  call: Call,
  modelName: string | undefined,
  keepAlive: number | undefined,
  empty: object,
): Promise<Response> {
  const { served } = call.service.models.find(modelName);
  const reason = keepAlive === 0 ? 'unload' : 'load';
  const lease =
    reason === 'unload' && call.service.models.find(served.id).model === undefined
      ? undefined
      : await call.service.models.lease(served.id, call.request.signal);
  lease?.release(keepAlive);
  return Response.json({ ...headOf(served.id), ...empty, done: true, done_reason: reason });
}

const headOf = (model: string) => ({ model, created_at: new Date().toISOString() });

const nanoseconds = (ms: number): number => Math.round(ms * 1e6);

function figures(call: Call, totals: Totals): object {
  return {
    total_duration: nanoseconds(performance.now() - call.start),
    load_duration: nanoseconds(totals.loadMs),
    prompt_eval_count: totals.promptTokens,
    prompt_eval_duration: nanoseconds(totals.promptMs),
    eval_count: totals.completionTokens,
    eval_duration: nanoseconds(totals.predictedMs),
    sparsity: totals.sparsity,
  };
}

type Shape = 'message' | 'response';

interface OllamaCall {
  readonly function: { readonly name: string; readonly arguments: unknown };
}

/** Where a text goes in an object of either route. */
function placed(shape: Shape, content: string, thinking: string, calls: readonly OllamaCall[] = []): object {
  const thoughts = thinking === '' ? {} : { thinking };
  if (shape === 'response') return { response: content, ...thoughts };
  return { message: { role: 'assistant', content, ...thoughts, ...(calls.length > 0 && { tool_calls: calls }) } };
}

/** Ollama gives arguments as an object; those that were cut off stay out. */
function callOf(name: string, text: string): OllamaCall | undefined {
  try {
    return { function: { name, arguments: JSON.parse(text === '' ? '{}' : text) as unknown } };
  } catch {
    return undefined;
  }
}

function written(call: Call, asked: Asked, wanted: Wanted, shape: Shape): Promise<Response> {
  return answerResponse(call, asked, {
    stream: wanted.stream,
    format: jsonLines,
    whole: (answering) => whole(call, answering, wanted, shape),
    events: (answering) => lines(call, answering, wanted, shape),
  });
}

const contextOf = ({ prepared: { prompts } }: Answering, answer: readonly number[]): readonly number[] => [
  ...(prompts[0] ?? []),
  ...answer,
];

async function whole(call: Call, answering: Answering, wanted: Wanted, shape: Shape): Promise<object> {
  const [choice] = await collect(answering);
  if (choice === undefined) throw new Error('internal: an answer without a choice');
  const calls = choice.calls.flatMap(({ function: called }) => callOf(called.name, called.arguments) ?? []);
  return {
    ...headOf(answering.id),
    ...placed(shape, choice.content, choice.reasoning, calls),
    ...(wanted.logprobs !== undefined && {
      logprobs: chatLogprobs(answering.model, withoutEnd(answering.model, choice.pieces)),
    }),
    done: true,
    done_reason: choice.finishReason === 'length' ? 'length' : 'stop',
    ...(wanted.context && {
      context: contextOf(
        answering,
        choice.pieces.map(({ tokenId }) => tokenId),
      ),
    }),
    ...figures(call, answering.totals),
  };
}

async function* lines(call: Call, answering: Answering, wanted: Wanted, shape: Shape): AsyncGenerator<string, void> {
  const calls: { name: string; text: string }[] = [];
  for await (const event of answering) {
    const head = headOf(answering.id);
    const logprobs =
      wanted.logprobs === undefined
        ? {}
        : { logprobs: chatLogprobs(answering.model, withoutEnd(answering.model, event.pieces)) };
    if (event.kind === 'end') {
      const whole = calls.flatMap(({ name, text }) => callOf(name, text) ?? []);
      if (whole.length > 0) yield jsonLine({ ...head, ...placed(shape, '', '', whole), done: false });
      const reason = event.finishReason === 'length' ? 'length' : 'stop';
      yield jsonLine({
        ...head,
        ...placed(shape, '', ''),
        ...logprobs,
        done: true,
        done_reason: reason,
        ...(wanted.context && { context: contextOf(answering, event.result.tokenIds) }),
        ...figures(call, answering.totals),
      });
    } else if (event.part.kind === 'call') calls[event.part.call] = { name: event.part.name, text: '' };
    else if (event.part.kind === 'arguments') (calls[event.part.call] as { text: string }).text += event.part.text;
    else {
      const { kind, text } = event.part;
      const at = kind === 'text' ? placed(shape, text, '') : placed(shape, '', text);
      yield jsonLine({ ...head, ...at, ...logprobs, done: false });
    }
  }
}

/** What is longer than the context is cut, unless the request forbids it. */
const cut = (ids: readonly number[], model: Model, param: string): readonly number[] =>
  checkRoom(ids.slice(0, model.contextLength), model, param);

async function embedAll(call: Call, body: Body): Promise<Response> {
  const input = body.raw('input');
  const dimensions = body.get<number>('dimensions', aWhole(1));
  const fit = (body.get<boolean>('truncate', aBoolean) ?? true) ? cut : checkRoom;
  body.ignore('options');
  const asks = { modelName: body.get<string>('model', aText), keepAliveMs: keepAliveMs(body) };
  call.service.unreadFields.tell(call.route, body.unread());
  return inSlot(call, asks, async (model, id, signal, loadMs) => {
    checkDimensions(dimensions, model);
    const prompts = isNothing(input) ? [] : promptsOf(input, model, 'input', fit);
    const { vectors, tokens } = await embed(model, prompts, 'mean', signal);
    return Response.json({
      model: id,
      embeddings: vectors.map((vector) => [...vector]),
      total_duration: nanoseconds(performance.now() - call.start),
      load_duration: nanoseconds(loadMs),
      prompt_eval_count: tokens,
    });
  });
}

/** Nothing to embed loads the model, as an empty prompt does. */
const isNothing = (input: unknown): boolean =>
  input === undefined || input === '' || (isList(input) && input.length === 0);

/** The older route: one prompt, one vector. */
async function embedOne(call: Call, body: Body): Promise<Response> {
  const prompt = body.get<string>('prompt', aText);
  body.ignore('options');
  const asks = { modelName: body.get<string>('model', aText), keepAliveMs: keepAliveMs(body) };
  call.service.unreadFields.tell(call.route, body.unread());
  return inSlot(call, asks, async (model, _, signal) => {
    const prompts = isNothing(prompt) ? [] : promptsOf(prompt, model, 'prompt', cut);
    const { vectors } = await embed(model, prompts, 'mean', signal);
    return Response.json({ embedding: [...(vectors[0] ?? [])] });
  });
}
