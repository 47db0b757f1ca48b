// The response to a request that is answered by generating: one object when all of it is there, or a stream that begins with
// the first token. A stream is open to pings from the moment that it was asked for, so that waiting for a slot, or for the
// model, looks alive. Does not own what is written (each route has its words) nor the generation (answer.ts).
import { type Answering, type Asked, answer } from './answer.js';
import { type StreamFormat, streamResponse } from './event-stream.js';
import type { Call } from './service.js';

export interface Writer {
  readonly stream: boolean;
  readonly format: StreamFormat;
  /** The object of a whole answer. */
  readonly whole: (answering: Answering) => Promise<object>;
  /** The events of a stream. */
  readonly events: (answering: Answering) => AsyncGenerator<string, void>;
}

export async function answerResponse(call: Call, asked: Asked, writer: Writer): Promise<Response> {
  if (!writer.stream) return Response.json(await writer.whole(await answer(call, asked)));
  const answering = answer(call, asked);
  answering.catch(() => {}); // told by the events
  const { limits, log } = call.service;
  async function* events(): AsyncGenerator<string, void> {
    yield* writer.events(await answering);
  }
  return streamResponse(events(), {
    format: writer.format,
    pingMs: limits.pingMs,
    onEnd: () => {
      answering.then(
        (begun) => begun.cancel(),
        () => {},
      );
    },
    onFailure: (error) => log.warn({ route: call.route, error: String(error) }, 'a stream broke'),
  });
}
