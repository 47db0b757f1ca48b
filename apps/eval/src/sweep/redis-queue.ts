// Jobs in a Redis or Valkey server, by BullMQ: several machines take them, a job whose worker dies is given out again, and
// results come back through the server, so that no folder is shared. Both packages are optional and imported here alone.
// Does not own what a job is (job-process.ts) or where results go (run-sweep.ts).
import { RelufyError } from '@relufy/tensor';
import type { Queue, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import {
  attempts,
  type JobFiles,
  type JobOutcome,
  type JobQueue,
  type JobRunner,
  type QueuedJob,
  WorkerLost,
} from './job-queue.js';
import type { Job } from './sweep-file.js';

export interface RedisOptions {
  /** redis://[user:password@]host[:port][/db], or rediss:// */
  readonly url: string;
  /** Jobs of sweeps with other names are not seen. */
  readonly name?: string;
  /** A worker that does not renew its claim for so long is taken for dead. */
  readonly leaseMs?: number;
}

const defaultName = 'relufy-eval';
const pollMs = 250;

/** @throws RelufyError `io` where no server answers. */
export async function connectRedis(url: string): Promise<Redis> {
  const unusable = (got: string, remedy: string, cause?: unknown) =>
    new RelufyError('io', `queue ${withoutPassword(url)}: expected a Redis or Valkey server, got ${got}. ${remedy}`, {
      cause,
    });
  if (!/^rediss?:\/\//.test(url)) throw unusable('another address', 'Name it as redis://host:6379.');
  const { Redis } = await import('ioredis').catch((error: unknown) => {
    throw unusable('no client for it', 'Install it beside relufy: npm install bullmq ioredis.', error);
  });
  // BullMQ wants requests to wait for a reconnection; the first connection must not wait forever
  const client = new Redis(url, {
    maxRetriesPerRequest: null,
    lazyConnect: true,
    connectTimeout: 3000,
    retryStrategy: () => null,
  });
  let heard: Error | undefined;
  client.on('error', (error) => {
    heard = error;
  });
  try {
    await client.connect();
  } catch (error) {
    client.disconnect();
    throw unusable((heard ?? (error as Error)).message || 'no answer', 'Start it, or check the address.', error);
  }
  client.options.retryStrategy = (times) => Math.min(5000, 200 * times);
  return client;
}

const withoutPassword = (url: string): string => url.replace(/\/\/[^@/]*@/, '//');

/** Where a sweep puts its jobs and reads their ends; workers run elsewhere, or beside it. */
export class RedisQueue<J extends QueuedJob = Job> implements JobQueue<J> {
  readonly #client: Redis;
  readonly #queue: Queue;
  readonly #jobs: J[] = [];

  private constructor(client: Redis, queue: Queue) {
    this.#client = client;
    this.#queue = queue;
  }

  static async open<J extends QueuedJob = Job>({ url, name = defaultName }: RedisOptions): Promise<RedisQueue<J>> {
    const client = await connectRedis(url);
    const { Queue } = await import('bullmq');
    return new RedisQueue<J>(client, new Queue(name, { connection: client as never }));
  }

  async add(jobs: readonly J[]): Promise<void> {
    this.#jobs.push(...jobs);
    for (const job of jobs) {
      // a failed job of an earlier try is given out anew; a finished or waiting one stays
      const before = await this.#queue.getJob(job.id);
      if (before && (await before.isFailed())) await before.remove();
      await this.#queue.add('job', job, { jobId: job.id, attempts, removeOnComplete: false, removeOnFail: false });
    }
  }

  async *outcomes(signal: AbortSignal): AsyncIterable<JobOutcome<J>> {
    const open = new Map(this.#jobs.map((job) => [job.id, job]));
    while (open.size > 0) {
      for (const job of [...open.values()]) {
        signal.throwIfAborted();
        const end = await this.endOf(job.id);
        if (end === undefined) continue;
        yield { job, ...end };
        open.delete(job.id);
      }
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  /** What a job came to; undefined while it waits or runs. */
  async endOf(id: string): Promise<{ readonly files: JobFiles } | { readonly error: string } | undefined> {
    const state = await this.#queue.getJobState(id);
    if (state !== 'completed' && state !== 'failed') return undefined;
    // read after its end is known: a job that was read before may have ended in between, without what came of it
    const found = await this.#queue.getJob(id);
    return state === 'completed'
      ? { files: found?.returnvalue as JobFiles }
      : { error: found?.failedReason ?? 'failed' };
  }

  /** Takes jobs out that have not begun; those that run, or have ended, stay. */
  async withdraw(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      const state = await this.#queue.getJobState(id);
      if (state === 'waiting' || state === 'delayed' || state === 'prioritized')
        await (await this.#queue.getJob(id))?.remove().catch(() => {}); // a worker was faster
    }
  }

  async close(): Promise<void> {
    await this.#queue.close();
    this.#client.disconnect();
  }
}

/** Takes jobs until the signal aborts; `onJob` hears of each. */
export async function workForQueue<J extends QueuedJob = Job>(
  { url, name = defaultName, leaseMs = 30_000 }: RedisOptions,
  runner: JobRunner<J>,
  {
    signal,
    onJob,
    workers = 1,
  }: { readonly signal: AbortSignal; readonly onJob?: (job: J) => void; readonly workers?: number },
): Promise<void> {
  const client = await connectRedis(url);
  const { Worker, UnrecoverableError } = await import('bullmq');
  const worker: Worker = new Worker(
    name,
    async ({ data }) => {
      const job = data as J;
      onJob?.(job);
      try {
        return await runner(job, signal);
      } catch (error) {
        // what killed a process may not happen again; what the job itself got wrong will
        if (error instanceof WorkerLost || signal.aborted) throw error;
        throw new UnrecoverableError((error as Error).message);
      }
    },
    {
      connection: client as never,
      concurrency: workers,
      lockDuration: leaseMs,
      stalledInterval: leaseMs / 2,
      maxStalledCount: attempts,
    },
  );
  worker.on('error', () => {}); // a lost connection comes back, or the lease ends
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve());
  });
  await worker.close();
  client.disconnect();
}
