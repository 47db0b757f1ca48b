// A model behind an OpenAI-compatible server: `relufy serve`, or any other. Reads /v1/models and the stream of
// /v1/chat/completions. Does not own loading, which the server does.
import type { ChatMessage } from '@relufy/models';
import { createParser } from 'eventsource-parser';
import type { Answer, ChatRequest, Engine, LoadChoice, LoadedModel, LoadProgress, Token } from './engine.js';

export interface ServerAddress {
  /** Ends before `/chat/completions`: `http://localhost:8080/v1`. */
  readonly url: string;
  readonly key?: string;
  /** Default: the first that the server lists. */
  readonly model?: string;
}

/** What of a chunk is read; all of it may be absent. */
interface Chunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly prompt_tokens_details?: { readonly cached_tokens?: number };
  } | null;
  readonly timings?: { readonly predicted_per_second?: number };
  /** Over the whole answer, as relufy serve tells it. */
  readonly sparsity?: { readonly readBytes?: number; readonly skippedBytes?: number };
  readonly error?: { readonly message?: string };
}

interface ListedModel {
  readonly id: string;
  readonly meta?: { readonly n_ctx_train?: number; readonly n_ctx?: number };
  readonly max_model_len?: number;
  readonly context_length?: number;
}

/** The library's names for what OpenAI's interface has, and those that relufy serve and llama-server take besides. */
const wireNames: Readonly<Record<string, string>> = {
  maxNewTokens: 'max_tokens',
  temperature: 'temperature',
  topP: 'top_p',
  topK: 'top_k',
  minP: 'min_p',
  typicalP: 'typical_p',
  repetitionPenalty: 'repeat_penalty',
  frequencyPenalty: 'frequency_penalty',
  presencePenalty: 'presence_penalty',
  seed: 'seed',
};

export class ServerEngine implements Engine {
  readonly kind = 'server';
  onDeath: ((reason: string) => void) | undefined;
  readonly #address: ServerAddress;
  #model = '';

  constructor(address: ServerAddress) {
    this.#address = { ...address, url: address.url.replace(/\/+$/, '') };
  }

  async load(_: LoadChoice, hear: (progress: LoadProgress) => void, signal: AbortSignal): Promise<LoadedModel> {
    hear({ stage: 'looking', loaded: 0, total: 0 });
    const response = await this.#fetch('models', { signal });
    const { data = [] } = (await response.json()) as { data?: readonly ListedModel[] };
    const wanted = this.#address.model;
    const model = data.find(({ id }) => id === wanted) ?? data[0];
    if (model === undefined) throw new Error(`The server at ${this.#address.url} offers no model.`);
    this.#model = model.id;
    const contextLength =
      model.meta?.n_ctx ?? model.context_length ?? model.max_model_len ?? model.meta?.n_ctx_train ?? 0;
    return {
      name: model.id,
      backend: `server at ${new URL(this.#address.url).host}`,
      threads: 0,
      contextLength,
      memoryBytes: 0,
      layers: 0,
      neurons: 0,
      sparse: false,
      planned: false,
      recommended: {},
    };
  }

  async generate(
    { system, messages, settings, dense, signal }: ChatRequest,
    hear: (tokens: readonly Token[]) => void,
  ): Promise<Answer> {
    const body = {
      model: this.#model,
      messages: system === '' ? messages : [{ role: 'system', content: system }, ...messages],
      stream: true,
      stream_options: { include_usage: true },
      ...Object.fromEntries(
        Object.entries(settings).flatMap(([key, value]) => (wireNames[key] ? [[wireNames[key], value]] : [])),
      ),
      ...(dense && { sparsity: 'dense' }),
    };
    let text = '';
    let [first, last, pieces] = [0, 0, 0];
    let finishReason: Answer['finishReason'] = 'stop';
    const seen: { -readonly [key in 'usage' | 'timings' | 'sparsity']?: Chunk[key] } = {};
    const take = (chunk: Chunk): void => {
      if (chunk.error) throw new Error(`The server says: ${chunk.error.message ?? 'an error'}`);
      for (const key of ['usage', 'timings', 'sparsity'] as const) if (chunk[key]) seen[key] = chunk[key] as never;
      const [choice] = chunk.choices ?? [];
      if (choice?.finish_reason === 'length') finishReason = 'length';
      const content = choice?.delta?.content ?? '';
      if (content === '') return;
      last = performance.now();
      first ||= last;
      pieces++;
      text += content;
      hear([{ text: content }]);
    };
    try {
      const response = await this.#fetch('chat/completions', { method: 'POST', body: JSON.stringify(body), signal });
      await readEvents(response, take);
    } catch (error) {
      if (!signal.aborted) throw error;
      if (text === '') throw signal.reason;
      finishReason = 'abort';
    }
    const { usage, timings, sparsity } = seen;
    const completionTokens = usage?.completion_tokens ?? pieces;
    const { readBytes, skippedBytes = 0 } = sparsity ?? {};
    return {
      text,
      finishReason,
      promptTokens: usage?.prompt_tokens ?? 0,
      cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? 0,
      completionTokens,
      tokensPerSecond: timings?.predicted_per_second ?? (pieces > 1 ? (1000 * (pieces - 1)) / (last - first) : 0),
      ...(readBytes !== undefined &&
        completionTokens > 0 && {
          weightBytes: readBytes / completionTokens,
          denseWeightBytes: (readBytes + skippedBytes) / completionTokens,
        }),
      forgotten: [],
    };
  }

  async count(_system: string, _messages: readonly ChatMessage[]): Promise<number | undefined> {
    return undefined;
  }

  dispose(): void {}

  async #fetch(route: string, init: RequestInit): Promise<Response> {
    const { url, key } = this.#address;
    const headers = { 'content-type': 'application/json', ...(key ? { authorization: `Bearer ${key}` } : {}) };
    const response = await fetch(`${url}/${route}`, { ...init, headers }).catch((cause) => {
      init.signal?.throwIfAborted();
      throw new Error(`No answer from ${url}. Start the server (relufy serve), or check its address.`, { cause });
    });
    if (response.ok) return response;
    const said = await response.text().catch(() => '');
    throw new Error(`The server at ${url} answers ${response.status}${said ? `: ${messageOf(said)}` : ''}`);
  }
}

function messageOf(body: string): string {
  try {
    return (JSON.parse(body) as Chunk).error?.message ?? body.slice(0, 200);
  } catch {
    return body.slice(0, 200);
  }
}

async function readEvents(response: Response, take: (chunk: Chunk) => void): Promise<void> {
  if (response.body === null) throw new Error('The server sent no answer.');
  const parser = createParser({
    onEvent: ({ data }) => {
      if (data !== '[DONE]') take(JSON.parse(data) as Chunk);
    },
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    parser.feed(value);
  }
}
