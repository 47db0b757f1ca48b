// The models that a server offers: loaded when first asked for, shared by requests, unloaded when nobody has asked for a
// while or when another one needs the memory. Does not own how a model is loaded, nor who may use it when (lanes.ts).
import type { Model, ProgressEvent } from '@relufy/models';
import { ApiError } from './api-error.js';
import { Lanes } from './lanes.js';

/** What is known of a model before it is loaded. */
export interface ModelFacts {
  readonly modelType?: string;
  readonly parameters?: number;
  readonly contextLength?: number;
  /** Bytes of its files. */
  readonly sizeBytes?: number;
  /** As `int4`, or `f32`. */
  readonly dtype?: string;
  /** Bytes that it will take in memory, for the budget. */
  readonly memoryBytes?: number;
}

export interface LoadHooks {
  readonly signal: AbortSignal;
  readonly onProgress: (event: ProgressEvent) => void;
}

/** A model that a server offers. */
export interface ServedModel {
  /** What requests call it. */
  readonly id: string;
  /** Other names for it. */
  readonly aliases?: readonly string[];
  readonly load: (hooks: LoadHooks) => Promise<Model>;
  readonly facts?: ModelFacts;
}

export interface ServedModelsOptions {
  /** Generations of one model at a time, where it has slots for them. */
  readonly slots: number;
  /** Requests for one model that wait. */
  readonly queue: number;
  /** How long a model stays that nobody asks for; `Infinity`: for ever. */
  readonly keepAliveMs: number;
  /** Bytes that all loaded models may take together. */
  readonly memoryBytes: number;
  readonly onEvent: (event: ModelEvent) => void;
}

export interface ModelEvent {
  readonly model: string;
  readonly event: 'load' | 'ready' | 'unload' | 'failed';
  readonly ms?: number;
  readonly error?: unknown;
}

/** A model that somebody uses: it stays until `release`. */
export interface Lease {
  readonly id: string;
  readonly model: Model;
  /** How long loading took within this lease; 0 where the model was there. */
  readonly loadMs: number;
  /** `keepAliveMs`: how long it is to stay from now on, where a request says so. */
  release(keepAliveMs?: number): void;
}

interface Entry {
  readonly served: ServedModel;
  readonly lanes: Lanes;
  readonly created: number;
  model: Model | undefined;
  loading: Promise<Model> | undefined;
  unloading: Promise<void> | undefined;
  /** From 0 to 1. */
  progress: number;
  users: number;
  usedAt: number;
  expiresAt: number;
  timer: NodeJS.Timeout | undefined;
  /** What it took when it was last loaded. */
  memoryBytes: number | undefined;
}

/** 24.8 days: a longer timer would go off at once, and who asks for more wants the model to stay. */
const longestTimer = 2 ** 31 - 1;

export interface ModelState {
  readonly served: ServedModel;
  readonly state: 'unloaded' | 'loading' | 'loaded';
  readonly progress: number;
  readonly model: Model | undefined;
  readonly created: number;
  readonly expiresAt: number;
  readonly lanes: Lanes;
}

export class ServedModels {
  readonly #entries: readonly Entry[];
  readonly #options: ServedModelsOptions;
  readonly #closing = new AbortController();
  #turn: Promise<unknown> = Promise.resolve();

