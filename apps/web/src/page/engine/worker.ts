// The engine in a worker: loads a model and answers, so that the page never waits. Owns one model at a time, the order of
// calls, and how tokens are handed over in batches. Does not own finding files (models/) nor turns that no longer fit into
// the context (@relufy/chat's Conversation).
import { type ChatModel, Conversation } from '@relufy/chat/conversation';
import { type Settings, settingTable } from '@relufy/chat/settings';
import { type ChatMessage, type GenerateOptions, loadModelFiles, type Model, type Piece } from '@relufy/models';
import { refuseTooLarge } from '../models/memory.js';
import { openChoice } from '../models/open-choice.js';
import { openPlan } from '../models/open-plan.js';
import type { Answer, LoadChoice, LoadedModel, LoadProgress, Token } from './engine.js';
import type { Call, FromWorker, Results, ToWorker } from './protocol.js';

interface Scope {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}

const scope = self as unknown as Scope;
const running = new Map<number, AbortController>();
let model: Model | undefined;

scope.onmessage = ({ data }) => {
  if (data.kind === 'start') start(data.lock);
  else if (data.kind === 'abort') running.get(data.id)?.abort(new DOMException('Stopped.', 'AbortError'));
  else void answerCall(data.id, data.call);
};

function start(lock: string): void {
  const forLife = () => {
    scope.postMessage({ kind: 'ready' });
    return new Promise<never>(() => {});
  };
  void navigator.locks?.request(lock, forLife);
}

async function answerCall(id: number, call: Call): Promise<void> {
  const stop = new AbortController();
  running.set(id, stop);
  try {
    scope.postMessage({ kind: 'result', id, result: await run(id, call, stop.signal) });
  } catch (error) {
    const aborted = stop.signal.aborted;
    scope.postMessage({ kind: 'error', id, message: error instanceof Error ? error.message : String(error), aborted });
  } finally {
    running.delete(id);
  }
}

function run(id: number, call: Call, signal: AbortSignal): Promise<Results[Call['method']]> {
  switch (call.method) {
    case 'load':
      return load(call.choice, (progress) => scope.postMessage({ kind: 'progress', id, progress }), signal);
    case 'generate': {
      const tokens = new TokenBatches((batch) => scope.postMessage({ kind: 'tokens', id, tokens: batch }));
      return generate(call.request, tokens, signal).finally(() => tokens.flush());
    }
    case 'count':
      return Promise.resolve(count(call.system, call.messages));
  }
}

async function load(
  choice: LoadChoice,
  hear: (progress: LoadProgress) => void,
  signal: AbortSignal,
): Promise<LoadedModel> {
  await model?.dispose();
  model = undefined;
  hear({ stage: 'looking', loaded: 0, total: 0 });
  const { files, notKept } = await openChoice(choice.model, hear, signal);
  const plan = choice.plan && (await openPlan(choice.plan, signal));
  const options = {
    dtype: choice.dtype,
    ...(choice.contextLength > 0 && { contextLength: choice.contextLength }),
    ...(plan && { plan }),
    signal,
  };
  await refuseTooLarge(files, options);
  const bytes = new Map<string, { loaded: number; total: number }>();
  model = await loadModelFiles(files, {
    ...options,
    backend: 'wasm',
    ...(choice.threads > 0 && { threads: choice.threads }),
    onProgress: (event) => {
      if (event.status !== 'progress' || !('file' in event)) return;
      bytes.set(event.file, { loaded: event.loaded, total: event.total });
      const sum = (of: 'loaded' | 'total') => [...bytes.values()].reduce((all, one) => all + one[of], 0);
      hear({ stage: 'loading', loaded: sum('loaded'), total: sum('total') });
    },
  });
  const { spec, backend } = model;
  return {
    name: model.name,
    backend,
    threads: Number(/(\d+) thread/.exec(backend)?.[1] ?? 1),
    contextLength: model.contextLength,
    memoryBytes: model.memoryBytes,
    layers: spec.numHiddenLayers,
    neurons: spec.intermediateSize,
    sparse: model.sparsity === 'exact',
    planned: plan !== undefined,
    recommended: settingsOf(model.recommendedSampling),
    ...(notKept !== undefined && { notKept }),
  };
}

const settingsOf = (options: object): Settings =>
  Object.fromEntries(Object.entries(options).filter(([key]) => settingTable.some((setting) => setting.key === key)));

function loaded(): Model {
  if (model === undefined) throw new Error('No model is loaded. Choose one.');
  if (!model.tokenizer?.hasChatTemplate)
    throw new Error(`${model.name} has no chat template: it is no chat model. Choose one that was made for chats.`);
  return model;
}

async function generate(
  { system, messages, settings, dense, activity }: (Call & { method: 'generate' })['request'],
  tokens: TokenBatches,
  signal: AbortSignal,
): Promise<Answer> {
  const own = loaded();
  const conversation = new Conversation(heard(own, { activity, ...(dense && { sparsity: 'dense' }) }, tokens), {
    ...(system !== '' && { system }),
    settings,
  });
  conversation.load(messages.slice(0, -1));
  const question = messages.at(-1)?.content;
  if (typeof question !== 'string') throw new Error('internal: the last message has no text');
  const { result } = await conversation.answer(question, { signal });
  if (result === undefined) throw signal.reason;
  const { stats, usage } = result;
  return {
    text: result.text,
    finishReason: result.finishReason,
    ...usage,
    tokensPerSecond: stats.tokensPerSecond,
    seed: result.seed,
    weightBytes: stats.weightBytesPerToken,
    denseWeightBytes: stats.denseWeightBytesPerToken,
    forgotten: conversation.forgottenPlaces,
  };
}

/** The model as a conversation sees it; the page hears each token. */
function heard(own: Model, more: Pick<GenerateOptions, 'activity' | 'sparsity'>, tokens: TokenBatches): ChatModel {
  return {
    name: own.name,
    backend: own.backend,
    contextLength: own.contextLength,
    memoryBytes: own.memoryBytes,
    tokenizer: own.tokenizer,
    stats: () => own.stats(),
    generate(prompt, options) {
      const stream = own.generate(prompt, { ...options, ...more });
      const pieces = async function* (): AsyncGenerator<Piece, void> {
        for await (const piece of stream) {
          tokens.push({ text: piece.text, ...(piece.activity && { activity: piece.activity }) });
          yield piece;
        }
      };
      return { result: stream.result, [Symbol.asyncIterator]: pieces };
    },
  };
}

function count(system: string, messages: readonly ChatMessage[]): number | undefined {
  if (!model?.tokenizer?.hasChatTemplate) return undefined;
  const all = system === '' ? messages : [{ role: 'system' as const, content: system }, ...messages];
  return all.length === 0 ? 0 : model.tokenizer.encodeChat(all, { addGenerationPrompt: false }).length;
}

/** A message a frame is enough: hundreds of tokens a second would hold up the page. */
class TokenBatches {
  readonly #post: (tokens: readonly Token[]) => void;
  #tokens: Token[] = [];
  #last = 0;

  constructor(post: (tokens: readonly Token[]) => void) {
    this.#post = post;
  }

  push(token: Token): void {
    this.#tokens.push(token);
    if (performance.now() - this.#last > 14) this.flush();
  }

  flush(): void {
    this.#last = performance.now();
    if (this.#tokens.length > 0) this.#post(this.#tokens);
    this.#tokens = [];
  }
}
