// What can end a request before its time, and what is to be freed when it is over. Does not own what a request does.
import { ApiError } from './api-error.js';
import type { Call } from './service.js';

/**
 * What can end a request before its time: the client leaves, the server closes, its deadline passes. One signal, and what
 * is to be freed when it is over. (AbortSignal.any would keep something of every request at the server's own signal.)
 */
export class Ending {
  readonly #controller = new AbortController();
  readonly #undo: (() => void)[] = [];
  #isOutOfTime = false;

  readonly #deadlineMs: number;

  constructor({ request, service: { closing, limits } }: Call) {
    this.#deadlineMs = limits.deadlineMs;
    for (const signal of [request.signal, closing]) {
      const stop = () => this.stop(signal.reason);
      if (signal.aborted) stop();
      signal.addEventListener('abort', stop);
      this.#undo.push(() => signal.removeEventListener('abort', stop));
    }
  }

  /** It computes from now on: waiting for a model or a slot is not held against it. */
  startDeadline(): void {
    const late = new ApiError(503, 'The request took longer than the server lets it.', { code: 'deadline' });
    const deadline = setTimeout(
      () => {
        this.#isOutOfTime = true;
        this.stop(late);
      },
      // a timer of more than 24.8 days would go off at once
      Math.min(this.#deadlineMs, 2 ** 31 - 1),
    );
    this.#undo.push(() => clearTimeout(deadline));
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** It was the deadline. */
  get isOutOfTime(): boolean {
    return this.#isOutOfTime;
  }

  stop(reason: unknown): void {
    this.#controller.abort(reason);
  }

  onEnd(free: () => void): void {
    this.#undo.push(free);
  }

  /** Frees what the request held, once. */
  end(): void {
    for (const undo of this.#undo.splice(0).reverse()) undo();
  }
}
