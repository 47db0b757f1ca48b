// Long jobs, as OpenAI's /v1/files and /v1/batches have them: a file of requests goes into a Redis server, workers of any
// replica answer it a part at a time, behind whoever asks directly, and any replica tells how far it is and hands out the
// answers. All that is known lies in Redis, so that a server or a worker that is killed loses nothing: its part is given out
// again. Does not own the queue (@relufy/eval) nor how a request is answered (handler.ts).
import type { connectRedis, QueuedJob, RedisQueue } from '@relufy/eval';
import { anObject, show } from '@relufy/tensor';
import { ApiError, badField } from './api-error.js';
import { newId, nowSeconds } from './figures.js';

export interface BatchOptions {
  /** redis://host:6379 */
  readonly url: string;
  /** Requests of batches that this server answers at a time. Default 1; 0: it only takes them in. */
  readonly workers?: number;
  /** A worker that does not renew its claim for so long is taken for dead. Default 30 s. */
  readonly leaseMs?: number;
  /** Largest file. Default 64 MiB. */
  readonly fileBytes?: number;
  /** Queues and files of other names are not seen. */
  readonly name?: string;
}

/** Answers one request of a batch. */
export type AnswerLine = (
  path: string,
  body: string,
  signal: AbortSignal,
) => Promise<{ status: number; body: unknown }>;

interface Part extends QueuedJob {
  readonly endpoint: string;
  readonly lines: readonly Line[];
}

interface Line {
  readonly customId: string;
  readonly body: string;
}

interface FileFacts {
  readonly id: string;
  readonly object: 'file';
  readonly bytes: number;
  readonly created_at: number;
  readonly filename: string;
  readonly purpose: string;
}

interface BatchFacts {
  readonly id: string;
  readonly endpoint: string;
  readonly input_file_id: string;
  readonly created_at: number;
  readonly metadata: unknown;
  readonly completion_window: string;
  readonly lines: number;
  readonly parts: number;
  /** All parts are in the queue. */
  isQueued: boolean;
  cancelledAt?: number;
}

const endpoints = ['/v1/chat/completions', '/v1/completions', '/v1/embeddings', '/v1/responses'];
const mostLines = 50_000;
/** Parts are small, as one is lost with its worker; and not too many, as each is asked for its state. */
const partsOf = (lines: number): number => Math.min(lines, 500);

type Redis = Awaited<ReturnType<typeof connectRedis>>;

export class Batches {
  readonly #redis: Redis;
  readonly #queue: RedisQueue<Part>;
  readonly #options: BatchOptions;
  readonly #stop = new AbortController();
  #work: Promise<void> = Promise.resolve();

  private constructor(redis: Redis, queue: RedisQueue<Part>, options: BatchOptions) {
    this.#redis = redis;
    this.#queue = queue;
    this.#options = options;
  }

