// Who may use a model now, and who waits: as many generations at once as the model has slots, a bounded queue in which
// clients are served round robin, and people before batch jobs. Does not own what a slot computes (@relufy/models).
import { ApiError } from './api-error.js';

export interface Entrance {
  /** Slots that the request takes. */
  readonly slots: number;
  /** Requests of one client wait behind each other, not before others' requests. */
  readonly client: string;
  readonly isBatch: boolean;
  readonly signal: AbortSignal;
}

interface Waiting extends Entrance {
  readonly enter: () => void;
}

export class Lanes {
  #slots: number;
  readonly #mostWaiting: number;
  #busy = 0;
  #waiting: Waiting[] = [];
  /** The client that entered last: the next one is another, where there is one. */
  #lastClient = '';
  /** How long a request holds its slots, on average of late. */
  #meanMs = 1000;

  constructor(slots: number, mostWaiting: number) {
    this.#slots = slots;
    this.#mostWaiting = mostWaiting;
  }

  get slots(): number {
    return this.#slots;
  }

  /** As many as the model has, now that it is there. */
  resize(slots: number): void {
    this.#slots = slots;
    this.#admit();
  }

  get busy(): number {
    return this.#busy;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Resolves when the request may begin; call what it gives when it has ended.
   * @throws ApiError 429 where too many wait already; the signal's reason when it aborts.
   */
  async enter(entrance: Entrance): Promise<() => void> {
    entrance.signal.throwIfAborted();
    const slots = Math.min(entrance.slots, this.slots);
    if (this.#waiting.length > 0 || this.#busy + slots > this.slots) await this.#wait({ ...entrance, slots });
    else this.#take(entrance.client, slots);
    const start = performance.now();
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#meanMs += (performance.now() - start - this.#meanMs) / 8;
      this.#busy -= slots;
      this.#admit();
    };
  }

  #wait(entrance: Entrance): Promise<void> {
    if (this.#waiting.length >= this.#mostWaiting)
      throw new ApiError(
        429,
        `The server is busy: ${this.#busy} of ${this.slots} slots are taken and ${this.#waiting.length} requests wait. Try again later, or raise --slots or --queue.`,
        { code: 'queue_full', retryAfterSeconds: this.#secondsToWait() },
      );
    return new Promise((resolve, reject) => {
      const give = () => {
        this.#waiting = this.#waiting.filter((each) => each !== waiting);
        reject(entrance.signal.reason);
        // whoever was behind may fit now
        this.#admit();
      };
      const waiting: Waiting = {
        ...entrance,
        enter: () => {
          entrance.signal.removeEventListener('abort', give);
          resolve();
        },
      };
      entrance.signal.addEventListener('abort', give, { once: true });
      this.#waiting.push(waiting);
    });
  }

  #secondsToWait(): number {
    return (this.#meanMs * (this.#waiting.length + 1)) / this.slots / 1000;
  }

  #take(client: string, slots: number): void {
    this.#busy += slots;
    this.#lastClient = client;
  }

  #admit(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      // a request of several slots is not overtaken for ever by those of one
      if (this.#busy + next.slots > this.slots) return;
      const entered = next;
      this.#waiting = this.#waiting.filter((each) => each !== entered);
      this.#take(next.client, next.slots);
      next.enter();
    }
  }

  /** People first; among them another client than the last one, in the order in which clients came. */
  #next(): Waiting | undefined {
    const people = this.#waiting.filter(({ isBatch }) => !isBatch);
    const candidates = people.length > 0 ? people : this.#waiting;
    const clients = [...new Set(candidates.map(({ client }) => client))];
    const turn = clients[(clients.indexOf(this.#lastClient) + 1) % Math.max(1, clients.length)];
    return candidates.find(({ client }) => client === turn);
  }
}
