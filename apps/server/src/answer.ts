// From a prompt to answers: waits for a slot, runs the generations of one request, takes their text apart (answer parsers),
// and hands out events that say nothing of any wire format. Frees slot and model when the generations end, however they do:
// a client that leaves ends them within a step. Does not own how an event is written (chat-completions.ts and the others).
import type { GenerateOptions, GenerateResult, GenerationStream, Model, Piece } from '@relufy/models';
import type { AnswerParser, AnswerPart } from './answer-parser/answer-parser.js';
import { ApiError } from './api-error.js';
import { Ending } from './ending.js';
import type { Lease } from './served-models.js';
import type { Call } from './service.js';

/** What to generate. */
export interface Asked {
  readonly modelName: string | undefined;
  /** Reads the rest of the request when the model is there. @throws ApiError 400. */
  readonly prepare: (model: Model) => Prepared | Promise<Prepared>;
  /** Work of the request's own in its slot, before it generates. */
  readonly before?: (model: Model, prompts: Prepared['prompts'], signal: AbortSignal) => Promise<void>;
  readonly keepAliveMs?: number | undefined;
}

export interface Prepared {
  readonly prompts: readonly (readonly number[])[];
  readonly options: GenerateOptions;
  /** Answers to each prompt. */
  readonly count: number;
  /** Makes what takes one answer's text apart. */
  readonly parser?: ((prompt: readonly number[]) => AnswerParser) | undefined;
}

/** Where a part of an answer comes from: prompts in order, `count` answers each. */
export type AnswerEvent =
  | { readonly kind: 'part'; readonly choice: number; readonly part: AnswerPart; readonly pieces: readonly Piece[] }
  | {
      readonly kind: 'end';
      readonly choice: number;
      readonly finishReason: FinishReason;
      readonly result: GenerateResult;
      /** Tokens whose text came to nothing. */
      readonly pieces: readonly Piece[];
    };

export type FinishReason = 'stop' | 'length' | 'tool_calls';

/** What all answers of a request took. */
export interface Totals {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  /** Those of them that the model thought with. */
  readonly reasoningTokens: number;
  readonly promptMs: number;
  readonly predictedMs: number;
  /** From the request to its first token. */
  readonly firstTokenMs: number;
  readonly loadMs: number;
  readonly sparsity: SparsityFigures;
}

export interface SparsityFigures {
  readonly mode: string;
  /** Share of the FFN's neurons that were active, the mean over layers and tokens. */
  readonly activeRatio: number;
  /** Bytes of weights read while decoding, and those of a dense pass that were not. */
  readonly readBytes: number;
  readonly skippedBytes: number;
}

/** A request that is being answered. */
export interface Answering extends AsyncIterable<AnswerEvent> {
  /** What the model is called. */
  readonly id: string;
  readonly model: Model;
  /** Whole with the last event. */
  readonly totals: Totals;
  readonly prepared: Prepared;
  /** Nobody listens any more. */
  cancel(): void;
}

/** Waits for the model and a slot, starts to compute, and resolves with the events to come. */
export async function answer(call: Call, asked: Asked): Promise<Answering> {
  const { service } = call;
  const ending = new Ending(call);
  const { signal } = ending;
  try {
    const { served, lanes } = service.models.find(asked.modelName);
    call.notes.model = served.id;
    const lease = await service.models.lease(served.id, signal);
    ending.onEnd(() => lease.release(asked.keepAliveMs));
    const prepared = await asked.prepare(lease.model);
    const slots = prepared.prompts.length * prepared.count;
    const queuedAt = performance.now();
    ending.onEnd(await lanes.enter({ slots, client: call.client, isBatch: call.isBatch, signal }));
    service.metrics.queued(served.id, performance.now() - queuedAt);
    ending.startDeadline();
    await asked.before?.(lease.model, prepared.prompts, signal);
    return new Generations(call, lease, prepared, ending);
  } catch (error) {
    ending.end();
    throw error;
  }
}

class Generations implements Answering {
  readonly id: string;
  readonly model: Model;
  readonly prepared: Prepared;
  readonly #call: Call;
  readonly #lease: Lease;
  readonly #streams: readonly GenerationStream[];
  readonly #ending: Ending;
  #results: readonly GenerateResult[] = [];
  #firstTokenMs: number | undefined;
  #reasoningTokens = 0;

