// The server as a function from Request to Response: routes, and what goes before all of them (keys, hosts, origins,
// limits, the log). Mounts in any app that speaks fetch. Does not own a socket (listen.ts) nor any route's work.
import { setMaxListeners } from 'node:events';
import { type Context, Hono } from 'hono';
import { cors } from 'hono/cors';
import { ApiError, apiErrorOf } from './api-error.js';
import { ApiKeys } from './api-keys.js';
import { batchRoutes } from './batch-routes.js';
import { Batches, type BatchOptions } from './batches.js';
import { type Body, readBody } from './body.js';
import { chatCompletions } from './chat-completions.js';
import { completions } from './completions.js';
import { embeddings } from './embeddings.js';
import { whenRead } from './event-stream.js';
import { type Log, OncePerField, silent } from './log.js';
import { Metrics } from './metrics.js';
import { health, listModels, props, showModel, slots } from './model-routes.js';
import { ollamaRoutes } from './ollama.js';
import { readOnly } from './ollama-models.js';
import { responses } from './responses.js';
import { type ServedModel, ServedModels } from './served-models.js';
import type { Call, Service } from './service.js';
import { refuseStrangers } from './strangers.js';
import { applyTemplate, detokenize, tokenize, tokenizerInfo } from './tokens.js';

export interface HandlerOptions {
  readonly models: readonly ServedModel[];
  /** Any of these must be shown as a bearer token or `x-api-key`. Default: none is asked for. */
  readonly apiKeys?: readonly string[];
  /** Generations of one model at a time, at most as many as it was loaded with slots. Default: those. */
  readonly slots?: number;
  /** Requests for one model that wait for a slot. Default 64. */
  readonly queue?: number;
  /** How long a model stays that nobody asks for. Default: for ever where there is one, else five minutes. */
  readonly keepAliveMs?: number;
  /** Bytes that the loaded models may take together. Default: no limit. */
  readonly memoryBytes?: number;
  /** Largest body. Default 8 MiB. */
  readonly bodyBytes?: number;
  /** Silence after which a stream sends a comment. Default 15 s. */
  readonly pingMs?: number;
  /** The longest that one request computes; what there is then is the answer. Default: an hour. */
  readonly deadlineMs?: number;
  /** Origins whose pages may call the server. Default: none but its own. */
  readonly origins?: readonly string[];
  /** Names by which the server may be called (the Host header). Default: any. */
  readonly hosts?: readonly string[];
  readonly log?: Log;
  /** Prompts and answers go to the log. Default false. */
  readonly logsPrompts?: boolean;
  /** What a chat leaves open is as the model's author recommends. Default true. */
  readonly recommendedSampling?: boolean;
  /** What is said of ourselves. */
  readonly version?: string;
  /** Takes batches, and works on them. Default: neither. */
  readonly batches?: BatchOptions;
  /** Answers what is no route, such as the files of a page; undefined: 404. */
  readonly page?: (request: Request) => Promise<Response | undefined> | Response | undefined;
}

export interface RequestContext {
  /** Who asks, where no key tells: an address. Clients are served round robin. */
  readonly client?: string | undefined;
  /** Gives way to people. */
  readonly isBatch?: boolean;
  /** The server's own request: no key is asked for. */
  readonly isOwn?: boolean;
}

export interface Handler {
  /** Never throws; every error is an answer. */
  readonly fetch: (request: Request, context?: RequestContext) => Promise<Response>;
  /** Resolves when the queue of batches is connected. @throws RelufyError `io` where it is not there. */
  readonly ready: Promise<void>;
  /** Loads a model before anybody asks; until it is there the server says that it is loading. */
  readonly preload: (id: string) => Promise<void>;
  /** From now on new requests are refused. */
  readonly refuse: () => void;
  /** Ends what runs, and unloads the models. */
  readonly close: () => Promise<void>;
  /** Requests that are being answered. */
  readonly active: () => number;
}

interface Env {
  Bindings: { readonly context: RequestContext };
  Variables: { call: Call };
}

type Route = (call: Call, body: Body) => Promise<Response> | Response;

