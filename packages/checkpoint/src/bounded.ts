// Bodies of http answers, read within bounds: so many bytes as they come out of the stream (unpacked ones, so that a
// small gzip body cannot become gigabytes), so long without a byte, so long in all. Nothing is held beyond the limit.
// Owns: the watch over a body. Does not own: what an answer may weigh (the callers), requests, retries.

export interface BodyBounds {
  readonly limitBytes: number;
  /** How long it may stand still. */
  readonly idleMs: number;
  /** How long it may take in all: a server that sends a byte now and then never stands still. */
  readonly totalMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** The error of a body that does not end within `limitBytes`. */
  readonly tooLong: () => Error;
}

/** A body that stood still, or took too long: the connection may be tried again. */
export class Stalled extends Error {}

/** Slower than any modem, for so long: a server that keeps a connection busy, not one that sends a file. */
const leastBytesPerSecond = 256;
const crawlMs = 60_000;

/** The pieces of a body, none later than `idleMs` after the one before. */
export async function* watched(
  body: AsyncIterable<Uint8Array>,
  { idleMs, totalMs = Number.POSITIVE_INFINITY, signal }: Pick<BodyBounds, 'idleMs' | 'totalMs' | 'signal'>,
): AsyncGenerator<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]();
  const start = performance.now();
  let bytes = 0;
  let ended = false;
  try {
    for (;;) {
      signal?.throwIfAborted(); // an abort before the wait below would not be heard in it
      const next = await within(iterator.next(), idleMs, signal);
      if (next.done) {
        ended = true;
        return;
      }
      const ms = performance.now() - start;
      if (ms > totalMs) throw new Stalled(`no end within ${totalMs} ms`);
      bytes += next.value.byteLength;
      if (ms > crawlMs && (1000 * bytes) / ms < leastBytesPerSecond) throw new Stalled('a few bytes a second');
      yield next.value;
    }
  } finally {
    // Not awaited: a body that stands still would not answer.
    if (!ended) iterator.return?.().catch(() => undefined);
  }
}

/** A whole body as bytes. */
export async function readBounded(body: ReadableStream<Uint8Array> | null, bounds: BodyBounds): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  if (body)
    for await (const piece of watched(chunksOf(body), bounds)) {
      size += piece.byteLength;
      if (size > bounds.limitBytes) throw bounds.tooLong();
      pieces.push(piece);
    }
  const out = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.byteLength;
  }
  return out;
}

/** Streams are not iterable in every browser. */
export async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

/** A promise, or an error after `milliseconds` or on an abort. */
export function within<T>(promise: Promise<T>, milliseconds: number, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    };
    const abort = (): void => {
      settle();
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      settle();
      reject(new Stalled(`no byte within ${milliseconds} ms`));
    }, milliseconds);
    signal?.addEventListener('abort', abort, { once: true });
    promise.then(
      (value) => {
        settle();
        resolve(value);
      },
      (error: unknown) => {
        settle();
        reject(error);
      },
    );
  });
}