  constructor(call: Call, lease: Lease, prepared: Prepared, ending: Ending) {
    this.#call = call;
    this.#lease = lease;
    this.#ending = ending;
    this.id = lease.id;
    this.model = lease.model;
    this.prepared = prepared;
    const { prompts, options, count } = prepared;
    const { signal } = ending;
    this.#streams = prompts.flatMap((prompt) =>
      Array.from({ length: count }, (_, i) => {
        const seed = options.seed === undefined ? {} : { seed: options.seed + i };
        return lease.model.generate(prompt, { ...options, ...seed, signal, onAbort: 'return' });
      }),
    );
    Promise.allSettled(this.#streams.map(({ result }) => result)).then((ends) => {
      ending.end();
      this.#account(ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : [])));
    });
  }

  get totals(): Totals {
    const sum = (of: (result: GenerateResult) => number) => this.#results.reduce((all, each) => all + of(each), 0);
    const { count } = this.prepared;
    return {
      // several answers to one prompt took it once
      promptTokens: sum(({ usage }) => usage.promptTokens) / count,
      cachedTokens: this.#results
        .filter((_, i) => i % count === 0)
        .reduce((all, { usage }) => all + usage.cachedTokens, 0),
      completionTokens: sum(({ usage }) => usage.completionTokens),
      reasoningTokens: this.#reasoningTokens,
      promptMs: sum(({ stats }) => stats.prefill.ms),
      predictedMs: sum(({ stats }) => stats.decode.ms),
      firstTokenMs: this.#firstTokenMs ?? 0,
      loadMs: this.#lease.loadMs,
      sparsity: sparsityOf(this.model, this.#results),
    };
  }

  cancel(): void {
    this.#ending.stop(new Error('nobody listens'));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<AnswerEvent, void> {
    try {
      const ended: GenerateResult[] = [];
      const { prompts, count, parser } = this.prepared;
      const parsers = this.#streams.map((_, i) => parser?.(prompts[Math.floor(i / count)] as readonly number[]));
      const held: Piece[][] = this.#streams.map(() => []);
      for await (const { index, piece } of merged(this.#streams)) {
        const waiting = held[index] as Piece[];
        if (piece !== undefined) {
          this.#heardFirst();
          waiting.push(piece);
          const parts = parsers[index]?.push(piece) ?? textPart(piece.text);
          for (const part of parts) yield this.#part(index, part, waiting);
          continue;
        }
        const result = await (this.#streams[index] as GenerationStream).result;
        ended[index] = result;
        for (const part of parsers[index]?.end() ?? []) yield this.#part(index, part, waiting);
        this.#results = ended;
        const finishReason = this.#finishReason(result, parsers[index]);
        yield { kind: 'end', choice: index, finishReason, result, pieces: waiting.splice(0) };
      }
    } finally {
      this.cancel();
    }
  }

  #part(choice: number, part: AnswerPart, waiting: Piece[]): AnswerEvent {
    if (part.kind === 'reasoning') this.#reasoningTokens += waiting.length;
    return { kind: 'part', choice, part, pieces: waiting.splice(0) };
  }

  #finishReason({ finishReason }: GenerateResult, parser: AnswerParser | undefined): FinishReason {
    if (finishReason === 'abort') {
      if (this.#ending.isOutOfTime) return 'length';
      const { reason } = this.#ending.signal;
      if (reason instanceof ApiError) throw reason;
      throw new ApiError(503, 'The answer was cut off: the client left, or the model was unloaded.', {
        code: 'interrupted',
      });
    }
    return finishReason === 'stop' && parser?.hasCalls ? 'tool_calls' : finishReason;
  }

  #heardFirst(): void {
    if (this.#firstTokenMs !== undefined) return;
    this.#firstTokenMs = performance.now() - this.#call.start;
    this.#call.service.metrics.firstToken(this.id, this.#firstTokenMs);
  }

  #account(results: readonly GenerateResult[]): void {
    const { route, start, service } = this.#call;
    let [promptTokens, cachedTokens, completionTokens] = [0, 0, 0];
    for (const { usage, stats } of results) {
      promptTokens += usage.promptTokens;
      cachedTokens += usage.cachedTokens;
      completionTokens += usage.completionTokens;
      service.metrics.answer({ model: this.id, ...usage, stats });
    }
    const ms = Math.round(performance.now() - start);
    const ends = results.map(({ finishReason }) => finishReason).join(' ');
    service.log.info({ route, model: this.id, ms, promptTokens, cachedTokens, completionTokens, ends }, 'answered');
    if (service.logsPrompts)
      service.log.info(
        {
          prompts: this.prepared.prompts.map((ids) => this.model.decode(ids)),
          answers: results.map(({ text }) => text),
        },
        'answer',
      );
  }
}

const textPart = (text: string): readonly AnswerPart[] => (text === '' ? [] : [{ kind: 'text', text }]);

/** The pieces of all streams as they come; without a piece: that stream has ended. */
async function* merged(
  streams: readonly GenerationStream[],
): AsyncGenerator<{ readonly index: number; readonly piece?: Piece }> {
  const readers = streams.map((stream) => stream[Symbol.asyncIterator]());
  const next = (index: number) => (readers[index] as AsyncIterator<Piece>).next().then((got) => ({ index, got }));
  const waiting = new Map(readers.map((_, index) => [index, next(index)]));
  try {
    while (waiting.size > 0) {
      const { index, got } = await Promise.race(waiting.values());
      if (got.done) {
        waiting.delete(index);
        yield { index };
      } else {
        waiting.set(index, next(index));
        yield { index, piece: got.value };
      }
    }
  } finally {
    for (const each of waiting.values()) each.catch(() => {});
  }
}

function sparsityOf(model: Model, results: readonly GenerateResult[]): SparsityFigures {
  let [tokens, active, read, dense] = [0, 0, 0, 0];
  for (const { stats } of results) {
    const { down } = stats.density;
    tokens += stats.decode.tokens;
    active += (stats.decode.tokens * down.reduce((sum, share) => sum + share, 0)) / Math.max(1, down.length);
    read += stats.decode.tokens * stats.weightBytesPerToken;
    dense += stats.decode.tokens * stats.denseWeightBytesPerToken;
  }
  return {
    mode: model.sparsity,
    activeRatio: tokens === 0 ? 1 : active / tokens,
    readBytes: Math.round(read),
    skippedBytes: Math.round(Math.max(0, dense - read)),
  };
}