/** @throws Error `internal:` for no model or two of a name. */
export function createHandler(options: HandlerOptions): Handler {
  const { log = silent, origins = [] } = options;
  const closing = new AbortController();
  // every request that runs listens to it, and ends listening
  setMaxListeners(0, closing.signal);
  let preloading: string | undefined;
  let refusing = false;
  const models: ServedModels = new ServedModels(options.models, {
    slots: options.slots ?? Number.POSITIVE_INFINITY,
    queue: options.queue ?? 64,
    keepAliveMs: options.keepAliveMs ?? (options.models.length > 1 ? 300_000 : Number.POSITIVE_INFINITY),
    memoryBytes: options.memoryBytes ?? Number.POSITIVE_INFINITY,
    onEvent: ({ model, event, ms, error }) => {
      if (event === 'failed') log.error({ model, error: String(error) }, 'a model could not be loaded');
      else log.info({ model, ...(ms !== undefined && { ms: Math.round(ms) }) }, `model: ${event}`);
    },
  });
  const service: Service = {
    models,
    metrics: new Metrics(() => models),
    log,
    unreadFields: new OncePerField(log),
    limits: {
      bodyBytes: options.bodyBytes ?? 8 << 20,
      pingMs: options.pingMs ?? 15_000,
      deadlineMs: options.deadlineMs ?? 3_600_000,
    },
    logsPrompts: options.logsPrompts ?? false,
    recommendedSampling: options.recommendedSampling ?? true,
    version: options.version ?? '0.0.0',
    closing: closing.signal,
  };
  const keys = new ApiKeys(options.apiKeys ?? []);
  const app = new Hono<Env>();

  app.use(async (context, next) => {
    const request = context.req.raw;
    const start = performance.now();
    await next();
    const { status } = context.res;
    const route = routeOf(context);
    service.metrics.request(route, status);
    const ms = Math.round(performance.now() - start);
    const { notes = {}, client } = context.get('call') ?? {};
    const level = route === '/health' || route === '/metrics' ? undefined : status >= 500 ? 'error' : 'info';
    if (level) log[level]({ method: knownMethod(request.method), route, status, ms, client, ...notes }, 'request');
  });
  if (origins.length > 0) app.use(cors({ origin: origins.includes('*') ? '*' : [...origins] }));
  app.use(async (context, next) => {
    const request = context.req.raw;
    refuseStrangers(request, options);
    const isOpen = ['/health', '/v1/health'].includes(context.req.path);
    const bindings = context.env?.context ?? {};
    const client = bindings.isOwn ? 'batches' : keys.clientOf(request.headers);
    if (client === undefined && !isOpen) {
      // a page at / asks for the key itself
      const page = context.req.method === 'GET' ? await options.page?.(request) : undefined;
      if (page) return page;
      throw new ApiError(401, 'An API key is needed: send it as "Authorization: Bearer KEY".', {
        code: 'invalid_api_key',
      });
    }
    if (refusing && !isOpen)
      throw new ApiError(503, 'The server is shutting down.', { code: 'shutting_down', retryAfterSeconds: 1 });
    context.set('call', {
      service,
      request,
      route: routeOf(context),
      client: keys.isOpen ? (bindings.client ?? 'anyone') : (client ?? 'anyone'),
      isBatch: bindings.isBatch ?? false,
      start: performance.now(),
      notes: {},
    });
    await next();
  });

  const callOf = (context: Context<Env>): Call => ({ ...context.get('call'), route: routeOf(context) });
  const post = (paths: readonly string[], route: Route) => {
    for (const path of paths)
      app.post(path, async (context) => {
        const call = context.get('call');
        if (preloading !== undefined) throw stillLoading(service, preloading);
        const body = await readBody(call.request, service.limits.bodyBytes);
        return route({ ...call, route: path }, body);
      });
  };
  const get = (
    paths: readonly string[],
    route: (call: Call, context: Context<Env>) => Response | Promise<Response>,
  ) => {
    for (const path of paths) app.get(path, (context) => route(callOf(context), context));
  };

  post(['/v1/chat/completions', '/chat/completions'], chatCompletions);
  post(['/v1/completions', '/completions'], completions);
  post(['/v1/responses', '/responses'], responses);
  post(['/v1/embeddings', '/embeddings'], embeddings);
  post(['/tokenize'], tokenize);
  post(['/detokenize'], detokenize);
  post(['/apply-template'], applyTemplate);
  get(['/tokenizer_info'], tokenizerInfo);
  get(['/v1/models', '/models'], listModels);
  app.get('/v1/models/:id{.+}', (context) => showModel(callOf(context), context.req.param('id')));
  get(['/props'], props);
  get(['/slots'], slots);
  get(['/health', '/v1/health'], () => health(service, refusing, preloading));
  get(
    ['/metrics'],
    async () =>
      new Response(await service.metrics.text(), { headers: { 'Content-Type': service.metrics.contentType } }),
  );
  ollamaRoutes(post, get);
  app.delete('/api/delete', readOnly);
  const raw = (method: string, path: string, route: (context: Context<Env>, call: Call) => Promise<Response>) =>
    app.on(method, path, (context) => route(context, callOf(context)));
  let batches: Promise<Batches> | undefined;
  batchRoutes(post, raw as never, () => batches);
  app.notFound(async (context) => {
    const page = ['GET', 'HEAD'].includes(context.req.method) ? await options.page?.(context.req.raw) : undefined;
    if (page) return page;
    // Ollama's clients look here whether anybody is at home
    if (context.req.path === '/') return new Response('Relufy is running\n');
    return answerError(
      context,
      new ApiError(404, 'No such route. GET /v1/models tells what is served.', { code: 'not_found' }),
    );
  });
  app.onError((error, context) => {
    // nobody hears what is answered to a client that has left
    if (context.req.raw.signal.aborted) return new Response(null, { status: 499 });
    const answer = apiErrorOf(error);
    if (answer.status >= 500) log.error({ route: routeOf(context), error: described(error) }, 'a request failed');
    return answerError(context, answer);
  });

  let active = 0;
  const fetch = async (request: Request, context: RequestContext = {}): Promise<Response> => {
    active++;
    try {
      return whenRead(await app.fetch(request, { context }), () => active--);
    } catch (error) {
      active--;
      throw error;
    }
  };
  if (options.batches) {
    batches = Batches.open(options.batches, async (path, body, signal) => {
      const request = new Request(`http://127.0.0.1${path}`, { method: 'POST', body, signal });
      const response = await fetch(request, { isBatch: true, isOwn: true });
      return { status: response.status, body: await response.json() };
    });
  }
  const ready = Promise.resolve(batches).then(() => {});
  ready.catch(() => {}); // whoever waits for it hears of it, and each request for a batch
  return {
    fetch,
    ready,
    preload: async (id) => {
      preloading = id;
      try {
        (await models.lease(models.find(id).served.id, closing.signal)).release();
      } finally {
        preloading = undefined;
      }
    },
    refuse: () => {
      refusing = true;
    },
    close: async () => {
      refusing = true;
      closing.abort(new ApiError(503, 'The server is shutting down.', { code: 'shutting_down', retryAfterSeconds: 1 }));
      await (await batches?.catch(() => undefined))?.close();
      await models.close();
    },
    active: () => active,
  };
}

/** The pattern, never what a stranger wrote into the address. */
function routeOf(context: Context): string {
  const path = context.req.routePath;
  return path === '*' || path === '/*' ? '(none)' : path;
}

const knownMethod = (method: string): string =>
  ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].includes(method) ? method : 'other';

function answerError(context: Context, error: ApiError): Response {
  const body = context.req.path.startsWith('/api/') ? error.ollamaBody : error.body;
  return Response.json(body, { status: error.status, headers: error.headers });
}

function stillLoading(service: Service, id: string): ApiError {
  const progress = service.models.find(id).progress;
  return new ApiError(503, `The model ${id} is loading (${Math.floor(100 * progress)} %). Try again in a moment.`, {
    code: 'loading',
    retryAfterSeconds: 1,
  });
}

function described(error: unknown): string {
  const { cause } = error as { readonly cause?: unknown };
  const source = error instanceof ApiError && cause !== undefined ? cause : error;
  return source instanceof Error ? (source.stack ?? source.message) : String(source);
}