  /** @throws RelufyError `io` where no Redis answers. */
  static async open(options: BatchOptions, answer: AnswerLine): Promise<Batches> {
    const { connectRedis, RedisQueue, workForQueue } = await import('@relufy/eval');
    const { url, name = 'relufy-batches', workers = 1, leaseMs } = options;
    const redis = await connectRedis(url);
    const batches = new Batches(redis, await RedisQueue.open<Part>({ url, name }), options);
    const queue = { url, name, ...(leaseMs !== undefined && { leaseMs }) };
    const { signal } = batches.#stop;
    if (workers > 0)
      batches.#work = workForQueue<Part>(
        queue,
        async (part, stop) => ({ 'lines.jsonl': await answered(part, answer, AbortSignal.any([signal, stop])) }),
        { signal, workers },
      );
    return batches;
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the server ends'));
    await this.#work.catch(() => {});
    await this.#queue.close();
    this.#redis.disconnect();
  }

  #key(kind: string, id = ''): string {
    return `${this.#options.name ?? 'relufy-batches'}:${kind}${id === '' ? '' : `:${id}`}`;
  }

  get fileBytes(): number {
    return this.#options.fileBytes ?? 64 << 20;
  }

  async upload(filename: string, purpose: string, text: string): Promise<FileFacts> {
    const id = newId('file');
    const facts: FileFacts = {
      id,
      object: 'file',
      bytes: Buffer.byteLength(text),
      created_at: nowSeconds(),
      filename: filename.slice(0, 200),
      purpose: purpose.slice(0, 64),
    };
    await this.#redis.hset(this.#key('file', id), { facts: JSON.stringify(facts), text });
    return facts;
  }

  /** What is known of a file; that of a batch's answers is there when the batch has ended. */
  async file(id: string): Promise<FileFacts> {
    const facts = await this.#redis.hget(this.#key('file', checkId(id)), 'facts');
    if (facts !== null) return JSON.parse(facts) as FileFacts;
    const text = await this.content(id);
    const object = { object: 'file', created_at: nowSeconds(), purpose: 'batch_output' } as const;
    return { id, ...object, bytes: Buffer.byteLength(text), filename: `${id}.jsonl` };
  }

  async content(id: string): Promise<string> {
    const text = await this.#redis.hget(this.#key('file', checkId(id)), 'text');
    if (text !== null) return text;
    const [, batchId, kind] = /^(batch-[0-9a-f]+)-(output|error)$/.exec(id) ?? [];
    const batch = batchId === undefined ? undefined : await this.#batch(batchId);
    if (batch === undefined) throw unknown('file', id);
    const { results } = await this.#results(batch);
    const wanted = results.filter((line) => isFailure(line) === (kind === 'error'));
    return wanted.map((line) => `${line}\n`).join('');
  }

  async remove(id: string): Promise<object> {
    const removed = await this.#redis.del(this.#key('file', checkId(id)));
    if (removed === 0) throw unknown('file', id);
    return { id, object: 'file', deleted: true };
  }

  async create(asked: {
    readonly inputFileId: string;
    readonly endpoint: string;
    readonly window: string;
    readonly metadata: unknown;
  }): Promise<object> {
    if (!endpoints.includes(asked.endpoint)) throw badField('endpoint', endpoints.join(', '), show(asked.endpoint));
    const text = await this.#redis.hget(this.#key('file', checkId(asked.inputFileId)), 'text');
    if (text === null) throw badField('input_file_id', 'the id of an uploaded file', show(asked.inputFileId));
    const lines = linesOf(text, asked.endpoint);
    const batch: BatchFacts = {
      id: newId('batch'),
      endpoint: asked.endpoint,
      input_file_id: asked.inputFileId,
      created_at: nowSeconds(),
      metadata: asked.metadata ?? null,
      completion_window: asked.window,
      lines: lines.length,
      parts: partsOf(lines.length),
      isQueued: false,
    };
    // known before its parts are: a server that is killed in between leaves one that the next question queues
    await this.#save(batch);
    await this.#redis.zadd(this.#key('all'), batch.created_at, batch.id);
    await this.#enqueue(batch, lines);
    return this.#told(batch);
  }

  async get(id: string): Promise<object> {
    const batch = await this.#batch(id);
    if (batch === undefined) throw unknown('batch', id);
    return this.#told(batch);
  }

  async list(limit: number): Promise<object> {
    const ids = await this.#redis.zrevrange(this.#key('all'), 0, limit - 1);
    const data = await Promise.all(ids.map((id) => this.get(id)));
    return { object: 'list', data, first_id: ids[0] ?? null, last_id: ids.at(-1) ?? null, has_more: false };
  }

  async cancel(id: string): Promise<object> {
    const batch = await this.#batch(id);
    if (batch === undefined) throw unknown('batch', id);
    batch.cancelledAt ??= nowSeconds();
    await this.#save(batch);
    await this.#queue.withdraw(partIds(batch));
    return this.#told(batch);
  }

  #save(batch: BatchFacts): Promise<unknown> {
    return this.#redis.set(this.#key('batch', batch.id), JSON.stringify(batch));
  }

  async #batch(id: string): Promise<BatchFacts | undefined> {
    const text = await this.#redis.get(this.#key('batch', checkId(id)));
    return text === null ? undefined : (JSON.parse(text) as BatchFacts);
  }

  async #enqueue(batch: BatchFacts, lines: readonly Line[]): Promise<void> {
    const { endpoint, parts } = batch;
    const jobs = partIds(batch).map((id, part): Part => {
      const [from, to] = [part, part + 1].map((at) => Math.floor((at * lines.length) / parts));
      return { id, endpoint, lines: lines.slice(from, to) };
    });
    await this.#queue.add(jobs);
    batch.isQueued = true;
    await this.#save(batch);
  }

  async #results(batch: BatchFacts): Promise<{ readonly ended: number; readonly results: readonly string[] }> {
    const ends = await Promise.all(partIds(batch).map((id) => this.#queue.endOf(id)));
    const results = ends.flatMap((end) => {
      if (end === undefined) return [];
      if ('error' in end)
        return [
          JSON.stringify({
            id: newId('batch_req'),
            custom_id: null,
            response: null,
            error: { code: 'failed', message: end.error },
          }),
        ];
      return (end.files['lines.jsonl'] ?? '').split('\n').filter((line) => line !== '');
    });
    return { ended: ends.filter((end) => end !== undefined).length, results };
  }

  async #told(batch: BatchFacts): Promise<object> {
    if (!batch.isQueued && batch.cancelledAt === undefined) {
      const text = await this.#redis.hget(this.#key('file', batch.input_file_id), 'text');
      if (text !== null) await this.#enqueue(batch, linesOf(text, batch.endpoint));
    }
    const { ended, results } = await this.#results(batch);
    const failed = results.filter(isFailure).length;
    const isDone = ended === batch.parts;
    const status = isDone
      ? batch.cancelledAt
        ? 'cancelled'
        : 'completed'
      : batch.cancelledAt
        ? 'cancelling'
        : 'in_progress';
    // parts that were withdrawn never end
    const isCancelled = batch.cancelledAt !== undefined && nowSeconds() - batch.cancelledAt > 5;
    const { id, endpoint, input_file_id, created_at, metadata, completion_window } = batch;
    return {
      id,
      object: 'batch',
      endpoint,
      errors: null,
      input_file_id,
      completion_window,
      status: isCancelled ? 'cancelled' : status,
      output_file_id: isDone || isCancelled ? `${id}-output` : null,
      error_file_id: (isDone || isCancelled) && failed > 0 ? `${id}-error` : null,
      created_at,
      cancelled_at: batch.cancelledAt ?? null,
      request_counts: { total: batch.lines, completed: results.length - failed, failed },
      metadata,
    };
  }
}

