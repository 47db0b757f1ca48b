// Sweeps of `relufy eval`: a file of models x settings x tasks, here or through a Redis server; and a worker for the latter.
// Each job is a `relufy eval` of its own. Does not own jobs, queues or results (@relufy/eval).
import { jobFolder, jobProcess, LocalQueue, RedisQueue, readSweep, runSweep, workForQueue } from '@relufy/eval';
import { print, tell } from './output.js';
import { readTextFile } from './read-text.js';
import { untilInterrupted } from './signals.js';

const command = (): string[] => [process.execPath, process.argv[1] as string, 'eval'];

/** Ends with the table of all jobs. */
export async function sweep(path: string, out: string, workers: number, queueUrl: string | undefined): Promise<void> {
  const text = await readTextFile('--sweep', path, 'a YAML file');
  const jobs = readSweep(path, text);
  await untilInterrupted(async (signal) => {
    const queue =
      queueUrl === undefined
        ? new LocalQueue(jobProcess(command(), jobFolder(out)), workers)
        : await RedisQueue.open({ url: queueUrl });
    try {
      const table = await runSweep(jobs, queue, {
        out,
        signal,
        onOutcome: (outcome, done, total) =>
          tell(`${done} of ${total}: ${outcome.job.id}${'error' in outcome ? ` failed: ${outcome.error}` : ''}`),
      });
      print(table);
    } finally {
      await queue.close();
    }
  });
}

/** Takes jobs until Ctrl-C. */
export function work(queueUrl: string, out: string, workers: number): Promise<void> {
  return untilInterrupted((signal) => {
    tell(`Waiting for jobs of ${queueUrl.replace(/\/\/[^@/]*@/, '//')}; Ctrl-C ends.`);
    const runner = jobProcess(command(), jobFolder(out));
    return workForQueue({ url: queueUrl }, runner, { signal, workers, onJob: ({ id }) => tell(id) });
  });
}
