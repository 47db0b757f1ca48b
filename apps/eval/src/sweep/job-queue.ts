// Where the jobs of a sweep wait, and the local implementation: a list in this process. What is done lies in folders, so
// nothing has to be remembered here. The other implementation, for more than one machine, is redis-queue.ts.
import type { Job } from './sweep-file.js';

/** What a job leaves: the files of its folder, by name. */
export type JobFiles = Readonly<Record<string, string>>;

/** What a queue has to know of a job: sweeps queue evaluations, a server the parts of a batch. */
export interface QueuedJob {
  readonly id: string;
}

export type JobOutcome<J extends QueuedJob = Job> =
  | { readonly job: J; readonly files: JobFiles }
  | { readonly job: J; readonly error: string };

/** Runs one job to its end; safe to call again after it was cut off. */
export type JobRunner<J extends QueuedJob = Job> = (job: J, signal: AbortSignal) => Promise<JobFiles>;

/** Thrown by a runner whose process was killed: the job is given out again. */
export class WorkerLost extends Error {}

export interface JobQueue<J extends QueuedJob = Job> {
  /** A job that is there under its id is left as it is. */
  add(jobs: readonly J[]): Promise<void>;
  /** Each job's end, as it comes, until all that were added have ended. */
  outcomes(signal: AbortSignal): AsyncIterable<JobOutcome<J>>;
  close(): Promise<void>;
}

/** How often a job whose worker was lost is given out. */
export const attempts = 4;

export class LocalQueue implements JobQueue {
  readonly #jobs: Job[] = [];
  readonly #runner: JobRunner;
  readonly #workers: number;

  constructor(runner: JobRunner, workers: number) {
    this.#runner = runner;
    this.#workers = workers;
  }

  async add(jobs: readonly Job[]): Promise<void> {
    for (const job of jobs) if (!this.#jobs.some(({ id }) => id === job.id)) this.#jobs.push(job);
  }

  async *outcomes(signal: AbortSignal): AsyncIterable<JobOutcome> {
    const waiting = [...this.#jobs];
    const running = new Map<string, Promise<JobOutcome>>();
    while (waiting.length > 0 || running.size > 0) {
      signal.throwIfAborted();
      for (let job = waiting[0]; job !== undefined && running.size < this.#workers; job = waiting[0]) {
        waiting.shift();
        running.set(job.id, this.#run(job, signal));
      }
      const outcome = await Promise.race(running.values());
      running.delete(outcome.job.id);
      signal.throwIfAborted();
      yield outcome;
    }
  }

  async close(): Promise<void> {}

  async #run(job: Job, signal: AbortSignal): Promise<JobOutcome> {
    for (let attempt = 1; ; attempt++) {
      try {
        return { job, files: await this.#runner(job, signal) };
      } catch (error) {
        const again = error instanceof WorkerLost && attempt < attempts && !signal.aborted;
        if (!again) return { job, error: (error as Error).message };
      }
    }
  }
}