  /** @throws Error `internal:` for no model, or two of a name: the command and the handler check what they are given. */
  constructor(models: readonly ServedModel[], options: ServedModelsOptions) {
    this.#options = options;
    if (new Set(models.map(({ id }) => id)).size !== models.length || models.length === 0)
      throw new Error('internal: served models need names of their own');
    this.#entries = models.map((served) => ({
      served,
      lanes: new Lanes(1, options.queue),
      created: Math.floor(Date.now() / 1000),
      model: undefined,
      loading: undefined,
      unloading: undefined,
      progress: 0,
      users: 0,
      usedAt: 0,
      expiresAt: 0,
      timer: undefined,
      memoryBytes: served.facts?.memoryBytes,
    }));
  }

  states(): readonly ModelState[] {
    return this.#entries.map(({ served, model, loading, progress, created, expiresAt, lanes }) => ({
      served,
      state: model ? 'loaded' : loading ? 'loading' : 'unloaded',
      progress: model ? 1 : progress,
      model,
      created,
      expiresAt,
      lanes,
    }));
  }

  /**
   * The model that a request means: none named is the first, and where there is one, it answers to every name, as
   * llama-server's does. Ollama's clients add `:latest`.
   * @throws ApiError 404 for a name that is not served.
   */
  find(name: string | undefined): ModelState {
    const plain = name?.replace(/:latest$/, '');
    const [first] = this.#entries as [Entry, ...Entry[]];
    const named = this.#entries.find(
      ({ served: { id, aliases = [] } }) =>
        [id, ...aliases].includes(name ?? '') || [id, ...aliases].includes(plain ?? ''),
    );
    const found = named ?? (this.#entries.length === 1 || name === undefined || name === '' ? first : undefined);
    if (found === undefined)
      throw new ApiError(
        404,
        `model: expected ${this.#entries.map(({ served }) => served.id).join(', ')}, got ${JSON.stringify(name?.slice(0, 100))}.`,
        { param: 'model', code: 'model_not_found' },
      );
    return this.states()[this.#entries.indexOf(found)] as ModelState;
  }

  /** Loads the model where it is not there. @throws ApiError 503 where it cannot be loaded. */
  async lease(id: string, signal: AbortSignal): Promise<Lease> {
    const entry = this.#entries.find(({ served }) => served.id === id) as Entry;
    entry.users++;
    clearTimeout(entry.timer);
    const start = performance.now();
    const wasThere = entry.model !== undefined;
    let released = false;
    const release = (keepAliveMs = this.#options.keepAliveMs) => {
      if (released) return;
      released = true;
      entry.users--;
      entry.usedAt = Date.now();
      this.#expire(entry, keepAliveMs);
    };
    try {
      const model = await untilAborted(this.#model(entry), signal);
      return { id, model, loadMs: wasThere ? 0 : performance.now() - start, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Unloads everything; what still computes ends after its step. */
  async close(): Promise<void> {
    this.#closing.abort(new ApiError(503, 'The server is shutting down.', { code: 'shutting_down' }));
    for (const entry of this.#entries) clearTimeout(entry.timer);
    await Promise.allSettled(
      this.#entries.map(async (entry) => {
        const model = entry.model ?? (await entry.loading?.catch(() => undefined));
        await model?.dispose();
        entry.model = undefined;
      }),
    );
  }

  #model(entry: Entry): Promise<Model> {
    if (entry.model) return Promise.resolve(entry.model);
    if (entry.loading) return entry.loading;
    entry.progress = 0;
    // one model is loaded at a time: two would not know what room the other takes
    const loading = this.#turn.then(() => this.#load(entry));
    this.#turn = loading.catch(() => {});
    entry.loading = loading.finally(() => {
      entry.loading = undefined;
    });
    entry.loading.catch(() => {});
    return entry.loading;
  }

  async #load(entry: Entry): Promise<Model> {
    const { served } = entry;
    const { signal } = this.#closing;
    signal.throwIfAborted();
    await entry.unloading;
    await this.#makeRoom(entry);
    const start = performance.now();
    this.#options.onEvent({ model: served.id, event: 'load' });
    try {
      const model = await served.load({
        signal,
        onProgress: (event) => {
          if (event.status === 'progress' && Number.isFinite(event.progress)) entry.progress = event.progress / 100;
        },
      });
      const { memoryBytes } = model;
      entry.memoryBytes = memoryBytes;
      if (memoryBytes > this.#options.memoryBytes) {
        await model.dispose();
        throw tooLarge(served.id, memoryBytes, this.#options.memoryBytes);
      }
      entry.model = model;
      entry.lanes.resize(Math.min(this.#options.slots, model.slots));
      await this.#makeRoom(entry);
      this.#options.onEvent({ model: served.id, event: 'ready', ms: performance.now() - start });
      return model;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      this.#options.onEvent({ model: served.id, event: 'failed', error });
      throw error;
    }
  }

  /** Unloads those that nobody uses, the longest unused first, until this one fits. */
  async #makeRoom(entry: Entry): Promise<void> {
    const { memoryBytes: budget } = this.#options;
    const needed = entry.memoryBytes ?? 0;
    if (needed > budget) throw tooLarge(entry.served.id, needed, budget);
    const others = () => this.#entries.filter((other) => other !== entry && other.model !== undefined);
    const taken = () => others().reduce((sum, { model }) => sum + (model as Model).memoryBytes, 0);
    while (taken() + needed > budget) {
      const [idle] = others()
        .filter(({ users }) => users === 0)
        .sort((a, b) => a.usedAt - b.usedAt);
      if (idle === undefined)
        throw new ApiError(
          503,
          `model ${entry.served.id}: the models in use leave no room for it (${taken()} of ${budget} bytes). Try again later, or raise --memory.`,
          { code: 'no_memory', retryAfterSeconds: 5 },
        );
      await this.#unload(idle);
    }
  }

  #expire(entry: Entry, keepAliveMs: number): void {
    clearTimeout(entry.timer);
    const isForEver = keepAliveMs > longestTimer;
    entry.expiresAt = isForEver ? Number.POSITIVE_INFINITY : Date.now() + keepAliveMs;
    if (entry.users > 0 || isForEver) return;
    entry.timer = setTimeout(() => {
      if (entry.users === 0) this.#unload(entry).catch(() => {});
    }, keepAliveMs);
    entry.timer.unref();
  }

  #unload(entry: Entry): Promise<void> {
    const { model } = entry;
    if (model === undefined) return Promise.resolve();
    entry.model = undefined;
    this.#options.onEvent({ model: entry.served.id, event: 'unload' });
    entry.unloading = model.dispose().finally(() => {
      entry.unloading = undefined;
    });
    return entry.unloading;
  }
}

function tooLarge(id: string, needed: number, budget: number): ApiError {
  return new ApiError(
    503,
    `model ${id}: expected at most ${budget} bytes of memory, needs ${needed}. Raise --memory, or load it with --dtype int4 or a shorter --context-length.`,
    { code: 'no_memory' },
  );
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
