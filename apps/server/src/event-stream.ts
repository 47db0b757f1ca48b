// A stream of events as the body of a response: server-sent events for OpenAI's clients, a line of JSON each for Ollama's.
// Headers wait for the first event, so that a request that fails gets its status, and a balancer may still send it
// elsewhere; a silence of `pingMs` ends the waiting, and later fills the line with comments. Does not own the events.
import { apiErrorOf } from './api-error.js';

export interface StreamFormat {
  readonly contentType: string;
  /** What says that the connection lives; undefined where a format has nothing for it. */
  readonly ping?: string;
  /** How a stream tells that it broke. */
  readonly failure: (error: unknown) => string;
}

export const serverSentEvents: StreamFormat = {
  contentType: 'text/event-stream; charset=utf-8',
  ping: ': still at work\n\n',
  failure: (error) => `data: ${JSON.stringify(apiErrorOf(error).body)}\n\n`,
};

export const jsonLines: StreamFormat = {
  contentType: 'application/x-ndjson',
  failure: (error) => `${JSON.stringify(apiErrorOf(error).ollamaBody)}\n`,
};

export const sseData = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
export const sseEvent = (event: string, value: unknown): string =>
  `event: ${event}\ndata: ${JSON.stringify(value)}\n\n`;
export const jsonLine = (value: unknown): string => `${JSON.stringify(value)}\n`;

export interface StreamOptions {
  readonly format: StreamFormat;
  readonly pingMs: number;
  /** The reader is gone, or has everything. */
  readonly onEnd: () => void;
  /** Hears of what broke a stream that had begun. */
  readonly onFailure: (error: unknown) => void;
}

/** @throws what the first event throws, where that comes before `pingMs`. */
export async function streamResponse(events: AsyncGenerator<string>, options: StreamOptions): Promise<Response> {
  const { format, pingMs, onEnd, onFailure } = options;
  const encoder = new TextEncoder();
  let pending: Promise<IteratorResult<string, unknown>> | undefined = events.next();
  try {
    await withinMs(pending, pingMs);
  } catch (error) {
    onEnd();
    throw error;
  }
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      pending ??= events.next();
      let got: IteratorResult<string, unknown> | undefined;
      try {
        got = await withinMs(pending, pingMs);
      } catch (error) {
        onFailure(error);
        controller.enqueue(encoder.encode(format.failure(error)));
        controller.close();
        onEnd();
        return;
      }
      if (got === undefined) {
        // an empty chunk would end the body: where there is no comment, go on waiting
        controller.enqueue(encoder.encode(format.ping ?? ''));
        return;
      }
      pending = undefined;
      if (got.done) {
        controller.close();
        onEnd();
      } else controller.enqueue(encoder.encode(got.value));
    },
    cancel() {
      onEnd();
      pending?.catch(() => {});
      events.return(undefined).catch(() => {});
    },
  });
  return new Response(body, {
    headers: {
      'Content-Type': format.contentType,
      'Cache-Control': 'no-cache',
      // nginx would collect a stream before it hands it on
      'X-Accel-Buffering': 'no',
    },
  });
}

/** Undefined when it takes longer. */
function withinMs<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
  if (!Number.isFinite(ms)) return work;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(undefined), ms);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Calls `end` when the body of a stream has been read or given up; of another response at once. */
export function whenRead(response: Response, end: () => void): Response {
  if (response.body === null || !response.headers.get('content-type')?.match(/event-stream|ndjson/)) {
    end();
    return response;
  }
  let ended = false;
  const once = () => {
    if (!ended) end();
    ended = true;
  };
  const reader = response.body.getReader();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (!done) return controller.enqueue(value);
        controller.close();
      } catch (error) {
        controller.error(error);
      }
      once();
    },
    cancel(reason) {
      once();
      return reader.cancel(reason);
    },
  });
  return new Response(body, { status: response.status, headers: response.headers });
}
