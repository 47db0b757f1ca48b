// The page's side of the worker: calls, their aborts, and the worker's death, which no event tells of. A worker holds a lock
// while it lives; who gets that lock knows that it has ended, whatever ended it.
// Does not own what the worker does (worker.ts).
import type { ChatMessage } from '@relufy/models';
import type { Answer, ChatRequest, Engine, LoadChoice, LoadedModel, LoadProgress, Token } from './engine.js';
import type { Call, FromWorker, Results, ToWorker } from './protocol.js';

interface Waiting {
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
  readonly hear?: (message: FromWorker) => void;
}

export class BrowserEngine implements Engine {
  readonly kind = 'browser';
  onDeath: ((reason: string) => void) | undefined;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listening = new AbortController();
  #calls = 0;
  #dead: Error | undefined;

  constructor() {
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'relufy engine' });
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#hear(data);
    this.#worker.onerror = (event) => this.#die(event.message || 'its script could not be loaded');
    const lock = `relufy-engine-${Math.random()}`;
    this.#post({ kind: 'start', lock });
    this.#watch(lock);
  }

  load(choice: LoadChoice, hear: (progress: LoadProgress) => void, signal: AbortSignal): Promise<LoadedModel> {
    return this.#call({ method: 'load', choice }, signal, (message) => {
      if (message.kind === 'progress') hear(message.progress);
    });
  }

  generate({ signal, ...request }: ChatRequest, hear: (tokens: readonly Token[]) => void): Promise<Answer> {
    return this.#call({ method: 'generate', request }, signal, (message) => {
      if (message.kind === 'tokens') hear(message.tokens);
    });
  }

  count(system: string, messages: readonly ChatMessage[]): Promise<number | undefined> {
    return this.#call({ method: 'count', system, messages });
  }

  dispose(): void {
    this.#listening.abort();
    this.onDeath = undefined;
    this.#worker.terminate();
    this.#fail(new Error('The model was unloaded.'));
  }

  #call<Method extends Call['method']>(
    call: Call & { readonly method: Method },
    signal?: AbortSignal,
    hear?: (message: FromWorker) => void,
  ): Promise<Results[Method]> {
    if (this.#dead) return Promise.reject(this.#dead);
    const id = ++this.#calls;
    const abort = () => this.#post({ kind: 'abort', id });
    return new Promise<Results[Method]>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, ...(hear && { hear }) });
      this.#post({ kind: 'call', id, call });
      signal?.addEventListener('abort', abort, { once: true });
      if (signal?.aborted) abort();
    }).finally(() => signal?.removeEventListener('abort', abort));
  }

  #hear(message: FromWorker): void {
    if (message.kind === 'ready') return;
    const waiting = this.#waiting.get(message.id);
    if (message.kind === 'result' || message.kind === 'error') this.#waiting.delete(message.id);
    if (message.kind === 'result') waiting?.resolve(message.result as never);
    else if (message.kind === 'error')
      waiting?.reject(message.aborted ? new DOMException(message.message, 'AbortError') : new Error(message.message));
    else waiting?.hear?.(message);
  }

  /** Locks are not everywhere: without them, only what `onerror` tells is known. */
  #watch(lock: string): void {
    const { locks } = navigator;
    if (locks === undefined) return;
    this.#worker.addEventListener('message', ({ data }: MessageEvent<FromWorker>) => {
      if (data.kind !== 'ready') return;
      locks
        .request(lock, { signal: this.#listening.signal }, () => this.#die('it ended, perhaps for want of memory'))
        .catch(() => {}); // no longer listening
    });
  }

  #die(reason: string): void {
    if (this.#dead) return;
    this.#fail(new Error(`The engine stopped: ${reason}. Your chats are kept; load the model again.`));
    this.#worker.terminate();
    this.onDeath?.(reason);
  }

  #fail(error: Error): void {
    this.#dead ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }
}