const partIds = ({ id, parts }: BatchFacts): readonly string[] =>
  Array.from({ length: parts }, (_, part) => `${id}-${part}`);

const isFailure = (line: string): boolean => {
  const { response, error } = JSON.parse(line) as {
    readonly response: { status_code: number } | null;
    readonly error: unknown;
  };
  return error !== null || response === null || response.status_code >= 400;
};

const unknown = (what: string, id: string): ApiError =>
  new ApiError(404, `${what}: expected the id of one that is here, got ${show(id)}.`, { code: 'not_found' });

function checkId(id: string): string {
  if (!/^[\w-]{1,80}$/.test(id)) throw unknown('id', id);
  return id;
}

/** @throws ApiError 400 that names the line. */
function linesOf(text: string, endpoint: string): readonly Line[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  if (lines.length === 0 || lines.length > mostLines)
    throw badField('input_file_id', `a file of 1 to ${mostLines} lines`, `${lines.length}`);
  const ids = new Set<string>();
  return lines.map((line, at) => {
    const where = `line ${at + 1} of the input file`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      throw badField(where, 'JSON', show(line));
    }
    if (!anObject.fits(value)) throw badField(where, 'an object', show(value));
    const { custom_id: customId, url, body } = value as Readonly<Record<string, unknown>>;
    if (typeof customId !== 'string' || ids.has(customId))
      throw badField(`${where}, custom_id`, 'a text of its own', show(customId));
    if (url !== undefined && url !== endpoint) throw badField(`${where}, url`, endpoint, show(url));
    if (!anObject.fits(body)) throw badField(`${where}, body`, 'an object', show(body));
    ids.add(customId);
    return { customId, body: JSON.stringify({ ...(body as object), stream: false }) };
  });
}

/** Every line of a part, answered: a line of JSON each. */
async function answered(part: Part, answer: AnswerLine, signal: AbortSignal): Promise<string> {
  const results: string[] = [];
  for (const { customId, body } of part.lines) {
    const id = newId('batch_req');
    const response = await untilTaken(() => answer(part.endpoint, body, signal), signal);
    results.push(
      JSON.stringify({
        id,
        custom_id: customId,
        response: { status_code: response.status, request_id: id, body: response.body },
        error: null,
      }),
    );
  }
  return results.join('\n');
}

/** A busy server, or one that loads its model, is asked again. */
async function untilTaken<T extends { status: number }>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    signal.throwIfAborted();
    const response = await ask();
    signal.throwIfAborted();
    if (response.status !== 429 && response.status !== 503) return response;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
