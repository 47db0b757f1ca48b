// A handler over the bundled model, for tests: requests in, JSON or events out. Not part of the package.
import { fileURLToPath } from 'node:url';
import { type LoadOptions, loadModel, type Model } from '@relufy/models';
import { createHandler, type Handler, type HandlerOptions } from '../handler.js';
import type { ServedModel } from '../served-models.js';

export const talesFolder = fileURLToPath(new URL('../../../../packages/llama-tales/model/', import.meta.url));

/** The bundled model under a name; `load` takes what loading takes. */
export function tales(id = 'tales', options: LoadOptions = {}): ServedModel {
  return { id, load: (hooks) => loadModel(talesFolder, { threads: 1, slots: 4, ...options, ...hooks }) };
}

/** A model that is there already; the handler disposes it. */
export const loaded = (id: string, model: Model): ServedModel => ({ id, load: async () => model });

export interface Served {
  readonly handler: Handler;
  /** POSTs JSON, or GETs where there is no body. */
  ask(path: string, body?: unknown, init?: RequestInit): Promise<Response>;
  /** The JSON of an answer with that status. */
  json(path: string, body?: unknown, status?: number): Promise<Told>;
  /** The objects of a stream of events, without the last line [DONE]. */
  events(path: string, body: unknown): Promise<Told[]>;
}

interface ToldCall {
  readonly index: number;
  readonly id?: string;
  readonly function: { readonly name?: string; readonly arguments: string };
}

interface ToldMessage {
  readonly role: string;
  readonly content: string;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly ToldCall[];
}

/** What tests read of answers, of whatever route. */
export interface Told {
  readonly id: string;
  readonly model: string;
  readonly type: string;
  readonly status: string;
  readonly sequence_number: number;
  readonly choices: readonly {
    readonly index: number;
    readonly text: string;
    readonly message: ToldMessage;
    readonly delta: Partial<ToldMessage>;
    readonly finish_reason: string | null;
    readonly logprobs: {
      readonly content: readonly { readonly token: string; readonly logprob: number }[];
      readonly tokens: readonly string[];
      readonly token_logprobs: readonly (number | null)[];
      readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[];
      readonly text_offset: readonly number[];
    } | null;
  }[];
  readonly usage: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly prompt_tokens_details: { readonly cached_tokens: number };
  } | null;
  readonly data: readonly {
    readonly id: string;
    readonly index: number;
    readonly embedding: readonly number[] | string;
  }[];
  readonly error: { readonly message: string; readonly code: string; readonly param: string };
  readonly message: ToldMessage;
  readonly response: string;
  readonly done: boolean;
  readonly tokens: readonly number[];
  readonly embeddings: readonly (readonly number[])[];
  readonly sparsity: { readonly activeRatio: number; readonly readBytes: number; readonly skippedBytes: number };
}

export function served(options: Partial<HandlerOptions> = {}): Served {
  const handler = createHandler({ models: [tales()], ...options });
  const ask = (path: string, body?: unknown, init: RequestInit = {}) =>
    handler.fetch(
      new Request(`http://127.0.0.1${path}`, {
        ...(body !== undefined && {
          method: 'POST',
          body: typeof body === 'string' ? body : JSON.stringify(body),
          headers: { 'Content-Type': 'application/json' },
        }),
        ...init,
      }),
    );
  return {
    handler,
    ask,
    json: async (path, body, status = 200) => {
      const response = await ask(path, body);
      const text = await response.text();
      if (response.status !== status) throw new Error(`${path}: expected ${status}, got ${response.status}: ${text}`);
      return JSON.parse(text) as Told;
    },
    events: async (path, body) => eventsOf(await (await ask(path, body)).text()),
  };
}

/** Server-sent events, or lines of JSON. */
export function eventsOf(text: string): Told[] {
  return text
    .split('\n')
    .filter((line) => /^(data: )?\{/.test(line))
    .map((line) => JSON.parse(line.replace(/^data: /, '')) as Told);
}
